"""The microbenchmarks of `compare` as programs for the agent, one call or loop of stores of each between marks.

A cell is played again until its smallest counts have occurred twice, equal in every function. Plays differ in the state
that the allocators' lists are left in, which swings between a few states; what the kernel does to them by the clock is
put off (`QUIET`), and LRU batches are drained before each play.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.agent.channel import VIEW, Frame, Gone
from foliolab.framework.kernel.counting.counts import Functions, total
from foliolab.framework.kernel.counting.machine import CountingGuest
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.settings import PMD_KIB

PAGE_KIB: Final = 4
MOST_PLAYS: Final = 6
"""Plays after which a cell whose counts still differ is reported as not exact."""
QUIET: Final = (
    "put /proc/sys/vm/stat_interval 1000000",
    "put /proc/sys/kernel/sched_rt_runtime_us -1",
    "put /sys/module/damon_stat/parameters/enabled N",
    "put /sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs 4000000",
)
"""What is written once, where a kernel has the file: per-CPU statistics and lists are drained every so many seconds
otherwise, and ordinary processes get their share of the time."""
DRAIN: Final = "put /proc/sys/vm/drop_caches 3"
"""Empties the LRU batches, too, whose folios the next call would move otherwise."""
RUN: Final = struct.Struct("<QIIII")
"""Equal neighbours in a view, `struct run` of agent.h: entry, pages, count, flags."""
VIEW_HEAD: Final = 8
TAIL: Final = 1 << 16
THP: Final = 1 << 22
"""Bits of /proc/kpageflags."""

FORK: Final = "fork 0 1 0 0 0"
WORKLOADS: Final[dict[str, tuple[str, ...]]] = {
    "munmap": ("mark 0", "munmap 0 0 {pages}"),
    "dontneed": ("mark 0", "dontneed 0 0 {pages}"),
    "fork": ("mark 0", FORK),
    "cow-byte": (FORK, "mark 0", "store 0 0 {pages} 2"),
    "reuse-byte": (FORK, "exit 1", "mark 0", "store 0 0 {pages} 2"),
    "child-reuse-byte": (FORK, "munmap 0 0 {pages}", "settle 1", "mark 1", "store 1 0 {pages} 2"),
    "remap": ("mark 0", "split 0 0 {pages}"),
}
"""The commands of each workload, after its memory is populated; process 0 is the parent, 1 the child."""
BARE: Final = {"munmap": False, "dontneed": False, "fork": False, "remap": True}
"""The workloads that do something without the memory, too, and whether it has to be there, mapped by PTEs already."""


@dataclass(frozen=True)
class Played:
    """What a cell's plays gave.

    Attributes:
        functions: of the play with the fewest instructions.
        exact: another play had the same, but for lines: which pages it got is not the same.
        plays: how many there were.
        spread: instructions between the largest and the smallest play, without the first.
    """

    functions: Functions
    exact: bool
    plays: int
    spread: int


def unfit(guest: Guest, workload: str, kib: int) -> str:
    """Why a workload does not apply to a folio size on a kernel; empty if it does."""
    if workload == "remap" and kib != PMD_KIB:
        return f"remap is for folios of {PMD_KIB} KiB only"
    if kib > PAGE_KIB and kib not in (guest.conditions.switches or {}):
        return f"the kernel has no folios of {kib} KiB"
    return ""


def program(guest: Guest, workload: str, kib: int, pages: int, bare: bool = False) -> list[str]:
    """The lines that play a cell.

    Args:
        bare: without what makes the cell: no page is there; for remap the PMDs are split already.
    """
    switches = guest.conditions.switches or {}
    lines = [f"put {path} {'madvise' if size == kib else 'never'}" for size, path in switches.items()]
    drain = [DRAIN] if guest.drains else []
    lines += [*drain, f"start 2 {pages} 0 0", "settle 0", f"map 0 0 {pages}"]
    split = kib == PMD_KIB and (workload != "remap" or bare)
    if not bare or BARE[workload]:
        lines += [f"populate 0 0 {pages} {pages} {int(kib > PAGE_KIB)} 1 {int(split)}", "look"]
    return [*lines, *drain, *(line.format(pages=pages) for line in WORKLOADS[workload])]


def quiet(guest: Guest) -> None:
    """Put off what the kernel does by the clock, and find out whether it drains on command."""
    for line in (*QUIET, DRAIN):
        try:
            guest.channel.play(line)
        except Gone:
            raise
        except KernelError:
            guest.drains &= line != DRAIN  # this kernel has no such file


def play(guest: CountingGuest, workload: str, kib: int, pages: int, bare: bool = False) -> Played:
    """Play a cell until its counts repeat.

    Raises:
        Gone: the kernel does not answer any more.
        KernelError: it refused a step, or populated other folios.
    """
    lines = "\n".join(program(guest, workload, kib, pages, bare))
    plays: list[Functions] = []
    executed: list[Functions] = []
    for _ in range(MOST_PLAYS):
        frames = guest.channel.play(lines)
        if not bare:
            check_folios(guest, frames, kib, pages)
        (functions,) = guest.counts()
        plays.append(functions)
        executed.append({name: counts.executed for name, counts in functions.items()})
        least = min(executed, key=lambda one: total(one.values()).instructions)
        if executed.count(least) > 1:
            break
    sizes = [total(one.values()).instructions for one in executed[1:]]
    chosen = plays[executed.index(least)]
    return Played(chosen, executed.count(least) > 1, len(plays), max(sizes) - min(sizes))


def check_folios(guest: Guest, frames: Sequence[Frame], kib: int, pages: int) -> None:
    """Check that all memory is in folios of the size that was asked for, by /proc/kpageflags.

    Raises:
        KernelError: it is not.
    """
    (view,) = [frame.payload for frame in frames if frame.kind == VIEW][:1]
    nr = kib // PAGE_KIB
    heads = tails = small = 0
    for _, number, _, flags, _ in RUN.iter_unpack(view[VIEW_HEAD:]):
        heads += number * (flags & THP != 0 and not flags & TAIL)
        tails += number * (flags & TAIL != 0)
        small += number * (not flags & THP)
    wanted = (0, 0, pages) if nr == 1 else (pages // nr, pages - pages // nr, 0)
    if (heads, tails, small) != wanted:
        raise KernelError(f"{guest.name} did not populate {pages} pages in folios of {kib} KiB", "use less --memory")
