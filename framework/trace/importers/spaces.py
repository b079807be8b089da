"""Whose address space a process has: MMs numbered through a trace, born by fork, lost by exec and exit.

Processes are told apart by pid (their threads share the MM). From the beginning of a teardown to its certain end
the pages of an MM may or may not be mapped; until then what its relatives do is uncertain.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.contract.trace_records import Exec, ExecBegin, Exit, Reaped, Task, Torn
from foliolab.framework.trace import events
from foliolab.framework.trace.header import AddressSpace
from foliolab.framework.trace.importers.batch import Batch
from foliolab.framework.trace.importers.ranges import FileRanges

CLONE_VM: Final = 0x100
CLONE_THREAD: Final = 0x10000
EARLIER: Final = -1
"""The family of all MMs from before the trace: whether they share folios is not known."""
PATIENCE: Final = 1_000_000_000
"""ns after which a teardown that nobody saw end is taken to be over."""


@dataclass(eq=False, slots=True)
class Space:
    """An MM.

    Attributes:
        number: in the trace.
        pid: its process.
        family: what it shares with every MM that it may share folios with: forks keep it, exec begins a new one.
        comm: the process's name.
        ranges: what is known to be of a file, or shared.
        brk: the end of the heap in bytes, 0 while unknown.
        untouched: nothing but exec's own faults is known of it yet.
        lender: whose MM it really is, between vfork and exec.
        leaving: when its teardown began, 0 before and after it.
        replaced: by the new program's MM; the process lives on.
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
    """The MMs of a trace.

    Args:
        batch: takes the events.

    Attributes:
        exit_uncertainty: summed ns from the beginning of teardowns to their ends.
        assumed: teardowns whose end nobody saw.
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
        """The MM of a process; one that existed before the trace gets its number now."""
        space = self._of.get(pid)
        return space if space is not None else self._born(pid, EARLIER)

    def known(self, pid: int) -> Space | None:
        """The MM of a process, if it has one by now."""
        return self._of.get(pid)

    def name(self, pid: int, comm: str) -> None:
        """The process is called so."""
        if space := self._of.get(pid):
            space.comm = comm

    def names(self) -> list[AddressSpace]:
        """All MMs, for the header."""
        return [AddressSpace(mm=space.number, pid=space.pid, comm=space.comm) for space in self._all]

    def uncertain(self, space: Space) -> bool:
        """Whether a relative of this MM is between the beginning and the end of its teardown."""
        dying = self._dying.get(space.family, 0)
        return dying > (1 if space.leaving else 0)

    # -- what happens to them ----------------------------------------------------------------------
    def task(self, record: Task) -> None:
        """A process or a thread is made."""
        flags = record.flags or 0
        if record.flags is None and self._newest.pop(record.tid, 0) == record.child:
            return  # sched_process_fork says again what task_newtask said
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
        """The process is about to leave its MM; faults from now on are the new one's."""
        old = self.of(record.pid)
        if old.untouched:
            return  # the tracer's own child, about to become what is traced
        new = self._born(record.pid, 0)
        new.comm = old.comm
        self.batch.add(record.time, old.number, events.EXEC, cpu=record.cpu, other=new.number)
        if not old.lender:
            old.replaced = True
            self._depart(old, record.time)

    def exec(self, record: Exec) -> None:
        """The program runs; the old MM is gone."""
        space = self.of(record.pid)
        if not space.untouched:  # no ExecBegin came before
            self.exec_begin(ExecBegin(*record[:4]))
            space = self._of[record.pid]
        self._arrive(record.pid, record.time)
        space.comm, space.untouched = record.comm or space.comm, False

    def exit(self, record: Exit) -> None:
        """A thread exits, and with the last one the process; its teardown follows."""
        space = self._of.get(record.pid)
        if space is None or not record.last:
            return
        del self._of[record.pid]
        self.batch.add(record.time, space.number, events.EXIT, cpu=record.cpu)
        self._depart(space, record.time)

    def torn(self, record: Torn) -> None:
        """A teardown in this process's context is over."""
        self._arrive(record.pid, record.time, record.cpu)

    def reaped(self, record: Reaped) -> None:
        """The process was waited for, so everything of it is gone."""
        self._arrive(record.child, record.time, record.cpu)

    def expire(self, now: int) -> None:
        """Teardowns that began long ago are over, seen or not."""
        while self._queue and (not self._queue[0].leaving or self._queue[0].leaving + PATIENCE < now):
            space = self._queue.popleft()
            if space.leaving:
                self.assumed += 1
                self._arrive(space.pid, min(now, space.leaving + PATIENCE))

    def close(self, now: int) -> None:
        """The trace ends: so do the teardowns that go on."""
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
