"""One recording, from the check of its target to the finished trace."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from foliolab.framework import host
from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.errors import FolioLabError, KernelError, NoEvents, StoppedEarly, UsageError
from foliolab.framework.isolation import signals
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.kernel import guards, running, settings
from foliolab.framework.kernel.recording import large_folios, probe, tracefs
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.large_folios import Chances
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.target import Target, interruptible
from foliolab.framework.results import provenance
from foliolab.framework.trace import importers
from foliolab.framework.trace.header import Header
from foliolab.framework.trace.importers.assembly import Assembly


@dataclass(frozen=True)
class Options:
    """How to record.

    Args:
        folios: the size in KiB of large folios that all memory gets meanwhile; 0: as the host is set.
        wait: seconds to wait for another run that uses the host's settings.
        most: bytes of raw data that end the recording; 0: any number.
        every: seconds between two snapshots; 0: as often as is usual.
        tell: is told when the recording of a target that runs already has begun.
        core: a vmcore of the running kernel, for the slots of folios that were there before; empty for /proc/kcore.
    """

    folios: int = 0
    wait: float = 0.0
    most: int = 0
    every: float = 0.0
    tell: Callable[[str], object] = bool
    core: str = ""


def record(
    target: Target, out: str | os.PathLike[str], by: str = "", options: Options | None = None
) -> tuple[Header, int]:
    """Record a command or a process into a trace.

    Args:
        target: the command or process.
        out: the trace; the temporary files of the tools, which may be large, are in the same folder.
        by: the method of recording; empty for the best one that works.
        options: how to record.

    Returns:
        The trace's header, and the exit status of the command.

    Raises:
        UsageError: there is no such method, command or process.
        KernelError: the method does not work on this host, or the settings cannot be had.
        TraceFileError: the trace cannot be written, or nothing was recorded. If the raw data cannot be converted, it
            is kept beside the trace, and the error names it.
    """
    chosen = options or Options()
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
        recorder.most, recorder.tell, recorder.every = chosen.most, chosen.tell, chosen.every
        attachment, notes = Attachment(target, chosen.core), list[str]()
        with large_folios.only(chosen.folios, chosen.wait):
            header, counters, chances = _header(target, method), _counters(), Chances.now()
            with tracefs.unmounted_after(notes):
                recorder.run(target, attachment)
            none = large_folios.why_none(chances, Chances.now())
        if counters and (moved := guards.moved(counters, _counters())):
            notes.append(f"Meanwhile, somewhere on this host: {'; '.join(moved)}.")
        header = msgspec.structs.replace(header, finished=provenance.now())

        def every_note(assembly: Assembly) -> list[str]:
            missing = [none] if header.shows.allocations and not assembly.large else []
            return [*notes, *attachment.notes, *recorder.notes, *missing]

        return _written(recorder, attachment, out, header, every_note), recorder.status


def _written(
    recorder: Recorder,
    attachment: Attachment,
    out: str | os.PathLike[str],
    header: Header,
    notes: Callable[[Assembly], list[str]],
) -> Header:
    """Make the trace of what was recorded; its header."""
    sources: list[TraceSource] = []
    records = attachment.records(recorder.records(sources))
    # perf script mounts tracefs again; the first Ctrl-C here comes too late to end the recording, and keeps it
    with tracefs.unmounted_after([]), interruptible(1):
        try:
            return importers.assemble(records, out, header, sources, notes, keep=True, begin=attachment.until)
        except NoEvents as fault:
            if signals.received():
                raise StoppedEarly("a signal ended the recording before its first event") from fault
            raise
        except FolioLabError as fault:
            if kept := recorder.keep(out):
                raise type(fault)(fault.what, f"{fault.hint}; the raw data is kept: {', '.join(kept)}") from fault
            raise


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
