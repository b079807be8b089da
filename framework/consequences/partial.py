"""The deferred split queue: whether partially mapped folios are found at once, late, never, or where there are none.

Specification 1.6 and 3.4. The kernel looks when mappings go; a folio that is found stays found (PG_partially_mapped)
until it is freed. Not looked at: folios of order 1, and those that were in the swap cache while a page lost its last
mapping, for the kernel queues neither, whatever the policy says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foliolab.framework.consequences.result import PartlyMapped
from foliolab.framework.consequences.sample import Sample
from foliolab.framework.engine.structs import PG_partially_mapped
from foliolab.framework.engine.truth import Counts

LEAST_PAGES = 4


@dataclass
class _Folio:
    """What is known of one.

    Attributes:
        since: the moment from which on a page is unmapped; -1: none is.
        where: that moment's name.
        found: whether it was queued.
        exempt: whether it was in the swap cache.
    """

    since: int = -1
    where: str = ""
    found: bool = False
    exempt: bool = False


class Partial:
    """Follows the folios of one machine from moment to moment.

    Attributes:
        result: what was found so far; folios that are still unfound are in it after `finish`.
    """

    def __init__(self) -> None:
        self.result = PartlyMapped()
        self._folios: dict[int, _Folio] = {}
        self._moment = 0

    def look(self, sample: Sample, where: str) -> None:
        """Take in a moment.

        Args:
            where: its name.
        """
        truth = sample.truth
        heads = sample.large
        heads = heads[sample.anon[heads] & (truth.nr_pages_of[heads] >= LEAST_PAGES)]
        flags = sample.machine.column("folio", "_flags_1")[heads] >> np.uint64(PG_partially_mapped) & np.uint64(1)
        for head in self._folios.keys() - set(heads.tolist()):
            self._end(self._folios.pop(head))  # nothing maps it any more
        lost: list[int] = []
        for head, queued in zip(heads.tolist(), flags.tolist(), strict=True):
            folio = self._folios.setdefault(head, _Folio())
            folio.exempt |= bool(sample.swapcache[head])
            if not folio.exempt:
                self._one(folio, bool(truth.partially_mapped[head]), bool(queued), where)
                if folio.since >= 0 and not folio.found:
                    lost.append(head)
        if (pages := _unmapped_pages(sample, lost)) > self.result.pages:
            self.result.pages, self.result.at = pages, where
        self._moment += 1

    def _one(self, folio: _Folio, partial: bool, queued: bool, where: str) -> None:
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

    def _end(self, folio: _Folio) -> None:
        if folio.since >= 0 and not folio.found and not folio.exempt:
            self.result.missed += 1
            self.result.first = self.result.first or folio.where

    def finish(self) -> PartlyMapped:
        """The course has ended: what was not found by now was missed."""
        for folio in self._folios.values():
            self._end(folio)
        self._folios.clear()
        return self.result


def _unmapped_pages(sample: Sample, heads: list[int]) -> int:
    """Pages of these folios that nothing maps."""
    wanted = np.zeros(sample.truth.heads.size, np.bool_)
    wanted[np.array(heads, np.int64)] = True
    pages: Counts = sample.truth.page_mapcount[wanted[sample.truth.heads]]
    return int((pages == 0).sum())
