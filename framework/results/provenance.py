"""Where a result comes from: the machine, the kernel, the versions, the commit. Nothing here ever fails."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

PACKAGES: Final = ("foliolab", "numpy", "numba", "llvmlite", "msgspec")
"""What a result names the versions of, besides Python."""


class MachineInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a run took place.

    Attributes:
        cpu: the processor's name.
        cores: how many of its processors the run could use.
        memory_bytes: physical memory, 0 where unknown.
        os: the distribution.
    """

    cpu: str
    cores: int
    memory_bytes: int
    os: str


def now() -> str:
    """This moment as results write it: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe_machine() -> MachineInfo:
    """This machine; never fails, an unknown value is "unknown" or 0."""
    cpu = ""
    with suppress(OSError, UnicodeDecodeError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    memory = 0
    with suppress(OSError, ValueError):
        memory = max(0, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    system = platform.system()
    with suppress(OSError):
        system = platform.freedesktop_os_release().get("PRETTY_NAME", system)
    cores = os.cpu_count() or 1
    with suppress(OSError, AttributeError):
        cores = len(os.sched_getaffinity(0))
    cpu = cpu or platform.processor() or platform.machine() or "unknown"
    return MachineInfo(cpu=cpu, cores=cores, memory_bytes=memory, os=system or "unknown")


def versions() -> dict[str, str]:
    """Versions of Python and of `PACKAGES`, as far as they are installed; none is imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def kernel() -> str:
    """The running kernel's release and version."""
    return f"{platform.release()} {platform.version()}".strip()


def git() -> str:
    """The commit of the checkout that this code runs from; empty where it is not run from one."""
    root = Path(__file__).resolve().parents[2]

    def ask(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    with suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
        # An installed copy may lie inside of somebody else's repository: that commit says nothing about it.
        if (top := ask("rev-parse", "--show-toplevel")) and Path(top).resolve() == root:
            return ask("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return ""
