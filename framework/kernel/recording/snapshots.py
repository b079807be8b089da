"""Snapshots: the frames that processes map, read from /proc as root.

`snapshot_recorder` takes them again and again. The recorders that trace running processes take one at the start, since
tracepoints do not show what was mapped before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import pagemap
from foliolab.framework.trace.importers.snapshots import Numbers, ProcessSnapshot

PROC: Path = Path("/proc")
LARGEST_ORDER: Final = 9
PAGE_SHIFT: Final = 12


@dataclass(frozen=True)
class Snapshot:
    """The frames that processes map at one time.

    Attributes:
        time: ns of CLOCK_MONOTONIC when the snapshot was complete.
        processes: in the order of the PIDs that were asked for.
        refused: PIDs whose pagemap this user may not read.
    """

    time: int
    processes: list[ProcessSnapshot]
    refused: list[int]


def _anonymous_ranges(pid: int) -> Iterator[tuple[int, int]]:
    """Address ranges that may have anonymous folios: private, and anonymous or writable."""
    for line in (PROC / str(pid) / "maps").read_text("utf-8", "replace").splitlines():
        addresses, mode, _, _, inode, *name = line.split(None, 5)
        if mode[3] == "s" or (inode != "0" and mode[1] != "w") or (name and name[0].startswith("[v")):
            continue
        start, end = (int(address, 16) for address in addresses.split("-"))
        if start < 1 << 63:
            yield start, end


def _mapped(pid: int) -> tuple[Numbers, Numbers]:
    """Virtual page numbers and PFNs of the mapped pages of a process."""
    fd = pagemap.open_pagemap(pid)
    vpns, pfns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    with open(fd, "rb", closefd=True):
        for start, end in _anonymous_ranges(pid):
            pfn = pagemap.pagemap(fd, start, (end - start) >> PAGE_SHIFT).pfn
            mapped = np.flatnonzero(pfn > 0)
            vpns.append(mapped + (start >> PAGE_SHIFT))
            pfns.append(pfn[mapped])
    return np.concatenate(vpns), np.concatenate(pfns)


def orders(pfns: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """The order of each frame's folio, and whether the folio is anonymous.

    Args:
        pfns: ascending. A large folio is naturally aligned, so a folio of up to 2 MiB lies in one window of 2 MiB.
            Larger folios are not anonymous.

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
            index = np.searchsorted(heads, offset, side="right") - 1
            order[begin:end] = np.where(index >= 0, of_folio[index], 0)
    return order, anon


def take(pids: list[int]) -> Snapshot:
    """Take a snapshot of processes; those that end meanwhile are left out.

    Raises:
        KernelError: kpageflags cannot be read.
    """
    found: list[tuple[int, int, int, int, str, Numbers, Numbers]] = []
    refused = []
    for pid in pids:
        try:
            comm, parent, start = _stat(pid)
            began = time.monotonic_ns()
            page, pfn = _mapped(pid)
        except (OSError, ValueError, IndexError):
            continue
        except KernelError:
            if (PROC / str(pid)).exists():
                refused.append(pid)
            continue
        found.append((began, pid, parent, start, comm, page, pfn))
    all_pfns = np.unique(np.concatenate([entry[6] for entry in found])) if found else np.zeros(0, np.int64)
    order, anon = orders(all_pfns)
    processes = []
    for began, pid, parent, start, comm, page, pfn in found:
        if not _has_address_space(pid):
            continue  # the teardown frees its frames, so their flags may belong to other pages by now
        index = np.searchsorted(all_pfns, pfn)
        kept = anon[index]
        processes.append(ProcessSnapshot(pid, parent, start, comm, page[kept], pfn[kept], order[index][kept], began))
    return Snapshot(time.monotonic_ns(), processes, refused)


def _has_address_space(pid: int) -> bool:
    """False for an exiting process: it gives up its address space before the teardown."""
    try:
        return (PROC / str(pid) / "statm").read_text().split()[0] != "0"
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> tuple[str, int, int]:
    """Name, parent and start time of a process; raises ValueError for a zombie."""
    text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] == "Z":
        raise ValueError("a zombie maps nothing")
    return name, int(fields[1]), int(fields[19])


def line(snapshot: Snapshot) -> str:
    """A snapshot as a line of the file, which `trace.importers.snapshots` describes."""
    processes: list[dict[str, Any]] = [
        {
            "pid": process.pid, "parent": process.parent, "start": process.start, "comm": process.comm,
            "runs": list(process.runs(np.ones(len(process.page), np.bool_))),
        }
        for process in snapshot.processes
    ]  # fmt: skip
    return json.dumps({"time": snapshot.time, "processes": processes}, separators=(",", ":")) + "\n"
