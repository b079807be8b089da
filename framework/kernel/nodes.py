"""The NUMA nodes of a kernel that have memory: pages can be moved between two."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

HAS_MEMORY: Final = "/sys/devices/system/node/has_memory"
"""Their numbers, as a list of ranges; missing where the kernel knows no nodes."""


def parse(text: str) -> tuple[int, ...]:
    """The numbers in a list of ranges such as `0-1,3`; none if it is not one."""
    found: list[int] = []
    with suppress(ValueError):
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            found += range(int(first), int(last or first) + 1)
    return tuple(found)


def of_this_host() -> tuple[int, ...]:
    """The nodes of the running kernel."""
    with suppress(OSError, UnicodeDecodeError):
        return parse(Path(HAS_MEMORY).read_text())
    return ()
