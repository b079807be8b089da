"""The one state machine that makes trace events of what tracers say.

A write fault's outcome is read from what follows in the same thread: a movable page allocated before the thread's
next record is the copy (or, where nothing was mapped, the new folio, whose order places it); none means that the
page was reused. A page that went to the page cache was no copy, and one that the allocator cleared replaced the
zero page. Source: mm/memory.c's wp_page_copy and do_anonymous_page as seen by their tracepoints; measured against
known programs in tests/trace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from foliolab.framework.contract.trace_records import (
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
from foliolab.framework.trace.importers.batch import DROPPED, OPEN, Batch, Row, Sink
from foliolab.framework.trace.importers.calls import PAGE_SHIFT, Calls
from foliolab.framework.trace.importers.spaces import Space, Spaces

PRESENT_BIT: Final = 1
WRITE_BIT: Final = 2
USER_END: Final = 1 << 56
FAULT_PATIENCE: Final = 50_000_000
"""ns after which a fault that allocated nothing has reused: nothing more was heard of the thread."""
LOOK_AFTER: Final = 1024
"""Records between two looks for what waits too long."""


@dataclass(eq=False, slots=True)
class _Pending:
    """A write fault whose outcome is not known.

    Attributes:
        fault, space: what and where.
        reused: the row of the fault's time; it stands if nothing is allocated.
        taken: the row of the allocation's time.
        alloc: the page.
    """

    fault: Fault
    space: Space
    flags: int
    reused: Row
    taken: Row | None = None
    alloc: Alloc | None = None


class Assembly:
    """Makes events of records.

    Args:
        sink: takes the finished events.

    Attributes:
        spaces, calls, batch: its parts.
        lost: records that the tracer lost.
        hints: how often the kernel moved folios by itself, by what it did.
        records: that were taken.
    """

    def __init__(self, sink: Sink) -> None:
        self.batch = Batch(sink)
        self.spaces = Spaces(self.batch)
        self.calls = Calls(self.batch)
        self.lost = 0
        self.hints: dict[str, int] = {}
        self.records = 0
        self._now = 0
        self._pending: dict[int, _Pending] = {}
        self._waiting: deque[_Pending] = deque()
        self._take: dict[type, Callable[[Any], None]] = {
            Fault: self._fault, Alloc: self._alloc, Cached: self._cached, Task: self._task,
            ExecBegin: self._exec_begin, Exec: self._exec, Exit: self._exit, Torn: self.spaces.torn,
            Reaped: self._reaped, Enter: self._enter, Leave: self._leave, Lost: self._lost, Hint: self._hint,
            Name: self._name, ReadyRow: self._row,
        }  # fmt: skip

    def run(self, records: Iterable[Record]) -> None:
        """Take records in the order of time."""
        take = self._take
        for record in records:
            self._now = record.time
            take[type(record)](record)
            self.records += 1
            if not self.records % LOOK_AFTER:
                self._look()

    def close(self) -> None:
        """The records are at an end: decide what is open, and hand everything on."""
        for tid in list(self._pending):
            self._resolve(tid)
        self.spaces.close(self._now)
        self.batch.close()

    # -- faults ------------------------------------------------------------------------------------
    def _fault(self, fault: Fault) -> None:
        if fault.tid in self._pending:
            self._resolve(fault.tid)
        if not fault.error & WRITE_BIT or fault.address >= USER_END:
            return
        space = self.spaces.of(fault.pid)
        if not fault.kernel:
            space.untouched = False
        flags = events.KERNEL if fault.kernel else 0
        if self.spaces.uncertain(space):
            flags |= events.UNCERTAIN
        page = fault.address >> PAGE_SHIFT
        if page in space.ranges:
            flags |= events.FILE
        row = self.batch.add(fault.time, space.number, OPEN, flags, 0, fault.cpu, page, 1)
        pending = self._pending[fault.tid] = _Pending(fault, space, flags, row)
        self._waiting.append(pending)

    def _alloc(self, alloc: Alloc) -> None:
        pending = self._pending.get(alloc.tid)
        if pending is None:
            self.calls.alloc(alloc)
        elif pending.alloc is None:
            pending.alloc = alloc
            pending.taken = self.batch.add(
                alloc.time, pending.space.number, OPEN, pending.flags, 0, alloc.cpu, pending.reused[6], 1
            )

    def _cached(self, cached: Cached) -> None:
        pending = self._pending.get(cached.tid)
        if pending and pending.alloc and pending.alloc.pfn == cached.pfn:
            assert pending.taken is not None
            pending.taken[2] = DROPPED
            pending.taken = pending.alloc = None

    def _resolve(self, tid: int) -> None:
        """Decide the thread's fault: nothing more can belong to it."""
        pending = self._pending.pop(tid)
        present = pending.fault.error & PRESENT_BIT
        alloc, reused, taken = pending.alloc, pending.reused, pending.taken
        if alloc is None or taken is None:
            reused[2] = events.WRITE if present else DROPPED
            reused[3] |= events.REUSED
            return
        reused[2] = DROPPED
        if present and not alloc.zero:
            taken[2], taken[3], taken[8] = events.WRITE, taken[3] | events.COPIED, alloc.pfn
            return
        nr = 1 << alloc.order
        taken[2], taken[4], taken[6], taken[7], taken[8] = events.NEW, alloc.order, taken[6] & -nr, nr, alloc.pfn
        self.calls.huge |= alloc.order >= 9

    def _done(self, tid: int) -> None:
        if tid in self._pending:
            self._resolve(tid)

    def _look(self) -> None:
        """Decide what has been open for too long."""
        self.spaces.expire(self._now)
        waiting, pending = self._waiting, self._pending
        while waiting:
            first = waiting[0]
            tid = first.fault.tid
            if pending.get(tid) is first:
                if first.fault.time + FAULT_PATIENCE > self._now:
                    return
                self._resolve(tid)
            waiting.popleft()

    # -- processes, calls and the rest -------------------------------------------------------------
    def _task(self, record: Task) -> None:
        self._done(record.tid)
        self.spaces.task(record)

    def _exec_begin(self, record: ExecBegin) -> None:
        self._done(record.tid)
        self.spaces.exec_begin(record)

    def _exec(self, record: Exec) -> None:
        self._done(record.tid)
        self.spaces.exec(record)

    def _exit(self, record: Exit) -> None:
        self._done(record.tid)
        self.spaces.exit(record)

    def _reaped(self, record: Reaped) -> None:
        self._done(record.tid)
        self.spaces.reaped(record)

    def _enter(self, record: Enter) -> None:
        self._done(record.tid)
        self.calls.enter(record)

    def _leave(self, record: Leave) -> None:
        self._done(record.tid)
        self.calls.leave(self.spaces.of(record.pid), record)

    def _name(self, record: Name) -> None:
        self.spaces.name(record.pid, record.comm)

    def _lost(self, record: Lost) -> None:
        self.lost += record.nr
        self.batch.add(record.time, 0, events.LOST, nr=record.nr)

    def _hint(self, record: Hint) -> None:
        self.hints[record.what] = self.hints.get(record.what, 0) + 1
        if record.pfn:
            self.batch.add(record.time, 0, events.FREE_HINT, other=record.pfn)

    def _row(self, row: ReadyRow) -> None:
        space = self.spaces.of(row.pid)
        space.untouched = False
        self.calls.huge |= row.order >= 9
        self.batch.add(row.time, space.number, row.kind, row.flags, row.order, 0, row.page, row.nr, row.other)
