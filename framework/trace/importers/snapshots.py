"""The reader of snapshots of page tables (`kernel/recording/snapshots`): one JSON object per line.

    {"foliolab": "snapshots", "version": 1, …}
    {"time": ns, "processes": [{"pid": …, "parent": …, "start": …, "comm": …, "runs": [[page, nr, pfn, order], …]}]}

A run is `nr` pages that are consecutive in virtual page numbers and PFNs; if the order is not 0, all pages of a run are
of one folio. The first snapshot becomes PRESENT events. The differences of two consecutive snapshots become events with
the time of the later snapshot. Their order in time is not known, so writes are marked UNCERTAIN; mappings that exist
only between two snapshots are missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Exec, ExecBegin, Exit, Name, Record, Row, Task, Torn
from foliolab.framework.trace import events

MAGIC: Final = "snapshots"
VERSION: Final = 1
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ProcessSnapshot:
    """The mapped pages of one process in a snapshot.

    Attributes:
        pid, parent, start, comm: of /proc/PID/stat.
        page, pfn, order: arrays of equal length: virtual page number, ascending; PFN; order of the folio.
    """

    pid: int
    parent: int
    start: int
    comm: str
    page: Numbers
    pfn: Numbers
    order: Numbers

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


def _parse_process(entry: dict[str, Any]) -> ProcessSnapshot:
    """Parse a process of a snapshot's line.

    Raises:
        KeyError, TypeError, ValueError: the entry is damaged.
    """
    runs = np.asarray(entry["runs"], np.int64).reshape(-1, 4)
    if (runs < 0).any() or (runs[:, 1] < 1).any():
        raise ValueError("a run is negative or empty")
    lengths = runs[:, 1]
    offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    page, pfn = np.repeat(runs[:, 0], lengths) + offset, np.repeat(runs[:, 2], lengths) + offset
    if (np.diff(page) <= 0).any():
        raise ValueError("its runs are not in ascending order")
    numbers = (int(entry["pid"]), int(entry["parent"]), int(entry["start"]))
    return ProcessSnapshot(*numbers, str(entry["comm"]), page, pfn, np.repeat(runs[:, 3], lengths))


def read(source: TraceSource) -> Iterator[Record]:
    """The records of a text.

    Raises:
        TraceFileError: a line is not a snapshot, or of a newer version.
    """
    known: dict[int, ProcessSnapshot] = {}
    first = True
    for line in source:
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if "foliolab" in entry:
                if entry["version"] > VERSION:
                    source.unreadable(line, f"snapshots of version {entry['version']}, newer than {VERSION}")
                continue
            time = int(entry["time"])
            found = {process.pid: process for process in map(_parse_process, entry["processes"])}
        except (ValueError, KeyError, TypeError, OverflowError) as why:
            source.unreadable(line, f"this is no snapshot ({type(why).__name__}: {why})")
            continue
        if first:
            for process in found.values():
                yield Name(time, process.pid, process.comm)
                yield from present(time, process)
            first = False
        else:
            yield from _changes(time, known, found)
        known = found


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
    for index in copied.tolist():
        yield Row(time, process.pid, events.WRITE, flags, 0, int(process.page[index]), 1, int(process.pfn[index]))
    new = ~np.isin(process.page, old.page)
    replaced = changed[process.order[changed] > 0]
    for index in replaced.tolist():
        yield Row(time, process.pid, events.UNMAP, 0, 0, int(process.page[index]), 1, 0)
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
        first = json.loads(head.partition("\n")[0])
    except ValueError:
        return False
    return isinstance(first, dict) and first.get("foliolab") == MAGIC
