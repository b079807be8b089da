"""Records by looking: which frames the processes of a tree map, again and again (root).

What happened between two looks is inferred by `trace.importers.snapshots`. One look, taken at the start, also tells
the tracing recorders what processes had mapped before.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import pagemap
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.target import Attached, Target, finish, gated, tree, wait
from foliolab.framework.trace.importers import snapshots
from foliolab.framework.trace.importers.snapshots import Numbers, Process

PROC: Path = Path("/proc")
INTERVAL: Final = 0.25
"""Seconds between the ends and the beginnings of two snapshots: a snapshot of 1 GiB takes about 0.1 s."""
LARGEST_ORDER: Final = 9
PAGE_SHIFT: Final = 12


@dataclass(frozen=True)
class Snapshot:
    """What the processes mapped.

    Attributes:
        time: ns of CLOCK_MONOTONIC when it was complete.
        processes: by pid.
        refused: those that may not be looked at.
    """

    time: int
    processes: list[Process]
    refused: list[int]


def ranges(pid: int) -> Iterator[tuple[int, int]]:
    """Address ranges that may hold anonymous folios: private, and anonymous or writable."""
    for line in (PROC / str(pid) / "maps").read_text("utf-8", "replace").splitlines():
        place, mode, _, _, inode, *name = line.split(None, 5)
        if mode[3] == "s" or (inode != "0" and mode[1] != "w") or (name and name[0].startswith("[v")):
            continue
        start, end = place.split("-")
        if int(start, 16) < 1 << 63:
            yield int(start, 16), int(end, 16)


def _mapped(pid: int) -> tuple[Numbers, Numbers]:
    """Page numbers and frames of a process, as far as they are mapped."""
    fd = pagemap.open_pagemap(pid)
    parts: list[tuple[Numbers, Numbers]] = []
    with open(fd, "rb", closefd=True):
        for start, end in ranges(pid):
            pfn = pagemap.pagemap(fd, start, (end - start) >> PAGE_SHIFT).pfn
            there = np.flatnonzero(pfn > 0)
            parts.append((there + (start >> PAGE_SHIFT), pfn[there]))
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def orders(pfns: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """The order of the folio that each frame is in, and whether it is an anonymous one.

    Args:
        pfns: ascending. A large folio's frames are aligned to their number, so that none leaves its 2 MiB window;
            what is larger than that is not anonymous.

    Raises:
        KernelError: kpageflags cannot be read.
    """
    order, anon = np.zeros(len(pfns), np.int64), np.zeros(len(pfns), np.bool_)
    window = pfns >> LARGEST_ORDER
    cuts = np.concatenate(([0], np.flatnonzero(np.diff(window)) + 1, [len(pfns)]))
    for begin, end in pairwise(cuts.tolist()):
        if begin == end:
            continue
        first = int(window[begin]) << LARGEST_ORDER
        flags = pagemap.kpageflags(np.arange(first, first + (1 << LARGEST_ORDER)))
        offset = pfns[begin:end] - first
        anon[begin:end] = pagemap.has(flags[offset], "ANON")
        heads = np.flatnonzero(~pagemap.has(flags, "COMPOUND_TAIL"))
        if len(heads):
            sizes = np.log2(np.diff(np.append(heads, len(flags)))).astype(np.int64)
            of_folio = np.where(pagemap.has(flags[heads], "COMPOUND_HEAD"), sizes, 0)
            place = np.searchsorted(heads, offset, side="right") - 1
            order[begin:end] = np.where(place >= 0, of_folio[place], 0)
    return order, anon


def take(pids: list[int]) -> Snapshot:
    """Look at processes; those that end meanwhile are left out.

    Raises:
        KernelError: kpageflags cannot be read.
    """
    found: list[tuple[int, int, int, str, Numbers, Numbers]] = []
    refused = []
    for pid in pids:
        try:
            comm, parent, start = _stat(pid)
            page, pfn = _mapped(pid)
        except (OSError, ValueError, IndexError):
            continue
        except KernelError:
            if (PROC / str(pid)).exists():
                refused.append(pid)
            continue
        found.append((pid, parent, start, comm, page, pfn))
    every = np.unique(np.concatenate([one[5] for one in found])) if found else np.zeros(0, np.int64)
    order, anon = orders(every)
    processes = []
    for pid, parent, start, comm, page, pfn in found:
        if not _maps(pid):
            continue  # frames that were freed meanwhile would look like pages that were dropped
        place = np.searchsorted(every, pfn)
        kept = anon[place]
        processes.append(Process(pid, parent, start, comm, page[kept], pfn[kept], order[place][kept]))
    return Snapshot(time.monotonic_ns(), processes, refused)


def _maps(pid: int) -> bool:
    """Whether a process still has an address space: an exiting one gives it up before it is torn down."""
    try:
        return (PROC / str(pid) / "statm").read_text().split()[0] != "0"
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> tuple[str, int, int]:
    """Name, parent and start time of a process; ValueError if it is a zombie."""
    text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] == "Z":
        raise ValueError("a zombie maps nothing")
    return name, int(fields[1]), int(fields[19])


def line(snapshot: Snapshot) -> str:
    """A snapshot as a line of the file."""
    processes: list[dict[str, Any]] = [
        {
            "pid": one.pid, "parent": one.parent, "start": one.start, "comm": one.comm,
            "runs": list(one.runs(np.ones(len(one.page), np.bool_))),
        }
        for one in snapshot.processes
    ]  # fmt: skip
    return json.dumps({"time": snapshot.time, "processes": processes}, separators=(",", ":")) + "\n"


def begin_file(file: IO[str]) -> None:
    """Write the first line of a file of snapshots."""
    file.write(json.dumps({"foliolab": snapshots.MAGIC, "version": snapshots.VERSION}) + "\n")


def trial(folder: Path) -> None:
    """See that frames and folios of a process can be seen.

    Raises:
        KernelError: they cannot.
    """
    seen = take([os.getpid()])
    if not seen.processes or not any(len(one.page) for one in seen.processes):
        raise KernelError(
            "the frames of processes cannot be seen here", "it needs root: CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH"
        )


class SnapshotRecorder(Recorder):
    """Records by snapshots."""

    name = "snapshots"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._known: set[int] = set()
        self._taken = 0

    def run(self, target: Target, attached: Attached) -> None:
        """Record; `attached` is not called: the first snapshot is the beginning."""
        trial(self.folder)
        with (self.folder / "main.jsonl").open("w", encoding="utf-8") as file:
            begin_file(file)
            if target.command:
                with gated(target.command) as (child, go):
                    go()
                    self._follow(target, file, child.pid, lambda: child.poll() is not None)
                    finish(child)
                self.status = child.returncode
            else:
                self._follow(target, file, target.pid, lambda: not (PROC / str(target.pid)).exists())
        self.notes.append(
            f"{self._taken} snapshots, {INTERVAL:g} s and more apart: what came and went between two is missed, "
            "and the order of what happened between two is not known."
        )

    def _follow(self, target: Target, file: IO[str], root: int, done: Callable[[], bool]) -> None:
        last = [0.0]
        self._known = {root}

        def tick() -> None:
            if time.monotonic() - last[0] < INTERVAL:
                return
            # a process whose parent is gone belongs to init; it is still of the family
            self._known.update(tree(*self._known))
            file.write(line(take(sorted(self._known))))
            self._taken += 1
            last[0] = time.monotonic()

        with suppress(KeyboardInterrupt):
            wait(target, done, tick)

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        """What was recorded.

        Raises:
            TraceFileError: the file is damaged.
        """
        with (self.folder / "main.jsonl").open(encoding="utf-8") as text:
            source = TraceSource("the snapshots", text)
            sources.append(source)
            yield from snapshots.read(source)
