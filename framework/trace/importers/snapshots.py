"""The reader of snapshots of page tables (`kernel/recording/snapshots`): one JSON object per line.

    {"foliolab": "snapshots", "version": 1, "boot": …}
    {"time": ns, "processes": [{"pid": …, "parent": …, "start": …, "comm": …, "runs": [[page, nr, pfn, order], …]}]}

A run is `nr` pages that are consecutive in virtual page numbers and PFNs; if the order is not 0, all pages of a run are
of one folio. The first snapshot becomes PRESENT events. The differences of two consecutive snapshots become events with
the time of the later snapshot. Their order in time is not known, so writes are marked UNCERTAIN; mappings that exist
only between two snapshots are missed.

Files of a collector that was started again may follow each other: the first line comes again, and may follow a snapshot
that was cut off. What a later boot of the host has recorded is another trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Exec, ExecBegin, Exit, Name, Record, Row, Task, Torn
from foliolab.framework.trace import events

MAGIC: Final = "snapshots"
VERSION: Final = 1
MOST_PAGES: Final = 1 << 20
"""Pages of a snapshot in a text: 4 GiB. A run of a few characters may name any number of pages."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ProcessSnapshot:
    """The mapped pages of one process in a snapshot.

    Attributes:
        pid, parent, start, comm: of /proc/PID/stat.
        page, pfn, order: arrays of equal length: virtual page number, ascending; PFN; order of the folio.
        time: ns at which reading it began; 0 if that is not known.
    """

    pid: int
    parent: int
    start: int
    comm: str
    page: Numbers
    pfn: Numbers
    order: Numbers
    time: int = 0

    def runs(self, which: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
        """The selected pages as runs of one folio each: page, number of pages, first PFN, order."""
        page, pfn, order = self.page[which], self.pfn[which], self.order[which]
        if not len(page):
            return
        folio = np.where(order > 0, pfn >> order, -1)
        cut = (np.diff(page) != 1) | (np.diff(pfn) != 1) | (np.diff(order) != 0) | (np.diff(folio) != 0)
        starts = np.concatenate(([0], np.flatnonzero(cut) + 1))
        lengths = np.diff(np.concatenate((starts, [len(page)])))
        yield from zip(
            page[starts].tolist(), lengths.tolist(), pfn[starts].tolist(), order[starts].tolist(), strict=True
        )


_Task = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 52)]
_Order = Annotated[int, msgspec.Meta(ge=0, lt=32)]
_Run = tuple[_Number, Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)], _Number, _Order]


class _Process(msgspec.Struct):
    pid: _Task
    parent: _Task
    start: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    comm: Annotated[str, msgspec.Meta(max_length=1024)]
    runs: list[_Run]

    @property
    def nr_pages(self) -> int:
        return sum(run[1] for run in self.runs)

    def expanded(self) -> ProcessSnapshot:
        """The pages of the runs.

        Raises:
            ValueError: the runs are not in ascending order, or not of one folio.
        """
        runs = np.array(self.runs, np.int64).reshape(-1, 4)
        page, nr, pfn, order = runs.T
        if ((order > 0) & ((pfn & ((1 << order) - 1)) + nr > 1 << order)).any():
            raise ValueError(f"a run of process {self.pid} is longer than its folio")
        if (page[1:] < page[:-1] + nr[:-1]).any():
            raise ValueError(f"the runs of process {self.pid} are not in ascending order")
        offset = np.arange(nr.sum()) - np.repeat(np.cumsum(nr) - nr, nr)
        pages, pfns = np.repeat(page, nr) + offset, np.repeat(pfn, nr) + offset
        return ProcessSnapshot(self.pid, self.parent, self.start, self.comm, pages, pfns, np.repeat(order, nr))


class _Line(msgspec.Struct):
    foliolab: str = ""
    version: int = 1
    boot: str = ""
    time: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] = -1
    processes: list[_Process] | None = None


def read(source: TraceSource, most: int = MOST_PAGES) -> Iterator[Record]:
    """The records of a text.

    Args:
        most: pages that a snapshot may have.

    Raises:
        TraceFileError: a line is not a snapshot, or of a newer version.
    """
    known: dict[int, ProcessSnapshot] = {}
    first, boot = True, ""
    for entry in _lines(source):
        if entry.foliolab:
            if boot and entry.boot != boot:
                source.notes.append(
                    f"The host was started again before line {source.number}: import what follows alone."
                )
                return
            boot = entry.boot
            continue
        if entry.time < 0 or entry.processes is None:
            source.refuse("this is no snapshot (it has no time, or no processes)")
        found = _expanded(source, entry.processes, most)
        time = entry.time
        if first:
            for process in found.values():
                yield Name(time, process.pid, process.comm)
                yield from present(time, process)
            first = False
        else:
            yield from _changes(time, known, found)
        known = found


