"""Whether the kernel moved pages by itself while something was measured: /proc/vmstat, before and after.

Migration, compaction, collapse, a split and swapping change PFNs or folios without any process asking for it,
which looks like a copy. Whoever sees one of these counters move discards what was measured, and repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError

VMSTAT: Path = Path("/proc/vmstat")
COUNTERS: Final = {
    "pgmigrate_success": "pages migrated",
    "compact_migrate_scanned": "pages that compaction looked at",
    "thp_collapse_alloc": "khugepaged collapsed pages into a THP",
    "pswpout": "pages swapped out",
    "pswpin": "pages swapped in",
    "numa_pages_migrated": "pages migrated between NUMA nodes",
    "thp_split_page": "large folios split",
    "ksm_swpin_copy": "KSM pages copied at swap-in",
}
"""The counters, and what it means that one moved. A kernel built without a feature has no counter for it."""


def read() -> dict[str, int]:
    """The counters that this kernel has.

    Raises:
        KernelError: /proc/vmstat cannot be read, or holds none of them.
    """
    try:
        lines = VMSTAT.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise KernelError(
            f"{VMSTAT} cannot be read, so whether the kernel moves pages by itself is not known: {fault}",
            "check that /proc is mounted and readable",
        ) from fault
    found = {}
    for line in lines:
        name, _, value = line.partition(" ")
        if name in COUNTERS:
            with suppress(ValueError):
                found[name] = int(value)
    if not found:
        raise KernelError(f"{VMSTAT} has none of {', '.join(COUNTERS)}", "is this Linux's /proc?")
    return found


def moved(before: Mapping[str, int], after: Mapping[str, int], allowed: Mapping[str, int] | None = None) -> list[str]:
    """The counters that moved, each in words with its count; empty where the kernel let pages be.

    Args:
        before, after: two answers of `read`.
        allowed: by how much a counter may have moved at most, such as the splits that a scenario asks for.
    """
    told = []
    for name, value in after.items():
        by = value - before.get(name, 0)
        if by > (allowed or {}).get(name, 0):
            told.append(f"{COUNTERS.get(name, name)} ({name} +{by})")
    return told
