"""How long the threads of another process waited for a processor: on a busy host they are late, and do not hang."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

WAITED: Final = 1
"""Number of the field that counts nanoseconds in a run queue. Source: Documentation/scheduler/sched-stats.rst."""


def waits_of(pid: int) -> dict[str, float]:
    """Seconds that each thread of a process has waited for a processor so far; empty where the host does not say."""
    found = {}
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found[task.name] = int((task / "schedstat").read_bytes().split()[WAITED]) / 1e9
    except (OSError, ValueError, IndexError):  # the process or a thread has ended, or the kernel counts nothing
        return found
    return found


def longest_wait(before: Mapping[str, float], now: Mapping[str, float]) -> float:
    """The longest that a thread has waited for a processor between two looks, in seconds."""
    return max((waited - before.get(thread, 0.0) for thread, waited in now.items()), default=0.0)
