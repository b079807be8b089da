"""The address spaces of a trace: each gets a number when a fork or exec creates it.

The key of an address space is the PID of its process, since threads share an MM. Between the beginning and the end of
a teardown it is not known which pages are still mapped (docs/real-kernels.md, "Recording programs"), so the outcomes of
writes by other members of the family are marked UNCERTAIN for that time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.contract.trace_records import Exec, ExecBegin, Exit, Name, Reaped, Task, Torn
from foliolab.framework.trace import events
from foliolab.framework.trace.addressspaces import AddressSpaces
from foliolab.framework.trace.header import AddressSpace
from foliolab.framework.trace.importers.batch import DROPPED, OPEN, Batch, EventRow
from foliolab.framework.trace.importers.ranges import FileRanges

CLONE_VM: Final = 0x100
CLONE_THREAD: Final = 0x10000
EARLIER: Final = -1
"""The family of all MMs that existed before the trace: which of them share folios is not known."""
TEARDOWN_TIMEOUT: Final = 1_000_000_000
"""ns after which a teardown without a recorded end counts as over."""


@dataclass(eq=False, slots=True)
class Space:
    """An address space.

    Attributes:
        number: in the trace.
        pid: of its process.
        family: a number that is equal for MMs that may share folios: fork keeps it, exec begins a new family.
        comm: the name of the process.
        ranges: ranges that are known to be shared or of a file.
        brk: end of the heap in bytes; 0 while unknown.
        untouched: no record but faults inside of exec is known.
        lender: the MM that the process uses between vfork and exec.
        leaving: time at which its teardown began; 0 before and after the teardown.
        replaced: exec replaced it, and the process goes on with another MM.
        earlier: it may have pages from before the trace began.
    """

    number: int
    pid: int
    family: int
    comm: str = ""
    ranges: FileRanges = field(default_factory=FileRanges)
    brk: int = 0
    untouched: bool = True
    lender: Space | None = None
    leaving: int = 0
    replaced: bool = False
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class _Undecided:
    """A new task of which it is not known whether it is a thread: when, the open row of its fork, and its MM."""

    time: int
    row: EventRow
    child: Space


class Spaces:
    """The address spaces of a trace.

    Args:
        batch: gets the events.
        gone: gets the address spaces that are gone.

    Attributes:
        exit_uncertainty: sum of the durations of all teardowns, in ns.
        assumed: number of teardowns without a recorded end.
        ended: number of teardowns with a recorded end.
        flagged: number of new tasks with clone's flags.
        unflagged: number of forks without flags, which may be vforks.
        undecided: records of tasks without flags, by TID, whose own records will say whether they are threads.
    """

    def __init__(self, batch: Batch, gone: AddressSpaces) -> None:
        self.batch = batch
        self.gone = gone
        self.exit_uncertainty = 0
        self.assumed = 0
        self.ended = 0
        self.flagged = 0
        self.unflagged = 0
        self.undecided: dict[int, _Undecided] = {}
        self._earlier_gone = False
        self._alive: dict[int, Space] = {}
        self._doubtful: set[int] = set()  # families with a fork without flags
        self._members: Counter[int] = Counter()  # how many MMs of a family are alive
        self._numbers = 0
        self._of: dict[int, Space] = {}
        self._leaving: dict[int, list[Space]] = {}
        self._queue: deque[Space] = deque()
        self._dying: dict[int, int] = {}
        self._newest: dict[int, int] = {}

    def of(self, pid: int) -> Space:
        """The MM of a process; a process that existed before the trace gets one at its first record."""
        space = self._of.get(pid)
        if space is None:
            space = self._born(pid, EARLIER)
            space.earlier = True
        return space

    def name(self, record: Name) -> None:
        if space := self._of.get(record.pid):
            space.comm = record.comm

    def __len__(self) -> int:
        return len(self.gone) + len(self._alive)

    def __iter__(self) -> Iterator[AddressSpace]:
        yield from self.gone
        yield from map(_described, self._alive.values())

    @property
    def earlier(self) -> bool:
        """Whether an MM may have pages from before the trace began."""
        return self._earlier_gone or any(space.earlier for space in self._alive.values())

    def uncertain(self, space: Space) -> bool:
        """Whether another MM of the family is in its teardown, or may not be one."""
        dying = self._dying.get(space.family, 0)
        return dying > (1 if space.leaving else 0) or space.family in self._doubtful

    # -- records -----------------------------------------------------------------------------------
    def task(self, record: Task) -> None:
        flags = record.flags or 0
        if record.flags is None and self._newest.pop(record.tid, 0) == record.child:
            return  # sched_process_fork repeats a task_newtask
        if record.flags is not None:
            self._newest[record.tid] = record.child
        self.flagged += record.flags is not None
        if flags & CLONE_THREAD:
            return
        parent = self.of(record.pid)
        if record.child in self._of and record.child != record.pid:
            self._settle(record.child)
            self.exit(Exit(record.time, record.cpu, record.child, record.child, last=True))  # its end was not recorded
        spawned = bool(flags & CLONE_VM)
        child = self._born(record.child, parent.family)
        child.comm, child.untouched = record.comm or parent.comm, False
        child.brk = parent.brk
        child.ranges = parent.ranges if spawned else parent.ranges.copy()
        child.lender = parent if spawned else None
        child.earlier = parent.earlier
        kind = events.SPAWN if spawned else events.FORK
        flags = events.UNCERTAIN if self.uncertain(parent) else 0
        row = self.batch.add(record.time, parent.number, kind, flags, cpu=record.cpu, other=child.number)
        if record.flags is None:
            row[2] = OPEN
            self.undecided[record.child] = _Undecided(record.time, row, child)

    def seen(self, pid: int, tid: int) -> None:
        """Decide whether a task without flags is a thread, now that it has a record of its own."""
        if tid in self.undecided:
            self._settle(tid, thread=pid != tid)

    def _settle(self, tid: int, thread: bool = False) -> None:
        task = self.undecided.pop(tid, None)
        if task is None:
            return
        if thread:
            task.row[2] = DROPPED
            self._of.pop(tid, None)
            self._remove(task.child)
            return
        task.row[2] = events.FORK
        # vfork looks the same: whether the pages are shared from here on is not known
        self.unflagged += 1
        self._doubtful.add(task.child.family)

    def exec_begin(self, record: ExecBegin) -> None:
        """Begin a new MM: faults from the point of no return on are those of the new program."""
        old = self.of(record.pid)
        if old.untouched:
            old.earlier = False
            return  # the child of the tracer, which executes the traced command
        new = self._born(record.pid, 0)
        new.comm = old.comm
        self.batch.add(record.time, old.number, events.EXEC, cpu=record.cpu, other=new.number)
        if old.lender:
            self._forget(old)
        else:
            old.replaced = True
            self._depart(old, record.time)

    def exec(self, record: Exec) -> None:
        space = self.of(record.pid)
        if not space.untouched:  # no ExecBegin came before
            self.exec_begin(ExecBegin(*record[:4]))
            space = self._of[record.pid]
        space.earlier = False  # perf begins to record a command inside of exec, when the new MM is there
        self._arrive(record.pid, record.time)
        space.comm, space.untouched = record.comm or space.comm, False

    def exit(self, record: Exit) -> None:
        self._newest.pop(record.tid, None)
        space = self._of.get(record.pid)
        if space is None or not record.last:
            return
        del self._of[record.pid]
        self.batch.add(record.time, space.number, events.EXIT, cpu=record.cpu)
        self._depart(space, record.time)

    def torn(self, record: Torn) -> None:
        self.ended += record.pid in self._leaving
        self._arrive(record.pid, record.time, record.cpu)

    def reaped(self, record: Reaped) -> None:
        self.ended += record.child in self._leaving
        self._arrive(record.child, record.time, record.cpu)

    def expire(self, now: int) -> None:
        """End teardowns that timed out, and take tasks that never had a record for processes."""
        for tid in [tid for tid, task in self.undecided.items() if task.time + TEARDOWN_TIMEOUT < now]:
            self._settle(tid)
        while self._queue and (not self._queue[0].leaving or self._queue[0].leaving + TEARDOWN_TIMEOUT < now):
            space = self._queue.popleft()
            if space.leaving:
                self.assumed += 1
                self._arrive(space.pid, min(now, space.leaving + TEARDOWN_TIMEOUT))

    def close(self, now: int) -> None:
        """End all teardowns at the end of the trace."""
        for tid in list(self.undecided):
            self._settle(tid)
        for pid in list(self._leaving):
            self.assumed += len(self._leaving[pid])
            self._arrive(pid, now)

    # -- bookkeeping -------------------------------------------------------------------------------
    def _born(self, pid: int, family: int) -> Space:
        self._numbers += 1
        space = Space(self._numbers, pid, family or self._numbers)
        self._alive[space.number] = space
        self._members[space.family] += 1
        self._of[pid] = space
        return space

    def _remove(self, space: Space) -> None:
        del self._alive[space.number]
        self._members[space.family] -= 1
        if not self._members[space.family]:
            del self._members[space.family]
            self._doubtful.discard(space.family)

    def _depart(self, space: Space, time: int) -> None:
        space.leaving = max(time, 1)
        self._leaving.setdefault(space.pid, []).append(space)
        self._queue.append(space)
        if not space.lender:
            self._dying[space.family] = self._dying.get(space.family, 0) + 1

    def _arrive(self, pid: int, time: int, cpu: int = 0) -> None:
        for space in self._leaving.pop(pid, ()):
            self.exit_uncertainty += max(time - space.leaving, 0)
            space.leaving = 0
            if not space.lender:
                self._dying[space.family] -= 1
                if not self._dying[space.family]:
                    del self._dying[space.family]
            if not space.replaced:
                self.batch.add(time, space.number, events.GONE, cpu=cpu)
            self._forget(space)

    def _forget(self, space: Space) -> None:
        self._remove(space)
        self._earlier_gone |= space.earlier
        self.gone.add(_described(space))


def _described(space: Space) -> AddressSpace:
    return AddressSpace(mm=space.number, pid=space.pid, comm=space.comm, earlier=space.earlier)
