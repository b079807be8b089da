"""A recording from its beginning to the finished trace."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework import host
from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Alloc, Cached, Enter, Fault, Leave, Record
from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.kernel import guards, running, settings
from foliolab.framework.kernel.recording import probe, snapshots, tracefs
from foliolab.framework.kernel.recording.bpftrace import BpftraceRecorder
from foliolab.framework.kernel.recording.perf import PerfRecorder
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.snapshots import Snapshot, SnapshotRecorder
from foliolab.framework.kernel.recording.strace import StraceRecorder
from foliolab.framework.kernel.recording.target import Target
from foliolab.framework.results import provenance
from foliolab.framework.trace import importers
from foliolab.framework.trace.header import Header
from foliolab.framework.trace.importers.snapshots import present

RECORDERS: Final[dict[str, Callable[[Path], Recorder]]] = {
    "perf": PerfRecorder, "bpftrace": BpftraceRecorder, "snapshots": SnapshotRecorder, "strace": StraceRecorder,
}  # fmt: skip
OF_MEMORY: Final = (Fault, Alloc, Cached, Enter, Leave)
"""Records that a snapshot of the process takes the place of, where they are older than it."""


def record(target: Target, out: str | os.PathLike[str], by: str = "") -> tuple[Header, int]:
    """Record a command or a process into a trace.

    Args:
        target: what.
        out: the trace; its folder also takes what the tools write meanwhile, which may be large.
        by: the way to record; empty for the best that works.

    Returns:
        The trace's header, and the status that the command ended with.

    Raises:
        UsageError: there is no such way, command or process.
        KernelError: it does not work here.
        TraceFileError: the trace cannot be written, or nothing was recorded.
    """
    if by and by not in RECORDERS:
        raise UsageError(f"there is no way to record called {by!r}", f"choose {', '.join(RECORDERS)}")
    if platform.system() != "Linux":
        raise KernelError("there is no Linux kernel here whose events could be recorded", "import a trace instead")
    target.check()
    way = by or probe.best().name
    place = Path(out).absolute().parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise UsageError(f"there is no folder {place} that can be written to", "choose another with -o")
    with tempfile.TemporaryDirectory(prefix=".foliolab-record-", dir=place) as folder:
        recorder = RECORDERS[way](Path(folder))
        start: list[Snapshot] = []
        notes: list[str] = []
        header, counters = _header(target, way), _counters()
        with tracefs.undone(notes):
            recorder.run(target, lambda pids: _look(pids, start, notes))
        notes += _moved(counters, _counters())
        header = msgspec.structs.replace(header, finished=provenance.now())
        sources: list[TraceSource] = []
        records = _with_start(recorder.records(sources), start)
        with tracefs.undone([]):  # perf script mounts it again
            header = importers.assemble(records, out, header, sources, lambda: [*notes, *recorder.notes])
    return header, recorder.status


def _header(target: Target, way: str) -> Header:
    """What is known about the recording when it begins."""
    kernel = running.read()
    thp = {}
    for path in (settings.THP / "enabled", *settings.switches().values()):
        with suppress(KernelError):
            thp[str(path.relative_to(settings.THP))] = settings.mode_of(path)
    machine = host.describe_host()
    return Header(
        source=way,
        command=f"foliolab record {'' if target.pid else '-- '}{target.text}",
        kernel=kernel.release,
        mm_id=kernel.options.get("CONFIG_MM_ID") == "y" if kernel.source else None,
        no_page_mapcount=kernel.options.get("CONFIG_NO_PAGE_MAPCOUNT") == "y" if kernel.source else None,
        thp=thp,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        machine=f"{machine.cpu}, {machine.cores} cores, {machine.os}",
        started=provenance.now(),
        notes=[kernel.note] if kernel.note else [],
    )


def _counters() -> dict[str, int]:
    with suppress(KernelError):
        return guards.read()
    return {}


def _moved(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """A sentence if the kernel moved pages by itself, somewhere on this machine."""
    moved = guards.moved(before, after) if before and after else []
    return [f"Meanwhile, somewhere on this machine: {'; '.join(moved)}."] if moved else []


def _look(pids: list[int], start: list[Snapshot], notes: list[str]) -> None:
    """What running processes map at the beginning, if it can be seen."""
    try:
        start.append(snapshots.take(pids))
    except KernelError as fault:
        notes.append(f"What was mapped at the start is not known: {fault.what}.")
        return
    if start[-1].refused:
        notes.append(f"What {len(start[-1].refused)} processes had mapped at the start could not be seen.")


def _with_start(records: Iterable[Record], start: list[Snapshot]) -> Iterator[Record]:
    """The records with the snapshot of the start at its place, instead of what its processes did before it."""
    if not start:
        yield from records
        return
    (taken,) = start
    seen = {one.pid for one in taken.processes}
    placed = False
    for record in records:
        if not placed and record.time >= taken.time:
            placed = True
            yield from _rows(taken)
        if placed or not (isinstance(record, OF_MEMORY) and record.pid in seen):
            yield record
    if not placed:
        yield from _rows(taken)


def _rows(taken: Snapshot) -> Iterator[Record]:
    for one in taken.processes:
        yield from present(taken.time, one)
