"""tracefs, which perf and bpftrace need: mounted while they work, and not left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MOUNTS: Path = Path("/proc/mounts")
KINDS: Final = ("tracefs", "debugfs")
PLACE: Final = "/sys/kernel/tracing"


def mounted() -> list[tuple[str, str]]:
    """The mounts of tracefs and debugfs: kind and place."""
    with suppress(OSError):
        words = [line.split() for line in MOUNTS.read_text().splitlines()]
        return [(line[2], line[1]) for line in words if len(line) > 2 and line[2] in KINDS]
    return []


def ensure() -> None:
    """Mount tracefs where neither is mounted, for a tool that does not do so itself; without a word if that fails."""
    if not mounted():
        with suppress(OSError):
            subprocess.run(["mount", "-t", "tracefs", "nodev", PLACE], capture_output=True, check=False)


@contextmanager
def undone(notes: list[str]) -> Iterator[None]:
    """What is mounted inside is unmounted again; perf as root mounts tracefs or debugfs by itself.

    Args:
        notes: gets a sentence if something was mounted.
    """
    before = mounted()
    try:
        yield
    finally:
        for kind, place in reversed(mounted()):
            if (kind, place) not in before:
                try:
                    done = subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0
                except OSError:
                    done = False
                left = "unmounted again" if done else "left mounted, since somebody uses it"
                notes.append(f"The recording tool mounted {kind} at {place}; it was {left}.")
