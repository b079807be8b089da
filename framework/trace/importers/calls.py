"""The effect of system calls on an address space: ranges that are unmapped, moved, populated or mapped from a file.

The constants are those of Linux's uapi (asm-generic/mman-common.h) and of x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from foliolab.framework.contract.trace_records import Alloc, Enter, Leave
from foliolab.framework.trace import events
from foliolab.framework.trace.importers.batch import Batch
from foliolab.framework.trace.importers.spaces import Space

PAGE_SHIFT: Final = 12
PMD_PAGES: Final = 512

MAP_SHARED: Final = 1
MAP_TYPE: Final = 0xF
MAP_FIXED: Final = 0x10
MAP_ANONYMOUS: Final = 0x20
MAP_POPULATE: Final = 0x8000

MADV_POPULATE_WRITE: Final = 23
DROPPING: Final = {4: "DONTNEED", 9: "REMOVE", 24: "DONTNEED_LOCKED", 102: "GUARD_INSTALL"}
"""Advice of madvise that unmaps the pages."""
UNMODELLED: Final = {
    8: "MADV_FREE", 10: "MADV_DONTFORK", 12: "MADV_MERGEABLE", 18: "MADV_WIPEONFORK", 21: "MADV_PAGEOUT",
    25: "MADV_COLLAPSE",
}  # fmt: skip
"""Advice for which a trace has no event."""

ARGUMENTS: Final = {"mmap": 4, "munmap": 2, "madvise": 3, "mremap": 4, "mprotect": 3, "brk": 1}
"""The calls that are followed, and how many of their arguments are needed."""


class Call(NamedTuple):
    """A system call that is over: Enter and Leave in one, of a text that has both in a line."""

    time: int
    cpu: int
    pid: int
    tid: int
    call: str
    args: tuple[int, ...]
    result: int


def pages(start: int, length: int) -> tuple[int, int]:
    """The first page of a range of bytes, and the first page behind it."""
    return start >> PAGE_SHIFT, (start + length + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT


class Calls:
    """Follows the system calls of every thread.

    A call's arguments are in the record of its entry, and its result in the record of its return; the events are made
    at the return.

    Args:
        batch: gets the events.

    Attributes:
        unmodelled: counts of advice for which a trace has no event, by name.
        huge: whether the trace has a folio of PMD size, so that PMD mappings can be split.
        unknown_populated: number of pages that a call populated with folios of unknown order.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.unmodelled: dict[str, int] = {}
        self.unknown_populated = 0
        self.huge = False
        self._open: dict[int, Enter] = {}
        self._populating: dict[int, list[Alloc]] = {}
        self._on: dict[str, Callable[[Space, Enter | Call, Leave | Call], None]] = {
            "mmap": self._mmap, "munmap": self._munmap, "madvise": self._madvise, "mremap": self._mremap,
            "mprotect": self._mprotect, "brk": self._brk,
        }  # fmt: skip

    def enter(self, record: Enter) -> None:
        if len(record.args) < ARGUMENTS.get(record.call, 1 << 30):
            return
        self._open[record.tid] = record
        args = record.args
        if (record.call == "mmap" and args[3] & MAP_POPULATE) or (
            record.call == "madvise" and args[2] == MADV_POPULATE_WRITE
        ):
            self._populating[record.tid] = []

    def alloc(self, record: Alloc) -> None:
        """Keep an allocation outside of a fault if the thread is in a call that populates a range."""
        if record.tid in self._populating:
            self._populating[record.tid].append(record)

    def call(self, space: Space, record: Call) -> None:
        """Make the events of a call that is over; none if it failed."""
        if self._open:
            self._open.pop(record.tid, None)
        if not -4096 < record.result < 0:
            self._on[record.call](space, record, record)

    def leave(self, space: Space, record: Leave) -> None:
        """Make the events of a call that returned; none if it failed or its entry was not recorded."""
        began = self._open.pop(record.tid, None)
        if began is not None and began.call == record.call and not -4096 < record.result < 0:
            self._on[record.call](space, began, record)
        self._populating.pop(record.tid, None)

    # -- the calls ---------------------------------------------------------------------------------
    def _mmap(self, space: Space, began: Enter | Call, record: Leave | Call) -> None:
        _, length, _, flags = began.args[:4]
        start, end = pages(record.result, length)
        if flags & MAP_FIXED:
            self._unmap(space, record, start, end)
        if flags & MAP_SHARED or not flags & MAP_ANONYMOUS:
            space.ranges.add(start, end)
        else:
            space.ranges.remove(start, end)
            if flags & MAP_POPULATE:
                self._populated(space, record, start, end)

    def _munmap(self, space: Space, began: Enter | Call, record: Leave | Call) -> None:
        start, end = pages(*began.args[:2])
        self._unmap(space, record, start, end)
        space.ranges.remove(start, end)

    def _madvise(self, space: Space, began: Enter | Call, record: Leave | Call) -> None:
        address, length, advice = began.args[:3]
        start, end = pages(address, length)
        if advice in DROPPING:
            self._unmap(space, record, start, end)
        elif advice == MADV_POPULATE_WRITE:
            self._populated(space, record, start, end)
        elif advice in UNMODELLED:
            name = UNMODELLED[advice]
            self.unmodelled[name] = self.unmodelled.get(name, 0) + 1

    def _mremap(self, space: Space, began: Enter | Call, record: Leave | Call) -> None:
        address, old, new = began.args[:3]
        start, end = pages(address, old)
        kept = min(end - start, pages(address, new)[1] - start)
        if kept < end - start:
            self._unmap(space, record, start + kept, end)
            space.ranges.remove(start + kept, end)
        to = record.result >> PAGE_SHIFT
        if to != start and kept:
            self._split(space, record, start, start + kept)
            self.batch.add(record.time, space.number, events.MOVE, 0, 0, record.cpu, start, kept, to)
            space.ranges.move(start, kept, to)

    def _mprotect(self, space: Space, began: Enter | Call, record: Leave | Call) -> None:
        if self.huge:
            self._split(space, record, *pages(*began.args[:2]))

    def _brk(self, space: Space, began: Enter | Call, record: Leave | Call) -> None:
        if space.brk and record.result < space.brk:
            self._unmap(space, record, pages(0, record.result)[1], pages(0, space.brk)[1])
        space.brk = record.result

    # -- events ------------------------------------------------------------------------------------
    def _unmap(self, space: Space, record: Leave | Call, start: int, end: int) -> None:
        if end > start:
            self.batch.add(record.time, space.number, events.UNMAP, 0, 0, record.cpu, start, end - start)

    def _split(self, space: Space, record: Leave | Call, start: int, end: int) -> None:
        """SPLIT events for PMDs that the range covers in part: at most the first and the last one."""
        if not self.huge:
            return
        edges = {edge // PMD_PAGES: edge for edge in (end - 1, start) if end > start}
        for edge in sorted(edges.values()):
            first = edge // PMD_PAGES * PMD_PAGES
            if start > first or end < first + PMD_PAGES:
                self.batch.add(record.time, space.number, events.SPLIT, 0, 0, record.cpu, edge, 1)

    def _populated(self, space: Space, record: Leave | Call, start: int, end: int) -> None:
        """NEW events of a populated range, if the allocations of the call fill the range exactly and aligned."""
        found = self._populating.get(record.tid, [])
        page, rows = start, []
        for alloc in found:
            if page % (1 << alloc.order):
                break
            rows.append((alloc.order, page, alloc.pfn))
            page += 1 << alloc.order
        if page != end or len(rows) != len(found):
            self.unknown_populated += end - start
            return
        for order, first, pfn in rows:
            self.batch.add(
                record.time, space.number, events.NEW, events.KERNEL, order, record.cpu, first, 1 << order, pfn
            )
