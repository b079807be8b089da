"""One recording, from the check of its target to the finished trace."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework import host
from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Alloc, Cached, Enter, Fault, Leave, Record
from foliolab.framework.errors import KernelError, NoEvents, StoppedEarly, UsageError
from foliolab.framework.isolation import signals
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.kernel import guards, running, settings
from foliolab.framework.kernel.recording import probe, snapshots, tracefs
from foliolab.framework.kernel.recording.snapshots import Snapshot
from foliolab.framework.kernel.recording.target import Target, interruptible
from foliolab.framework.results import provenance
from foliolab.framework.trace import importers
from foliolab.framework.trace.header import Header
from foliolab.framework.trace.importers.snapshots import present

MEMORY_RECORDS: Final = (Fault, Alloc, Cached, Enter, Leave)
"""Records that are left out where a later snapshot of the process shows their effect."""


def record(target: Target, out: str | os.PathLike[str], by: str = "") -> tuple[Header, int]:
    """Record a command or a process into a trace.

    Args:
        target: the command or process.
        out: the trace; the temporary files of the tools, which may be large, are in the same folder.
        by: the method of recording; empty for the best one that works.

    Returns:
        The trace's header, and the exit status of the command.

    Raises:
        UsageError: there is no such method, command or process.
        KernelError: the method does not work on this host.
        TraceFileError: the trace cannot be written, or nothing was recorded.
    """
    if by and by not in probe.RECORDERS:
        raise UsageError(f"there is no way to record called {by!r}", f"choose {', '.join(probe.RECORDERS)}")
    if platform.system() != "Linux":
        raise KernelError("there is no Linux kernel here whose events could be recorded", "import a trace instead")
    target.check()
    method = by or probe.best().name
    parent = Path(out).absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"there is no folder {parent} that can be written to", "choose another with -o")
    with scratch(parent) as folder:
        recorder = probe.RECORDERS[method](folder)
        start: list[Snapshot] = []
        notes: list[str] = []
        header, counters = _header(target, method), _counters()
        with tracefs.unmounted_after(notes):
            recorder.run(target, lambda pids: _take_snapshot(pids, start, notes))
        if counters and (moved := guards.moved(counters, _counters())):
            notes.append(f"Meanwhile, somewhere on this host: {'; '.join(moved)}.")
        header = msgspec.structs.replace(header, finished=provenance.now())
        sources: list[TraceSource] = []
        records = _with_start(recorder.records(sources), start)
        # perf script mounts tracefs again; the first Ctrl-C here comes too late to end the recording, and keeps it
        with tracefs.unmounted_after([]), interruptible(1):
            try:
                header = importers.assemble(records, out, header, sources, lambda: [*notes, *recorder.notes], keep=True)
            except NoEvents as fault:
                if signals.received():
                    raise StoppedEarly("a signal ended the recording before its first event") from fault
                raise
    return header, recorder.status


def _header(target: Target, method: str) -> Header:
    kernel = running.read()
    thp = {}
    for path in (settings.THP / "enabled", *settings.switches().values()):
        with suppress(KernelError):
            thp[str(path.relative_to(settings.THP))] = settings.mode_of(path)
    this_host = host.describe_host()
    return Header(
        source=method,
        command=f"foliolab record {target.text}",
        kernel=kernel.release,
        mm_id=kernel.sets("CONFIG_MM_ID"),
        no_page_mapcount=kernel.sets("CONFIG_NO_PAGE_MAPCOUNT"),
        thp=thp,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        machine=f"{this_host.cpu}, {this_host.cores} cores, {this_host.os}",
        started=provenance.now(),
        notes=[kernel.note] if kernel.note else [],
        shows=probe.RECORDERS[method].kinds,
    )


def _counters() -> dict[str, int]:
    with suppress(KernelError):
        return guards.read()
    return {}


def _take_snapshot(pids: list[int], start: list[Snapshot], notes: list[str]) -> None:
    """Append a snapshot of running processes to `start`, or a note if the host does not allow one."""
    try:
        start.append(snapshots.take(pids))
    except KernelError as fault:
        notes.append(f"What was mapped at the start is not known: {fault.what}.")
        return
    if start[-1].refused:
        notes.append(f"What {len(start[-1].refused)} processes had mapped at the start could not be seen.")


def _with_start(records: Iterable[Record], start: list[Snapshot]) -> Iterator[Record]:
    """Insert the snapshot of the start by its time; drop earlier memory records of the processes in it."""
    if not start:
        yield from records
        return
    (snapshot,) = start
    pids = {process.pid for process in snapshot.processes}
    inserted = (record for process in snapshot.processes for record in present(snapshot.time, process))
    before = True
    for record in records:
        if before and record.time >= snapshot.time:
            before = False
            yield from inserted
        if not (before and isinstance(record, MEMORY_RECORDS) and record.pid in pids):
            yield record
    yield from inserted  # nothing if it was inserted above
