"""The large anonymous folios of a trace under several detectors at once, from the replay's list of changes.

All detectors see the same operations. What one of them splits stays one folio in the replay, and so for the others; for
the one that split it, nothing of it is stranded any more. Left out are folios that were mapped before the trace began,
of which nobody knows who else maps them, and folios that the kernel itself migrated, split, collapsed or swapped, from
then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.partial.descent import Descent
from foliolab.framework.partial.design import Design, Folio, Stranded
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events

LIFE: Final = (ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT, ev.GONE)
WATCHED: Final = (*LIFE, ev.FREE_HINT)
BEFORE: Final = (ev.PRESENT, ev.MAP)
"""Kinds of events that map folios which were there before."""


@dataclass(eq=False)
class Tracker:
    """Follows the folios of one trace.

    Args:
        designs: the detectors at work.
        descent: the address spaces, before the first event.
        interval: ns between times of memory pressure.

    Attributes:
        seen: what happened to the folios, whatever detects it, by the names of `result.Followed`.
        stranded: pages that nothing maps, until their folios are freed: if no folio were ever split.
    """

    designs: Sequence[Design]
    descent: Descent
    interval: int
    seen: Counter[str] = field(default_factory=Counter)
    stranded: Stranded = field(default_factory=Stranded)

    def __post_init__(self) -> None:
        self._folios: dict[int, Folio | None] = {}  # by head frame of the machine; None: it is left out
        self._heads: dict[int, int] = {}  # by page frame of the trace
        self._next = self.interval

    def take(self, events: Events, first: int, begin: int, rows: NDArray[Any]) -> None:
        """Take in a part of a block of events.

        Args:
            events: the part.
            first: time of the trace's first event.
            begin: index of the part's first event in the block.
            rows: changes to folios by these events, as `replay.changes.collect` gives them.
        """
        life = np.flatnonzero(np.isin(events.kind, WATCHED)).tolist()
        at = 0
        for step, head, order, owners, shared, mappings, mapped_pages, distinct in rows.tolist():
            index = step - begin
            while at < len(life) and life[at] < index:
                self._live(events, life[at], first)
                at += 1
            now = int(events.time[index]) - first
            self.pass_time(now)
            if owners == 0:
                self._gone(head, now)
                continue
            if head not in self._folios:
                self._open(events, index, head, order)
            folio = self._folios[head]
            if folio is not None:
                folio.owners = owners
                folio.maybe_shared = bool(shared)
                # a PMD counts as one mapping, and maps as many pages as a page table has entries
                folio.pmds = (mapped_pages - mappings) // (PTRS_PER_PTE - 1)
                self._change(folio, mapped_pages, distinct, now)
        for left in life[at:]:
            self._live(events, left, first)

    def pass_time(self, now: int) -> None:
        """Let time pass until `now`, ns since the first event: memory is short at each whole interval."""
        while self._next <= now:
            for design in self.designs:
                design.pressure(self._next)
            self._next += self.interval

    def finish(self, now: int) -> None:
        """The trace has ended at `now`: what is stranded is stranded until then."""
        self.pass_time(now)
        for head in list(self._folios):
            self._leave(head, now, freed=False)
        for stranded in (self.stranded, *(design.stranded for design in self.designs)):
            stranded.add(0, now)

    def _live(self, events: Events, index: int, first: int) -> None:
        kind, number, other = (int(column[index]) for column in (events.kind, events.mm, events.other))
        if kind != ev.FREE_HINT:
            self.descent.see(kind, number, other)
            return
        head = self._heads.get(other)
        if head is not None and self._folios.get(head) is not None:
            now = int(events.time[index]) - first
            self.pass_time(now)
            self._leave(head, now, freed=False)
            self._folios[head] = None
            self.seen["disturbed"] += 1

    def _open(self, events: Events, index: int, head: int, order: int) -> None:
        """A folio is mapped for the first time; it is left out if it was there before, or is a file's."""
        kind, number, pfn = (int(column[index]) for column in (events.kind, events.mm, events.other))
        if order < 0 or kind in BEFORE:
            self._folios[head] = None
            self.seen["earlier"] += kind == ev.PRESENT
            return
        self.descent.see(kind, number, 0)
        folio = Folio(1 << order, pfn, self.descent.mm(number))
        self._folios[head] = folio
        if pfn:
            self._heads[pfn] = head
        self.seen["folios"] += 1
        for design in self.designs:
            design.opened(folio)

    def _change(self, folio: Folio, mapped_pages: int, distinct: int, now: int) -> None:
        fewer = mapped_pages < folio.mapped_pages
        more = folio.pages - distinct - folio.unmapped
        folio.mapped_pages = mapped_pages
        folio.unmapped += more
        if more:
            if not folio.was_partial:
                folio.was_partial = True
                self.seen["partial"] += 1
            self.stranded.add(more, now)
            for design in self.designs:
                design.strand(folio, more, now)
        if fewer:
            self._removed(folio, now)

    def _removed(self, folio: Folio, now: int) -> None:
        folio.walked = self.descent.walked(folio.mm)
        known = folio.known(False, True)
        self.seen["removals"] += 1
        self.seen["certain"] += known.certain
        self.seen["doubtful"] += known.doubtful
        self.seen["doubtful_partial"] += known.doubtful and folio.unmapped > 0
        for design in self.designs:
            design.removed(folio, now)

    def _gone(self, head: int, now: int) -> None:
        self._leave(head, now, freed=True)

    def _leave(self, head: int, now: int, freed: bool) -> None:
        folio = self._folios.pop(head, None)
        if folio is None:
            return
        if self._heads.get(folio.pfn) == head:
            del self._heads[folio.pfn]
        self.stranded.add(-folio.unmapped, now)
        for design in self.designs:
            design.gone(folio, now, freed)
