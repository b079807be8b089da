"""The state machine that turns the records of all tracers into trace events.

No tracepoint has the outcome of a write fault, so the outcome is inferred from the next records of the same thread.
If the thread allocates a movable page before its next record of another kind, the kernel copied to that page; if no
page was mapped before, the allocation is the new folio, and its order gives the folio's first page. If the thread
allocates nothing, the kernel reused the page. Two cases are excluded: a page that is added to the page cache is not a
copy, and a page that the allocator cleared replaces the zero page. Source: wp_page_copy and do_anonymous_page in
mm/memory.c; docs/real-kernels.md, "Recording programs". tests/trace compares the result with programs that know what
they did.

That a thread allocates nothing says something only where the source shows allocations. Until the first one, outcomes
are unknown, unless the header says that the source shows them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from foliolab.framework.contract.trace_records import (
    PRESENT_UNKNOWN,
    Alloc,
    Cached,
    Enter,
    Exec,
    ExecBegin,
    Exit,
    Fault,
    Hint,
    Leave,
    Lost,
    Name,
    Reaped,
    Record,
    Task,
    Torn,
)
from foliolab.framework.contract.trace_records import Row as ReadyRow
from foliolab.framework.trace import events
from foliolab.framework.trace.addressspaces import AddressSpaces
from foliolab.framework.trace.header import NOT_KNOWN, Shows
from foliolab.framework.trace.importers.batch import DROPPED, FEW, MOST, OPEN, Batch, EventRow, Sink
from foliolab.framework.trace.importers.calls import PAGE_SHIFT, Call, Calls
from foliolab.framework.trace.importers.diagnosis import RECORD
from foliolab.framework.trace.importers.spaces import Space, Spaces

PRESENT_BIT: Final = 1
WRITE_BIT: Final = 2
USER_END: Final = 1 << 56
FAULT_TIMEOUT: Final = 50_000_000
"""ns after which a fault without an allocation counts as reused, if the thread has no further record."""
ENDS_FAULT: Final = frozenset({Fault, Task, ExecBegin, Exec, Exit, Reaped, Enter, Leave, Call})
"""Records that cannot belong to the pending fault of their thread."""
EXPIRE_EVERY: Final = 1024
"""Number of records between two searches for faults and teardowns that timed out."""


@dataclass(eq=False, slots=True)
class _PendingFault:
    """A write fault whose outcome is not known yet.

    Its event gets the time of its last record. If rows of others came between the fault and the allocation, it has two
    rows, one of which is dropped.

    Attributes:
        fault: the record.
        space: the address space.
        flags: of the event.
        reused: the row for a fault without an allocation.
        began: the time of that row, before the allocation's.
        copied: the row with the time of the allocation; it may be the same one.
        alloc: the record of the allocation.
    """

    fault: Fault
    space: Space
    flags: int
    reused: EventRow
    began: int
    copied: EventRow | None = None
    alloc: Alloc | None = None


class Assembly:
    """Makes events of records.

    Args:
        sink: the destination of the events.
        gone: the destination of the address spaces that are gone.
        declared: what is known of the source without its records.

    Attributes:
        batch: rows of events that are not written yet.
        spaces: the address spaces.
        calls: the system calls.
        lost: number of records that the tracer lost.
        losses: how often it lost some: the number of events that say so.
        hints: counts of what the kernel itself did to folios, such as "pages were migrated".
        records: number of records so far.
        large: whether a large folio occurs.
        undecided: write faults of which it is not known whether their page was present, and so neither their outcome.
        unmapped: write faults on pages that were not present, and that no allocation followed: they make no event.
    """

    def __init__(self, sink: Sink, gone: AddressSpaces, declared: Shows = NOT_KNOWN) -> None:
        self.batch = Batch(sink)
        self.spaces = Spaces(self.batch, gone)
        self.calls = Calls(self.batch)
        self.lost = 0
        self.losses = 0
        self.hints: dict[str, int] = {}
        self.records = 0
        self.unmapped = 0
        self.undecided = 0
        self.large = False
        self._declared = declared
        self._seen: dict[type, Callable[[Any], None]] = {}
        self._row_kinds: set[int] = set()
        self._sees_allocations = bool(declared.allocations)
        self._perhaps_reused: deque[EventRow] = deque(maxlen=2 * MOST)
        if declared.allocations is None:
            self.batch.most = 2 * MOST  # the first allocation says what the faults before it were
        self._now = 0
        self._pending: dict[int, _PendingFault] = {}
        self._queue: deque[_PendingFault] = deque()
        self._handlers: dict[type, Callable[[Any], None]] = {
            Fault: self._fault, Alloc: self._alloc, Cached: self._cached, Task: self.spaces.task,
            ExecBegin: self.spaces.exec_begin, Exec: self.spaces.exec, Exit: self.spaces.exit, Torn: self.spaces.torn,
            Reaped: self.spaces.reaped, Enter: self.calls.enter, Leave: self._leave, Call: self._call,
            Lost: self._lost, Hint: self._hint, Name: self.spaces.name, ReadyRow: self._row,
        }  # fmt: skip

    def run(self, records: Iterable[Record]) -> None:
        """Process records in the order of time."""
        seen = self._seen
        undecided, pending = self.spaces.undecided, self._pending
        record: Any = None  # of any type, told by `kind`
        try:
            for record in records:
                kind = record.__class__
                handler = seen.get(kind) or self._first_of(kind)
                if undecided and (tid := getattr(record, "tid", 0)):
                    self.spaces.seen(getattr(record, "pid", 0), tid)
                if pending and kind in ENDS_FAULT and record.tid in pending:
                    self._resolve(record.tid)
                handler(record)
                self.records += 1
                if not self.records % EXPIRE_EVERY:
                    self._now = record.time
                    self._expire()
        finally:
            self._now = record.time if record is not None else self._now

    def close(self) -> None:
        """Decide all pending faults and teardowns, and write all events."""
        for tid in list(self._pending):
            self._resolve(tid)
        self.spaces.close(self._now)
        self.batch.close()

    def shown(self, times: bool) -> Shows:
        """Which kinds of events the source showed.

        Args:
            times: whether it has times.
        """
        kinds, rows, spaces = self._seen, self._row_kinds, self.spaces
        whole = rows & {events.PRESENT, events.NEW, events.MAP}
        ended, ends = bool(spaces.ended or events.GONE in rows), Exit in kinds or events.EXIT in rows
        shows = self._declared.or_else(
            Shows(
                faults=bool(Fault in kinds or whole),
                allocations=bool(self._sees_allocations or whole),
                threads=True if spaces.flagged else None,
                teardown=ended if ends else None,
                ranges=bool({Leave, Call} & kinds.keys() or events.UNMAP in rows),
                history=not spaces.earlier,
                times=times,
            )
        )
        return msgspec.structs.replace(shows, threads=False) if spaces.unflagged else shows

    def _first_of(self, kind: type) -> Callable[[Any], None]:
        """Note that the source shows records of this kind; what handles them."""
        handler = self._seen[kind] = self._handlers[kind]
        if kind is Alloc:
            self._sees_allocations = True
            self.batch.most = FEW
            for row in self._perhaps_reused:
                row[3] |= events.REUSED  # a row that is written already stays unknown
            self._perhaps_reused.clear()
        return handler

    def nothing(self, names: str) -> tuple[str, str]:
        """What happened, and what to do, if the records of these texts made no event."""
        if not self.records:
            return f"{names} holds no event of a known kind", RECORD
        if self.unmapped:
            return (
                f"the {self.records:,} records of {names} make no event: no allocation follows any of the "
                f"{self.unmapped:,} write faults on pages that were not present",
                f"such a fault needs an allocation of the same thread behind it (kmem:mm_page_alloc): {RECORD}",
            )
        return (
            f"the {self.records:,} records of {names} make no event: no write fault, fork, exec, exit or unmap is "
            "among them",
            f"`foliolab reference records` says which records make events; {RECORD}",
        )

    # -- faults ------------------------------------------------------------------------------------
    def _fault(self, fault: Fault) -> None:
        if not fault.error & WRITE_BIT or fault.address >= USER_END:
            return
        space = self.spaces.of(fault.pid)
        if not fault.kernel:
            space.untouched = False
        flags = events.KERNEL if fault.kernel else 0
        if self.spaces.uncertain(space):
            flags |= events.UNCERTAIN
        page = fault.address >> PAGE_SHIFT
        if space.ranges.starts and page in space.ranges:
            flags |= events.FILE
        row = self.batch.add(fault.time, space.number, OPEN, flags, 0, fault.cpu, page, 1)
        pending = self._pending[fault.tid] = _PendingFault(fault, space, flags, row, row[0])
        self._queue.append(pending)

    def _alloc(self, alloc: Alloc) -> None:
        pending = self._pending.get(alloc.tid)
        if pending is None:
            self.calls.alloc(alloc)
        elif pending.alloc is None:
            pending.alloc = alloc
            row = pending.reused
            if not self.batch.postponed(row, alloc.time):
                row = self.batch.add(alloc.time, pending.space.number, OPEN, pending.flags, 0, 0, row[6], 1)
            row[5] = alloc.cpu
            pending.copied = row

    def _cached(self, cached: Cached) -> None:
        pending = self._pending.get(cached.tid)
        if pending and pending.alloc and pending.alloc.pfn == cached.pfn:
            assert pending.copied is not None
            if pending.copied is pending.reused:
                pending.reused[0], pending.reused[5] = pending.began, pending.fault.cpu
            else:
                pending.copied[2] = DROPPED
            pending.copied = pending.alloc = None

    def _resolve(self, tid: int) -> None:
        """Decide the pending fault of a thread."""
        pending = self._pending.pop(tid)
        present = pending.fault.error & PRESENT_BIT
        alloc, reused, copied = pending.alloc, pending.reused, pending.copied
        if pending.fault.error & PRESENT_UNKNOWN and not (alloc and (alloc.zero or alloc.order)):
            self.undecided += 1
            copied = copied or reused
            reused[2] = DROPPED
            copied[2], copied[3] = events.WRITE, copied[3] | events.UNCERTAIN
            return
        if alloc is None or copied is None:
            reused[2] = events.WRITE if present else DROPPED
            self.unmapped += not present
            if self._sees_allocations:
                reused[3] |= events.REUSED
            else:
                self._perhaps_reused.append(reused)
            return
        reused[2] = DROPPED
        if present and not alloc.zero:
            copied[2], copied[3], copied[8] = events.WRITE, copied[3] | events.COPIED, alloc.pfn
            return
        nr = 1 << alloc.order
        copied[2], copied[4], copied[6], copied[7], copied[8] = events.NEW, alloc.order, copied[6] & -nr, nr, alloc.pfn
        self.large |= alloc.order > 0
        self.calls.huge |= alloc.order >= 9

    def _expire(self) -> None:
        """Decide faults and teardowns that timed out, so that a silent thread does not hold back the batch."""
        self.spaces.expire(self._now)
        while self._queue:
            first = self._queue[0]
            tid = first.fault.tid
            if self._pending.get(tid) is first:
                if first.fault.time + FAULT_TIMEOUT > self._now:
                    return
                self._resolve(tid)
            self._queue.popleft()

    # -- calls, names and hints --------------------------------------------------------------------
    def _call(self, record: Call) -> None:
        space = self.spaces.of(record.pid)
        space.untouched = False
        self.calls.call(space, record)

    def _leave(self, record: Leave) -> None:
        space = self.spaces.of(record.pid)
        space.untouched = False
        self.calls.leave(space, record)

    def _lost(self, record: Lost) -> None:
        self.lost += record.nr
        self.losses += 1
        self.batch.add(record.time, 0, events.LOST, nr=record.nr)

    def _hint(self, record: Hint) -> None:
        self.hints[record.what] = self.hints.get(record.what, 0) + 1
        if record.pfn:
            self.batch.add(record.time, 0, events.FREE_HINT, other=record.pfn)

    def _row(self, row: ReadyRow) -> None:
        space = self.spaces.of(row.pid)
        space.untouched = False
        self._row_kinds.add(row.kind)
        self.large |= row.order > 0
        self.calls.huge |= row.order >= 9
        self.batch.add(row.time, space.number, row.kind, row.flags, row.order, 0, row.page, row.nr, row.other)
