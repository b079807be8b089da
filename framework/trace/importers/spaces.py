"""The address spaces of a trace: each gets a number when a fork or exec creates it.

The key of an address space is the PID of its process, since threads share an MM. Between the beginning and the end of
a teardown it is not known which pages are still mapped (docs/real-kernels.md, "Recording programs"), so the outcomes of
writes by other members of the family are marked UNCERTAIN for that time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.contract.trace_records import Exec, ExecBegin, Exit, Name, Reaped, Task, Torn
from foliolab.framework.trace import events
from foliolab.framework.trace.header import AddressSpace
from foliolab.framework.trace.importers.batch import Batch
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


class Spaces:
    """The address spaces of a trace.

    Args:
        batch: gets the events.

    Attributes:
        exit_uncertainty: sum of the durations of all teardowns, in ns.
        assumed: number of teardowns without a recorded end.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.exit_uncertainty = 0
        self.assumed = 0
        self._all: list[Space] = []
        self._of: dict[int, Space] = {}
        self._leaving: dict[int, list[Space]] = {}
        self._queue: deque[Space] = deque()
        self._dying: dict[int, int] = {}
        self._newest: dict[int, int] = {}

    def of(self, pid: int) -> Space:
        """The MM of a process; a process that existed before the trace gets one at its first record."""
        space = self._of.get(pid)
        return space if space is not None else self._born(pid, EARLIER)

    def name(self, record: Name) -> None:
        if space := self._of.get(record.pid):
            space.comm = record.comm

    def names(self) -> list[AddressSpace]:
        return [AddressSpace(mm=space.number, pid=space.pid, comm=space.comm) for space in self._all]

    def uncertain(self, space: Space) -> bool:
        """Whether another MM of the family is in its teardown."""
        dying = self._dying.get(space.family, 0)
        return dying > (1 if space.leaving else 0)

    # -- records -----------------------------------------------------------------------------------
    def task(self, record: Task) -> None:
        flags = record.flags or 0
        if record.flags is None and self._newest.pop(record.tid, 0) == record.child:
            return  # sched_process_fork repeats a task_newtask
        if record.flags is not None:
            self._newest[record.tid] = record.child
        if flags & CLONE_THREAD:
            return
        parent = self.of(record.pid)
        spawned = bool(flags & CLONE_VM)
        child = self._born(record.child, parent.family)
        child.comm, child.untouched = record.comm or parent.comm, False
        child.brk = parent.brk
        child.ranges = parent.ranges if spawned else parent.ranges.copy()
        child.lender = parent if spawned else None
        kind = events.SPAWN if spawned else events.FORK
        flags = events.UNCERTAIN if self.uncertain(parent) else 0
        self.batch.add(record.time, parent.number, kind, flags, cpu=record.cpu, other=child.number)

    def exec_begin(self, record: ExecBegin) -> None:
        """Begin a new MM: faults from the point of no return on are those of the new program."""
        old = self.of(record.pid)
        if old.untouched:
            return  # the child of the tracer, which executes the traced command
        new = self._born(record.pid, 0)
        new.comm = old.comm
        self.batch.add(record.time, old.number, events.EXEC, cpu=record.cpu, other=new.number)
        if not old.lender:
            old.replaced = True
            self._depart(old, record.time)

    def exec(self, record: Exec) -> None:
        space = self.of(record.pid)
        if not space.untouched:  # no ExecBegin came before
            self.exec_begin(ExecBegin(*record[:4]))
            space = self._of[record.pid]
        self._arrive(record.pid, record.time)
        space.comm, space.untouched = record.comm or space.comm, False

    def exit(self, record: Exit) -> None:
        space = self._of.get(record.pid)
        if space is None or not record.last:
            return
        del self._of[record.pid]
        self.batch.add(record.time, space.number, events.EXIT, cpu=record.cpu)
        self._depart(space, record.time)

    def torn(self, record: Torn) -> None:
        self._arrive(record.pid, record.time, record.cpu)

    def reaped(self, record: Reaped) -> None:
        self._arrive(record.child, record.time, record.cpu)

    def expire(self, now: int) -> None:
        """End teardowns that timed out."""
        while self._queue and (not self._queue[0].leaving or self._queue[0].leaving + TEARDOWN_TIMEOUT < now):
            space = self._queue.popleft()
            if space.leaving:
                self.assumed += 1
                self._arrive(space.pid, min(now, space.leaving + TEARDOWN_TIMEOUT))

    def close(self, now: int) -> None:
        """End all teardowns at the end of the trace."""
        for pid in list(self._leaving):
            self.assumed += len(self._leaving[pid])
            self._arrive(pid, now)

    # -- bookkeeping -------------------------------------------------------------------------------
    def _born(self, pid: int, family: int) -> Space:
        number = len(self._all) + 1
        space = Space(number, pid, family or number)
        self._all.append(space)
        self._of[pid] = space
        return space

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
            if not space.replaced:
                self.batch.add(time, space.number, events.GONE, cpu=cpu)
