"""Reads snapshots of a process tree's page tables (`kernel/recording/snapshots`): one JSON object a line.

    {"foliolab": "snapshots", "version": 1, …}
    {"time": ns, "processes": [{"pid": …, "parent": …, "start": …, "comm": …, "runs": [[page, nr, pfn, order], …]}]}

A run is `nr` pages in pages and frames one behind the other, all of one folio where its order is not 0. The first
snapshot becomes PRESENT events; what differs between two becomes events of the later one's time: when and in which
order it happened is not known, so writes are marked UNCERTAIN, and what came and went between two is missed.
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
class Process:
    """A process in a snapshot: which frame each of its pages is mapped to.

    Attributes:
        pid, parent, start, comm: as /proc/PID/stat has them.
        page, pfn, order: a page each, ascending by page.
    """

    pid: int
    parent: int
    start: int
    comm: str
    page: Numbers
    pfn: Numbers
    order: Numbers

    def runs(self, which: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
        """Page, number of pages, first frame and order of the chosen pages, in runs that lie in one folio."""
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


def process(entry: dict[str, Any]) -> Process:
    """A process of a snapshot's line.

    Raises:
        KeyError, TypeError, ValueError: it is none.
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
    return Process(*numbers, str(entry["comm"]), page, pfn, np.repeat(runs[:, 3], lengths))


def read(source: TraceSource) -> Iterator[Record]:
    """The records of a text.

    Raises:
        TraceFileError: a line is no snapshot, or of a newer version; names it.
    """
    known: dict[int, Process] = {}
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
            found = {one.pid: one for one in map(process, entry["processes"])}
        except (ValueError, KeyError, TypeError, OverflowError) as why:
            source.unreadable(line, f"this is no snapshot ({type(why).__name__}: {why})")
            continue
        if first:
            for one in found.values():
                yield Name(time, one.pid, one.comm)
                yield from present(time, one)
            first = False
        else:
            yield from _changes(time, known, found)
        known = found


def present(time: int, one: Process) -> Iterator[Record]:
    """The records of a process that had mapped this when the trace began."""
    for page, nr, pfn, order in one.runs(np.ones(len(one.page), np.bool_)):
        yield Row(time, one.pid, events.PRESENT, 0, order, page, nr, pfn)
    yield Name(time, one.pid, one.comm)


def _changes(time: int, known: dict[int, Process], found: dict[int, Process]) -> Iterator[Record]:
    """What happened between two snapshots: forks first, since children inherit what there was before."""
    same = {pid for pid, one in found.items() if pid in known and known[pid].start == one.start}
    for pid in known.keys() - same:
        yield Exit(time, 0, pid, pid, last=True)
        yield Torn(time, 0, pid, pid)
    before = {pid: known[pid] for pid in same}
    for pid in sorted(found.keys() - same, key=lambda pid: found[pid].start):
        one = found[pid]
        parent = before.get(one.parent)
        if parent is not None:
            yield Task(time, 0, parent.pid, parent.pid, pid, 0, one.comm)
            before[pid] = parent
    for pid, one in found.items():
        old = before.get(pid)
        if old is None or not np.isin(one.pfn, old.pfn).any():
            if old is not None and len(old.page):
                yield ExecBegin(time, 0, pid, pid)
                yield Exec(time, 0, pid, pid, one.comm)
            yield from _news(time, one, np.ones(len(one.page), np.bool_))
        else:
            yield from _differences(time, old, one)
        yield Name(time, pid, one.comm)


def _differences(time: int, old: Process, one: Process) -> Iterator[Record]:
    """What became of the pages of a process."""
    for page, nr, _, _ in old.runs(~np.isin(old.page, one.page)):
        yield Row(time, one.pid, events.UNMAP, 0, 0, page, nr, 0)
    _, at, was = np.intersect1d(one.page, old.page, assume_unique=True, return_indices=True)
    changed = at[one.pfn[at] != old.pfn[was]]
    copied = changed[one.order[changed] == 0]
    flags = events.COPIED | events.UNCERTAIN
    for place in copied.tolist():
        yield Row(time, one.pid, events.WRITE, flags, 0, int(one.page[place]), 1, int(one.pfn[place]))
    fresh = ~np.isin(one.page, old.page)
    replaced = changed[one.order[changed] > 0]
    for place in replaced.tolist():
        yield Row(time, one.pid, events.UNMAP, 0, 0, int(one.page[place]), 1, 0)
    fresh[replaced] = True
    yield from _news(time, one, fresh)


def _news(time: int, one: Process, which: NDArray[np.bool_]) -> Iterator[Record]:
    """Folios that are mapped now: whole ones as NEW, the pages of parts as PRESENT."""
    for page, nr, pfn, order in one.runs(which):
        if order and nr == 1 << order and not page % nr:
            yield Row(time, one.pid, events.NEW, events.UNCERTAIN, order, page, nr, pfn)
        else:
            yield Row(time, one.pid, events.PRESENT, events.UNCERTAIN, order, page, nr, pfn)


def recognise(head: str) -> bool:
    """Whether a text begins as a file of snapshots does."""
    try:
        first = json.loads(head.partition("\n")[0])
    except ValueError:
        return False
    return isinstance(first, dict) and first.get("foliolab") == MAGIC
