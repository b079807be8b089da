"""The deferred split queue: whether partially mapped folios are queued at once, late, never, or without need.

See specification 1.6 and 3.4. The kernel looks when mappings are removed. A folio that it queues stays marked
(PG_partially_mapped) until it is freed. Folios of order 1 are left out here, and folios that were in the swap cache
while a page lost its last mapping: the kernel queues neither, whatever the policy says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foliolab.framework.consequences.moment import Moment
from foliolab.framework.consequences.result import PartlyMapped
from foliolab.framework.engine.structs import PG_partially_mapped
from foliolab.framework.engine.truth import Counts

LEAST_PAGES = 4


@dataclass
class _FolioHistory:
    """The history of one folio.

    Attributes:
        since: the first moment at which a page of it was unmapped; -1 while all are mapped.
        where: that moment's name.
        found: whether it was queued.
        exempt: whether it was in the swap cache.
    """

    since: int = -1
    where: str = ""
    found: bool = False
    exempt: bool = False


class PartialMappings:
    """Follows the folios of one machine from moment to moment.

    Attributes:
        result: the counts so far; `finish` adds the folios that were never queued.
    """

    def __init__(self) -> None:
        self.result = PartlyMapped()
        self._folios: dict[int, _FolioHistory] = {}
        self._moment = 0

    def look(self, moment: Moment, where: str) -> None:
        """Take in a moment.

        Args:
            where: the moment's name.
        """
        truth = moment.truth
        heads = moment.large
        heads = heads[moment.anon[heads] & (truth.nr_pages_of[heads] >= LEAST_PAGES)]
        flags = moment.machine.column("folio", "_flags_1")[heads] >> np.uint64(PG_partially_mapped) & np.uint64(1)
        for head in self._folios.keys() - set(heads.tolist()):
            self._end(self._folios.pop(head))  # nothing maps the folio any more
        unqueued: list[int] = []
        for head, queued in zip(heads.tolist(), flags.tolist(), strict=True):
            folio = self._folios.setdefault(head, _FolioHistory())
            folio.exempt |= bool(moment.swapcache[head])
            if not folio.exempt:
                self._update(folio, bool(truth.partially_mapped[head]), bool(queued), where)
                if folio.since >= 0 and not folio.found:
                    unqueued.append(head)
        if (pages := _unmapped_pages(moment, unqueued)) > self.result.pages:
            self.result.pages, self.result.at = pages, where
        self._moment += 1

    def _update(self, folio: _FolioHistory, partial: bool, queued: bool, where: str) -> None:
        if partial and folio.since < 0:
            self.result.folios += 1
            folio.since, folio.where = self._moment, where
        if queued and not folio.found:
            folio.found = True
            if folio.since < 0:
                self.result.needless += 1
            elif folio.since < self._moment:
                self._late(self._moment - folio.since)
                self.result.first = self.result.first or folio.where
        if not partial and folio.since >= 0 and not folio.found:
            self._end(folio)  # every page is mapped again
            folio.since = -1

    def _late(self, moments: int) -> None:
        self.result.late += 1
        self.result.late_moments += moments
        self.result.late_longest = max(self.result.late_longest, moments)

    def _end(self, folio: _FolioHistory) -> None:
        if folio.since >= 0 and not folio.found and not folio.exempt:
            self.result.missed += 1
            self.result.first = self.result.first or folio.where

    def finish(self) -> PartlyMapped:
        """The source has ended: partially mapped folios that are not queued by now were missed."""
        for folio in self._folios.values():
            self._end(folio)
        self._folios.clear()
        return self.result


def _unmapped_pages(moment: Moment, heads: list[int]) -> int:
    wanted = np.zeros(moment.truth.heads.size, np.bool_)
    wanted[np.array(heads, np.int64)] = True
    pages: Counts = moment.truth.page_mapcount[wanted[moment.truth.heads]]
    return int((pages == 0).sum())
