"""Counters of /proc/vmstat that show whether the kernel moved pages by itself during a measurement.

Migration, compaction, collapse, splits and swapping change PFNs or folios without any process asking for it, and a
changed PFN looks like a copy. A caller whose measurement saw one of these counters move discards it and measures again
(docs/real-kernels.md, "Folios of a chosen size" and "Reproducible scenarios").
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
    "compact_migrate_scanned": "pages scanned by compaction",
    "thp_collapse_alloc": "khugepaged collapsed pages into a THP",
    "pswpout": "pages swapped out",
    "pswpin": "pages swapped in",
    "numa_pages_migrated": "pages migrated between NUMA nodes",
    "thp_split_page": "large folios split",
    "ksm_swpin_copy": "KSM pages copied at swap-in",
}
"""The counters, and what each counts. A kernel built without a feature does not have its counter."""


def read() -> dict[str, int]:
    """Read the counters that this kernel has.

    Raises:
        KernelError: /proc/vmstat cannot be read, or has none of them.
    """
    try:
        text = VMSTAT.read_text()
    except (OSError, UnicodeDecodeError) as fault:
        raise KernelError(
            f"{VMSTAT} cannot be read, so whether the kernel moves pages by itself is not known: {fault}",
            "check that /proc is mounted and readable",
        ) from fault
    return parse(text)


def parse(text: str) -> dict[str, int]:
    """The counters in the text of /proc/vmstat.

    Raises:
        KernelError: it has none of them.
    """
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name in COUNTERS:
            with suppress(ValueError):
                found[name] = int(value)
    if not found:
        raise KernelError(f"{VMSTAT} has none of {', '.join(COUNTERS)}", "is this Linux's /proc?")
    return found


def moved(before: Mapping[str, int], after: Mapping[str, int], allowed: Mapping[str, int] | None = None) -> list[str]:
    """A description of each counter that moved.

    Args:
        before, after: results of `read`.
        allowed: the largest permitted increase of a counter, such as the splits that a scenario requests; default 0.
    """
    found = []
    for name, value in after.items():
        increase = value - before.get(name, 0)
        if increase > (allowed or {}).get(name, 0):
            found.append(f"{COUNTERS.get(name, name)} ({name} +{increase})")
    return found
