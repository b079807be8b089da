"""Attaching to processes that run already: who belongs to the recording, and what they had mapped before it.

A list of processes is stale when it is complete: a server forks meanwhile. So a recorder records the whole host, and
what belongs to the target is chosen afterwards by descent: the processes that belonged to it when somebody looked, and
whoever they forked. Somebody looks until the events are enabled, and again afterwards, so that no fork falls between.

What was mapped before is read once the events are enabled, and then whom the kernel remembers of large folios, where
its memory can be read (`slots`). Processes are read one after the other, while they go on,
and processes that are new by then are read in further rounds. `trace.importers.beginning` makes one moment of it.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from foliolab.framework.contract.trace_records import Reaped, Record, Row, Task
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording import kernel_memory, slots, snapshots
from foliolab.framework.kernel.recording.target import Target
from foliolab.framework.trace.importers.snapshots import ProcessSnapshot, present
from foliolab.framework.trace.importers.spaces import CLONE_THREAD

ROUNDS: Final = 20
LOOK_NS: Final = 100_000_000
"""Time between two looks while a tool starts: bpftrace took ten times as long with a look each 10 ms."""


class Attachment:
    """The processes of a recording that ran before it.

    Args:
        target: who belongs to it.
        core: a vmcore of the running kernel, for slots; empty for /proc/kcore.

    Attributes:
        whole_host: whether the recorder records every process; `records` then chooses those of the target.
        until: ns of CLOCK_MONOTONIC at which the last of them was read; 0 if none was.
        notes: sentences for the trace's header.
    """

    def __init__(self, target: Target, core: str = "") -> None:
        self.target = target
        self.core = core
        self.whole_host = False
        self.until = 0
        self.notes: list[str] = []
        self._looked = 0
        self._seen: dict[int, int] = {}  # by PID: when it last belonged to the target
        self._processes: list[ProcessSnapshot] = []
        self._slots: list[Row] = []

    def look(self) -> list[int]:
        """The PIDs that belong to the target now."""
        pids = self.target.running()
        now = time.monotonic_ns()
        self._seen.update(dict.fromkeys(pids, now))
        return pids

    def look_meanwhile(self) -> None:
        """Look, but not so often that it slows the start of a tool down."""
        if time.monotonic_ns() - self._looked > LOOK_NS:
            self.look()
            self._looked = time.monotonic_ns()

    def watch(self) -> None:
        """Look for processes that were moved into the target's cgroup; a descendant's fork is an event."""
        if self.target.folder:
            self.look()

    def read(self) -> None:
        """Read what the processes have mapped; to be called once all their events are recorded."""
        taken: set[int] = set()
        refused = 0
        try:
            for _ in range(ROUNDS):
                new = [pid for pid in self.look() if pid not in taken]
                if not new:
                    break
                taken.update(new)
                found = snapshots.take(new)
                self._processes += found.processes
                refused += len(found.refused)
                self.until = found.time
        except KernelError as fault:
            self.notes.append(f"What was mapped at the start is not known: {fault.what}.")
            return
        if refused:
            self.notes.append(f"What {refused} processes had mapped at the start could not be seen.")
        if slots.folios_of(self._processes):
            self._read_slots()

    def _read_slots(self) -> None:
        """Read whom the kernel remembers of the folios that are mapped, where its memory can be read."""
        try:
            memory = kernel_memory.opened(self.core)
            found = slots.read(slots.Reader(memory), self._processes)
        except KernelError as fault:
            self.notes.append(
                f"The slots of folios that were there before the recording were not read: {fault.what} "
                f"({fault.hint}). Outcomes that depend on them have bounds."
            )
            return
        self.until, self._slots = found.at, found.rows
        how = (
            f"twice within {found.span / 1e6:,.0f} ms, while the system went on"
            if memory.changes
            else "which was made earlier"
        )
        self.notes.append(
            f"At {datetime.now():%H:%M:%S} the slots of {found.same:,} of {found.folios:,} large folios that were "
            f"there before the recording were read by drgn from {memory.source}, {how}."
        )

    def records(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records of the target's processes, with rows of what each had mapped when it was read."""
        chosen = self._chosen(records) if self.whole_host else records
        yield from heapq.merge(self._rows(), chosen, key=lambda record: record.time)

    def _rows(self) -> Iterator[Record]:
        """The processes that were read, with what they map, by time; then the slots of their folios."""
        for process in sorted(self._processes, key=lambda process: process.time):
            yield from present(process.time, process)
        yield from self._slots

    def _chosen(self, records: Iterable[Record]) -> Iterator[Record]:
        members = set(self._seen)
        for record in records:
            pid = getattr(record, "pid", None)
            if type(record) is Task and not (record.flags or 0) & CLONE_THREAD:
                if pid in members:
                    members.add(record.child)
                elif record.time > self._seen.get(record.child, 0):
                    members.discard(record.child)  # a number that is used again
            if pid is None or pid in members or (type(record) is Reaped and record.child in members):
                yield record
