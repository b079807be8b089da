"""The host, the computer that FolioLab runs on: what it is, and what can run on it. Nothing here raises."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework.document import Count

PROC: Final = Path("/proc")
SYS: Final = Path("/sys")


class HostInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host of a run.

    Attributes:
        cpu: the processor's name.
        cores: how many of its processors the run could use.
        memory_bytes: physical memory, 0 where unknown.
        os: the distribution.
    """

    cpu: str
    cores: Count
    memory_bytes: Count
    os: str


def describe_host() -> HostInfo:
    """This host; an unknown value is "unknown" or 0."""
    cpu = ""
    with suppress(OSError, UnicodeDecodeError):
        lines = (PROC / "cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    memory = 0
    with suppress(OSError, ValueError):
        memory = max(0, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    system = platform.system()
    with suppress(OSError):
        system = platform.freedesktop_os_release().get("PRETTY_NAME", system)
    cpu = cpu or platform.processor() or platform.machine() or "unknown"
    return HostInfo(cpu=cpu, cores=cores(), memory_bytes=memory, os=system or "unknown")


def kernel() -> str:
    """The running kernel's release and version."""
    return f"{platform.release()} {platform.version()}".strip()


def memory_available() -> int | None:
    """Bytes that can be allocated without swapping: MemAvailable or the rest of the memory cgroup; None if unknown."""
    found = [value for value in (_mem_available(), _cgroup_available()) if value is not None]
    return min(found, default=None)


def _mem_available() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _cgroup_available() -> int | None:
    """Bytes below the limits of the process's cgroup (version 2) and its parents; file cache counts as free."""
    found: int | None = None
    with suppress(OSError, ValueError, IndexError):
        (own,) = [line[3:] for line in (PROC / "self/cgroup").read_text().splitlines() if line.startswith("0::")]
        root = SYS / "fs/cgroup"
        folder = root / own.strip("/")
        for group in (folder, *folder.parents):
            left = _left(group)
            if left is not None:
                found = left if found is None else min(found, left)
            if group == root:
                break
    return found


def _left(cgroup: Path) -> int | None:
    with suppress(OSError, ValueError):
        limit = (cgroup / "memory.max").read_text().strip()
        if limit == "max":
            return None
        used = int((cgroup / "memory.current").read_text())
        for line in (cgroup / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):
                used -= int(line.split()[1])
        return max(int(limit) - used, 0)
    return None


def cores() -> int:
    """The number of processors that this process may use."""
    with suppress(OSError, AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def huge_pages() -> str:
    """The kernel's setting for transparent huge pages: always, madvise or never; empty if unknown."""
    with suppress(OSError, IndexError):
        text = (SYS / "kernel/mm/transparent_hugepage/enabled").read_text()
        return text.split("[")[1].split("]")[0]
    return ""
