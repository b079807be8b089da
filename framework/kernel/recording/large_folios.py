"""The large folios of a recording: one size is switched on for it, and why a program got none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import settings

FALLBACK: Final = "anon_fault_fallback"
CHARGE: Final = "anon_fault_fallback_charge"
"""Counters of a size: faults for which there was no folio of it, and of these the ones that a memory cgroup refused."""


@contextmanager
def only(kib: int, wait: float) -> Iterator[None]:
    """Give all memory large folios of one size, and no other, for the duration of the context.

    Args:
        kib: the size in KiB; 0: leave the settings as they are.
        wait: seconds to wait for another run that uses the settings.

    Raises:
        KernelError: there is no such size, another run has the settings, or they cannot be changed or restored.
    """
    if not kib:
        yield
        return
    with settings.exclusive(wait) as thp:
        thp.only(kib, "always")
        yield


@dataclass(frozen=True)
class Chances:
    """What this host gave large folios to at a time.

    Attributes:
        modes: by size in KiB, always, madvise or never.
        refused: by size in KiB, how often a fault found no folio of it so far, by FALLBACK and CHARGE.
    """

    modes: Mapping[int, str]
    refused: Mapping[int, Mapping[str, int]]

    @classmethod
    def now(cls) -> Chances:
        """What holds now; empty on a host without large folios."""
        modes, refused = {}, {}
        for kib in settings.sizes():
            with suppress(KernelError):
                modes[kib] = settings.resolved_mode(kib)
                refused[kib] = settings.stats(kib)
        return cls(modes, refused)

    def total(self, name: str) -> int:
        """A counter, summed over the sizes that all memory may get."""
        sizes = (kib for kib, mode in self.modes.items() if mode == "always")
        return sum(self.refused.get(kib, {}).get(name, 0) for kib in sizes)


def why_none(before: Chances, after: Chances) -> str:
    """Why a program that was recorded meanwhile got no large folio, and what to do: a sentence.

    Args:
        before, after: the recording.
    """
    none = "The program got no large folio:"
    if not before.modes:
        return f"{none} this kernel has no large folios for anonymous memory."
    open_to = {mode: [kib for kib, own in before.modes.items() if own == mode] for mode in ("always", "madvise")}
    if not open_to["always"]:
        if not open_to["madvise"]:
            return f"{none} all sizes are switched off on this host (never); --folios 64K switches one on meanwhile."
        return (
            f"{none} folios of {_sizes(open_to['madvise'])} go to memory with MADV_HUGEPAGE only on this host; "
            "--folios 64K gives them to all memory meanwhile."
        )
    sizes = _sizes(open_to["always"])
    found, charged = (
        sum(
            after.refused.get(kib, {}).get(name, 0) - before.refused.get(kib, {}).get(name, 0) for kib in before.refused
        )
        for name in (FALLBACK, CHARGE)
    )
    if found > 0:
        who = f"the limit of a memory cgroup refused {charged:,} of them" if charged else "free memory is in pieces"
        return (
            f"{none} {found:,} faults on this host found no folio of {sizes} ({FALLBACK}), and {who}; free memory, or "
            "`echo 1 > /proc/sys/vm/compact_memory`."
        )
    return (
        f"{none} folios of {sizes} were on, but no fault fell where one fits: its memory has smaller pieces (a mapping "
        "must cover an aligned range of that size, in which nothing is mapped), is of files or shared, or has large "
        "folios off (MADV_NOHUGEPAGE, PR_SET_THP_DISABLE)."
    )


def _sizes(kibs: Iterable[int]) -> str:
    return ", ".join(f"{kib} KiB" for kib in kibs)