def _lines(source: TraceSource) -> Iterator[_Line]:
    """The lines; one that was cut off may be the last one of its collector."""
    cut: tuple[int, str, str] | None = None
    for line in source:
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line, type=_Line)
        except msgspec.ValidationError as why:
            source.refuse(f"this is no snapshot ({why})")
        except (msgspec.DecodeError, RecursionError) as why:
            if cut is None:
                cut = source.number, line, f"this is no snapshot ({why})"
                continue
            entry = _Line()
        if cut:
            if not entry.foliolab:
                source.number, source.text, said = cut
                source.refuse(said)
            source.notes.append(f"Line {cut[0]} was cut off where its collector ended; it was left out.")
            cut = None
        if entry.foliolab and entry.version > VERSION:
            source.refuse(f"snapshots of version {entry.version}, newer than {VERSION}")
        yield entry
    if cut:
        source.notes.append(f"The text ends in the middle of line {cut[0]}; it was read up to there.")


def _expanded(source: TraceSource, processes: Sequence[_Process], most: int) -> dict[int, ProcessSnapshot]:
    """The processes of a snapshot by PID, once it is known that they have no more than `most` pages."""
    nr_pages = sum(process.nr_pages for process in processes)
    if nr_pages > most:
        source.refuse(f"a snapshot of {nr_pages:,} pages, and {most:,} are read at most")
    try:
        return {process.pid: process.expanded() for process in processes}
    except ValueError as why:
        source.refuse(str(why))


def present(time: int, process: ProcessSnapshot) -> Iterator[Record]:
    """The records of the pages that a process has mapped when the trace begins."""
    for page, nr, pfn, order in process.runs(np.ones(len(process.page), np.bool_)):
        yield Row(time, process.pid, events.PRESENT, 0, order, page, nr, pfn)
    yield Name(time, process.pid, process.comm)


def _changes(time: int, known: dict[int, ProcessSnapshot], found: dict[int, ProcessSnapshot]) -> Iterator[Record]:
    """The records of what happened between two snapshots; forks first, since children inherit the earlier pages."""
    same = {pid for pid, process in found.items() if pid in known and known[pid].start == process.start}
    for pid in known.keys() - same:
        yield Exit(time, 0, pid, pid, last=True)
        yield Torn(time, 0, pid, pid)
    before = {pid: known[pid] for pid in same}
    for pid in sorted(found.keys() - same, key=lambda pid: found[pid].start):
        process = found[pid]
        parent = before.get(process.parent)
        if parent is not None:
            yield Task(time, 0, parent.pid, parent.pid, pid, 0, process.comm)
            before[pid] = parent
    for pid, process in found.items():
        old = before.get(pid)
        if old is None or not np.isin(process.pfn, old.pfn).any():
            if old is not None and len(old.page):
                yield ExecBegin(time, 0, pid, pid)
                yield Exec(time, 0, pid, pid, process.comm)
            yield from _new_folios(time, process, np.ones(len(process.page), np.bool_))
        else:
            yield from _differences(time, old, process)
        yield Name(time, pid, process.comm)


def _differences(time: int, old: ProcessSnapshot, process: ProcessSnapshot) -> Iterator[Record]:
    """The records of the differences between two snapshots of a process."""
    for page, nr, _, _ in old.runs(~np.isin(old.page, process.page)):
        yield Row(time, process.pid, events.UNMAP, 0, 0, page, nr, 0)
    _, at, was = np.intersect1d(process.page, old.page, assume_unique=True, return_indices=True)
    changed = at[process.pfn[at] != old.pfn[was]]
    copied = changed[process.order[changed] == 0]
    flags = events.COPIED | events.UNCERTAIN
    for page, pfn in zip(process.page[copied].tolist(), process.pfn[copied].tolist(), strict=True):
        yield Row(time, process.pid, events.WRITE, flags, 0, page, 1, pfn)
    new = ~np.isin(process.page, old.page)
    replaced = changed[process.order[changed] > 0]
    for page in process.page[replaced].tolist():
        yield Row(time, process.pid, events.UNMAP, 0, 0, page, 1, 0)
    new[replaced] = True
    yield from _new_folios(time, process, new)


def _new_folios(time: int, process: ProcessSnapshot, which: NDArray[np.bool_]) -> Iterator[Record]:
    """The records of pages that were not mapped before: NEW for whole folios, PRESENT for parts of folios."""
    for page, nr, pfn, order in process.runs(which):
        if order and nr == 1 << order and not page % nr:
            yield Row(time, process.pid, events.NEW, events.UNCERTAIN, order, page, nr, pfn)
        else:
            yield Row(time, process.pid, events.PRESENT, events.UNCERTAIN, order, page, nr, pfn)


def recognise(head: str) -> bool:
    """Whether the first line is that of a file of snapshots."""
    try:
        return msgspec.json.decode(head.lstrip().partition("\n")[0], type=_Line).foliolab == MAGIC
    except (msgspec.DecodeError, RecursionError):
        return False
