"""The beginning of a trace of processes that ran before: what they map at one moment, though each was read at its own.

Processes go on while they are read one after the other. So the events until the last of them is read are carried out
on what was read, and the trace begins at that moment, with PRESENT events of all address spaces. Pages that changed
while their process was read come out right all the same: their last event says what is mapped there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events
from foliolab.framework.trace.importers.batch import MOST, EventRow, Sink
from foliolab.framework.trace.importers.remembered import Remembered
from foliolab.framework.trace.importers.snapshots import Numbers, ProcessSnapshot


@dataclass
class _Map:
    """What an address space maps: the pages that were read, as arrays, and what changed since.

    Attributes:
        page, pfn, order: as in `ProcessSnapshot`; never changed in place, since a fork shares them.
        changed: by page, (PFN, order); None: nothing is mapped there any more.
        rows: of the snapshot, which are not in the arrays yet.
    """

    page: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    pfn: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    order: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    changed: dict[int, tuple[int, int] | None] = field(default_factory=dict)
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)

    def settle(self) -> None:
        """Take the rows of the snapshot into the arrays."""
        if self.rows:
            page, nr, pfn, order = np.array(self.rows, np.int64).T
            offset = np.arange(nr.sum()) - np.repeat(np.cumsum(nr) - nr, nr)
            self.page, self.pfn = np.repeat(page, nr) + offset, np.repeat(pfn, nr) + offset
            self.order = np.repeat(order, nr)
            self.rows.clear()

    def copy(self) -> _Map:
        self.settle()
        return _Map(self.page, self.pfn, self.order, dict(self.changed))

    def within(self, first: int, end: int) -> dict[int, tuple[int, int]]:
        """What is mapped at pages first…end-1."""
        self.settle()
        low, high = np.searchsorted(self.page, (first, end)).tolist()
        columns = (column[low:high].tolist() for column in (self.page, self.pfn, self.order))
        found: dict[int, tuple[int, int] | None] = {
            page: (pfn, order) for page, pfn, order in zip(*columns, strict=True)
        }
        if end - first < len(self.changed):
            found |= {page: self.changed[page] for page in range(first, end) if page in self.changed}
        else:
            found |= {page: what for page, what in self.changed.items() if first <= page < end}
        return {page: what for page, what in found.items() if what is not None}

    def unmap(self, first: int, end: int) -> None:
        self.changed.update(dict.fromkeys(self.within(first, end)))

    def snapshot(self) -> ProcessSnapshot:
        """All that is mapped."""
        found = sorted(self.within(0, 1 << 62).items()) if self.changed else []
        self.settle()
        if not self.changed:
            return ProcessSnapshot(0, 0, 0, "", self.page, self.pfn, self.order)
        page = np.array([page for page, _ in found], np.int64)
        pfn, order = np.array([what for _, what in found], np.int64).reshape(-1, 2).T
        return ProcessSnapshot(0, 0, 0, "", page, pfn, order)


class Beginning:
    """A destination of events that carries out those until a moment, and passes on the others.

    Args:
        sink: the destination of the trace's events.
        at: the moment, ns.

    Attributes:
        unknown: address spaces with an event until then of which it is not known what they mapped before it.
        ended: address spaces that ended before it, of which the trace has no event.
        remembered: the slots of folios, as far as a recorder read them.
    """

    def __init__(self, sink: Sink, at: int) -> None:
        self.sink = sink
        self.at = at
        self.unknown: set[int] = set()
        self.ended: set[int] = set()
        self.remembered = Remembered()
        self._maps: dict[int, _Map] = {}
        self._read: set[int] = set()
        self._borrowers: dict[int, int] = {}  # by MM, the one whose pages it uses until it executes a program
        self._begun = False

    def append(self, events: Events, /) -> None:
        if self._begun:
            self.sink.append(events)
            return
        behind = int(np.searchsorted(events.time, np.uint64(self.at), side="right"))
        for row in events.part(np.arange(behind)).rows():
            self._carry_out(row["kind"], row["mm"], row["page"], row["nr"], row["order"], row["other"], row["flags"])
        if behind < events.size:
            self.close()
            self.sink.append(events.part(np.arange(behind, events.size)))

    def close(self) -> None:
        """Begin the trace, unless it has begun."""
        if self._begun:
            return
        self._begun = True
        found: list[EventRow] = []
        for mm, mapped in sorted(self._maps.items()):
            whole = mapped.snapshot()
            for page, nr, pfn, order in whole.runs(np.ones(len(whole.page), np.bool_)):
                found.append([self.at, mm, ev.PRESENT, 0, order, 0, page, nr, pfn])
        self.remembered.mark(found)
        found += [[self.at, of, ev.SPAWN, 0, 0, 0, 0, 0, mm] for mm, of in self._borrowers.items()]
        self._maps.clear()
        for start in range(0, len(found), MOST):
            columns = np.array(found[start : start + MOST], np.uint64).T
            self.sink.append(
                Events(*(column.astype(kind) for column, kind in zip(columns, ev.COLUMNS.values(), strict=True)))
            )

    def _carry_out(self, kind: int, mm: int, page: int, nr: int, order: int, other: int, flags: int) -> None:
        if kind == ev.PRESENT:
            if mm not in self._borrowers:
                self._present(mm, page, nr, other, order)
        elif kind in (ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT, ev.GONE):
            self._life(kind, mm, other)
        elif kind == ev.SLOTS:
            self.remembered.add(mm, other, page, nr)
        elif (mapped := self._maps.get(self._borrowers.get(mm, mm))) is None:
            self.unknown.add(mm)
        elif kind == ev.NEW and not flags & ev.FILE:
            mapped.changed.update({page + i: (other + i, order) for i in range(1 << order)})
        elif kind == ev.WRITE and flags & ev.OUTCOME == ev.COPIED:
            mapped.changed[page] = (other, 0)
        elif kind == ev.UNMAP:
            mapped.unmap(page, page + nr)
        elif kind == ev.MOVE:
            self._move(mapped, page, page + nr, other - page)

    def _present(self, mm: int, page: int, nr: int, pfn: int, order: int) -> None:
        if mm not in self._read:  # what is known from events is less than what was read now
            self._read.add(mm)
            self._maps[mm] = _Map()
            self.unknown.discard(mm)
        self._maps[mm].rows.append((page, nr, pfn, order))

    def _life(self, kind: int, mm: int, other: int) -> None:
        lender = self._borrowers.get(mm, mm)
        if kind == ev.FORK and lender in self._maps:
            self._maps[other] = self._maps[lender].copy()
        elif kind == ev.SPAWN:
            self._borrowers[other] = lender
        elif kind in (ev.EXEC, ev.EXIT, ev.GONE):
            self._maps.pop(mm, None)
            self._borrowers.pop(mm, None)
            self.unknown.discard(mm)
            self.ended.add(mm)
            if kind == ev.EXEC:
                self._maps[other] = _Map()

    def _move(self, mapped: _Map, first: int, end: int, by: int) -> None:
        """Move pages; what was read may have them at their new place already, and then they stay there."""
        moved = mapped.within(first, end)
        if moved:
            mapped.unmap(first + by, end + by)
            mapped.changed.update(dict.fromkeys(moved))
            mapped.changed.update({page + by: what for page, what in moved.items()})
