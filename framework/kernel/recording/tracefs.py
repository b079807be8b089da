"""tracefs, which perf and bpftrace need: mounted while they record, and unmounted afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MOUNTS: Path = Path("/proc/mounts")
KINDS: Final = ("tracefs", "debugfs")
PATH: Final = "/sys/kernel/tracing"


def mounted() -> list[tuple[str, str]]:
    """The mounts of tracefs and debugfs as pairs of kind and path."""
    with suppress(OSError):
        words = [line.split() for line in MOUNTS.read_text().splitlines()]
        return [(line[2], line[1]) for line in words if len(line) > 2 and line[2] in KINDS]
    return []


def ensure_mounted() -> None:
    """Mount tracefs where neither is mounted, for bpftrace; the tool reports it if that fails."""
    if not mounted():
        with suppress(OSError):
            subprocess.run(["mount", "-t", "tracefs", "nodev", PATH], capture_output=True, check=False)


@contextmanager
def unmounted_after(notes: list[str]) -> Iterator[None]:
    """Unmount at the end what was mounted inside: perf mounts tracefs or debugfs by itself when it runs as root.

    Args:
        notes: gets a sentence for each such mount.
    """
    before = mounted()
    try:
        yield
    finally:
        for kind, path in reversed(mounted()):
            if (kind, path) not in before:
                try:
                    done = subprocess.run(["umount", path], capture_output=True, check=False).returncode == 0
                except OSError:
                    done = False
                result = "unmounted again" if done else "left mounted, since somebody uses it"
                notes.append(f"The recording tool mounted {kind} at {path}; it was {result}.")
