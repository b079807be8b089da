"""Whether the kernel's out-of-memory killer ended a process: cgroups of version 1 and 2, and the whole host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

OWN: Path = Path("/proc/self/cgroup")
MOUNT: Path = Path("/sys/fs/cgroup")
VMSTAT: Path = Path("/proc/vmstat")
KEY: Final = "oom_kill"


def oom_kills() -> int | None:
    """How many processes the killer has ended, in this process's cgroups and on the host; None if nothing says so.

    The sum means nothing; that it has grown says that the killer came. A counter of the cgroup is there besides the
    host's, because a container may not see the host's.
    """
    found = [number for path in (VMSTAT, *_counters()) if (number := _count(path)) is not None]
    return sum(found) if found else None


def _counters() -> Iterator[Path]:
    """The files of the memory cgroup; in a container also those of the mount's top, which is its own cgroup there."""
    with suppress(OSError, ValueError):
        for line in OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                folder, name = MOUNT, "memory.events"
            elif "memory" in controllers.split(","):
                folder, name = MOUNT / "memory", "memory.oom_control"
            else:
                continue
            inner = folder / path.lstrip("/") / name
            yield inner if inner.exists() else folder / name


def _count(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == KEY:
                return int(value)
    return None
