"""Import of tracers' output: `convert` makes a trace of a text file, `assemble` makes one of records.

A reader turns one format into records (`contract.trace_records`). The module `assembly` turns records into events.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework.contract.trace_reader import TraceReader, TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import FolioLabError, NoEvents, PluginError, TraceFileError, UsageError
from foliolab.framework.trace.addressspaces import IN_HEADER, AddressSpaces
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header
from foliolab.framework.trace.importers import bpftrace, ftrace, perf, perf_trace, snapshots, strace
from foliolab.framework.trace.importers.assembly import Assembly
from foliolab.framework.trace.importers.beginning import Beginning
from foliolab.framework.trace.importers.checked import recognised, records_of
from foliolab.framework.trace.importers.diagnosis import diagnose, is_no_trace
from foliolab.framework.trace.importers.opening import is_packed
from foliolab.framework.trace.importers.order import in_order
from foliolab.framework.trace.importers.text import Tell, opened

__all__ = ["READERS", "assemble", "choose", "convert", "is_packed", "target", "with_plugins"]

READERS: Final = {
    reader.name: reader
    for reader in (
        TraceReader("bpftrace", "FolioLab's bpftrace script", bpftrace.recognise, bpftrace.read, unordered=True),
        TraceReader("snapshots", "FolioLab's snapshots", snapshots.recognise, snapshots.read),
        TraceReader("perf", "perf script", perf.LAYOUT.recognise, perf.LAYOUT.read),
        TraceReader("ftrace", "trace_pipe, trace-cmd report or systrace", ftrace.LAYOUT.recognise, ftrace.LAYOUT.read),
        TraceReader("perf-trace", "perf trace of tracepoints", perf_trace.LAYOUT.recognise, perf_trace.LAYOUT.read),
        TraceReader("strace", "strace, with any options", strace.recognise, strace.read),
    )
}
"""The readers that ship with FolioLab."""


def with_plugins(offered: Iterable[TraceReader]) -> dict[str, TraceReader]:
    """FolioLab's readers and those of plugins, by name.

    Raises:
        UsageError: two readers have the same name.
    """
    readers = dict(READERS)
    for reader in offered:
        if reader.name in readers:
            raise UsageError(f"there are two trace readers {reader.name!r}", "rename or remove the plugin's")
        readers[reader.name] = reader
    return readers


def choose(readers: Mapping[str, TraceReader], head: str, name: str, wanted: str = "") -> TraceReader:
    """Choose the reader of a text.

    Args:
        readers: by format.
        head: the beginning of the text.
        name: of the file, for messages.
        wanted: the format; empty to recognise it.

    Raises:
        UsageError: there is no such format.
        TraceFileError: no reader recognises the text.
        PluginError: no reader recognises it, and a plugin's reader failed.
    """
    known = ", ".join(readers)
    if wanted:
        if wanted not in readers:
            raise UsageError(f"there is no trace format {wanted!r}", f"formats are {known}")
        return readers[wanted]
    if not head.strip():
        raise TraceFileError(f"{name} is empty", "record again")
    failed: PluginError | None = None
    for reader in readers.values():
        try:
            if recognised(reader, head):
                return reader
        except PluginError as fault:
            failed = failed or fault
    if failed:
        raise failed
    raise diagnose(head, name, list(readers))


def convert(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    wanted: str = "",
    readers: Mapping[str, TraceReader] = READERS,
    header: Header | None = None,
    tell: Tell | None = None,
) -> Header:
    """Read a tracer's text and write a trace.

    Args:
        path: the text, a compressed text, or a recording of perf or trace-cmd, whose tool is run.
        out: the trace; an existing file is replaced.
        wanted: the format; empty to recognise it.
        readers: by format.
        header: of the recording; None if nothing is known about it.
        tell: is told how many bytes of how many were read.

    Returns:
        The header of the trace.

    Raises:
        UsageError: there is no such format, or `out` is the text itself.
        TraceFileError: the format is not recognised, a line cannot be read, the text has no events, or the trace
            cannot be written. A trace that was there before stays.
        PluginError: a plugin's reader fails.
    """
    with opened(path, tell) as (head, source):
        reader = choose(readers, head, source.name, wanted)
        known = header or Header(command=f"foliolab import {source.name}")
        known = msgspec.structs.replace(known, source=known.source or reader.name)
        if os.path.realpath(out) == os.path.realpath(path):
            raise UsageError(f"{source.name} would be overwritten by its own trace", "name another file after -o")
        records = records_of(reader, source, foreign=reader.name not in READERS)
        try:
            return assemble(in_order(records) if reader.unordered else records, out, known, [source])
        except NoEvents as fault:
            if wanted and is_no_trace(head):
                raise diagnose(head, source.name, list(readers)) from fault
            raise


def target(path: Path) -> Path:
    """The trace's file where the user names none: beside the text.

    Raises:
        UsageError: the text comes from a pipe, which has no place of its own.
    """
    try:
        mode = path.stat().st_mode
        piped = not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    except OSError:
        piped = False
    if piped:
        raise UsageError(f"{path} is not a file, so the trace has no name", "name one after -o")
    # what else is wrong with it, `convert` says
    return path.with_name(path.name + ".folio")


def assemble(
    records: Iterable[Record],
    out: str | os.PathLike[str],
    header: Header,
    sources: Iterable[TraceSource] = (),
    notes: Callable[[Assembly], list[str]] = lambda _: [],
    keep: bool = False,
    begin: int = 0,
) -> Header:
    """Write a trace of records.

    Args:
        records: in the order of time.
        out: the trace.
        header: as it is known at the start.
        sources: the texts that the records come from; the notes of their readers are added to the header.
        notes: called at the end for more notes, with what was assembled.
        keep: whether a new file keeps what was written before a failure: a recording cannot be repeated.
        begin: ns at which the trace begins, with what is mapped then (`beginning`); 0: with the first record.

    Returns:
        The header of the finished file.

    Raises:
        TraceFileError: a record cannot be read, they make no event, or the trace cannot be written.
    """
    with AddressSpaces(out) as gone, Writer(out, header, keep) as writer:
        beginning = Beginning(writer, begin)
        assembly = Assembly(beginning if begin else writer, gone, header.shows)
        stopped = ""
        try:
            assembly.run(records)
        except BaseException as fault:
            what = str(fault).partition("\n")[0] if isinstance(fault, FolioLabError) else type(fault).__name__
            stopped = f"It ends early: {what}."
            raise
        finally:
            assembly.close()
            beginning.close()
            spaces = (space for space in assembly.spaces if space.mm not in beginning.ended)
            few = len(assembly.spaces) <= IN_HEADER
            writer.spaces = () if few else spaces
            from_readers = [note for source in sources for note in source.notes]
            writer.header = msgspec.structs.replace(
                header,
                lost=header.lost + assembly.lost,
                exit_uncertainty_ns=assembly.spaces.exit_uncertainty,
                mms=sorted(spaces, key=lambda space: space.mm) if few else [],
                shows=assembly.shown(all(source.times for source in sources)),
                notes=[
                    *header.notes,
                    *filter(None, [stopped]),
                    *from_readers,
                    *_notes(assembly, beginning),
                    *notes(assembly),
                ],
            )
        # a note says what was populated, and lost events alone are no trace
        if writer.events <= assembly.losses and not assembly.calls.unknown_populated:
            names = ", ".join(source.name for source in sources) or "what was recorded"
            raise NoEvents(*assembly.nothing(names))
    return writer.header


def _notes(assembly: Assembly, beginning: Beginning) -> list[str]:
    """The limits of the trace, a sentence each."""
    notes = []
    if beginning.unknown:
        some = len(beginning.unknown)
        notes.append(f"What {some} MM{'s' * (some != 1)} had mapped when the trace began is not known.")
    if (slots := beginning.remembered).folios:
        notes.append(
            f"The slots of {slots.known:,} of {slots.folios:,} such folios fit what the MMs of this trace map when it "
            "begins, so that their history is known; what the kernel remembers of all others is not known."
        )
    if assembly.batch.backwards:
        notes.append(
            f"The times of {assembly.batch.backwards} events went back; they were lifted (to read two texts as one, "
            "order their lines by time)."
        )
    if assembly.spaces.assumed:
        assumed = assembly.spaces.assumed
        notes.append(f"The end of {assumed} teardown{'s' * (assumed != 1)} was not seen; it is assumed.")
    if assembly.undecided:
        notes.append(
            f"{assembly.undecided} write faults do not say whether their page was present: their outcome is unknown."
        )
    if assembly.calls.unknown_populated:
        notes.append(f"{assembly.calls.unknown_populated} pages were populated in folios of unknown order.")
    for name, count in sorted(assembly.calls.unmodelled.items()):
        notes.append(f"{name} was used {count} times; the trace has no event for it.")
    for what, count in sorted(assembly.hints.items()):
        notes.append(f"On this host {what}, {count} times.")
    return notes
