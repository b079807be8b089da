"""The cgroup of a recording: where its folder is, and which processes are in it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from foliolab.framework.errors import UsageError

MOUNTS: Path = Path("/proc/mounts")
PROC: Path = Path("/proc")
PROCESSES: Final = "cgroup.procs"
ENGINES: Final = ("docker", "podman", "nerdctl")
ENGINE_SECONDS: Final = 10.0
_CONTAINER: Final = re.compile(
    r"(?:docker-|libpod-|cri-containerd-|crio-|nerdctl-|machine-|lxc\.payload\.)?(.+?)(?:\.scope)?"
)
"""The name of a container's cgroup as Docker, Podman, containerd, CRI-O, LXC and systemd-nspawn build it."""
_ID: Final = re.compile(r"[0-9a-f]{12,64}")


def mounts() -> list[Path]:
    """Where hierarchies of cgroups are mounted, that of version 2 first."""
    with suppress(OSError):
        words = [line.split() for line in MOUNTS.read_text().splitlines()]
        found = [(one[2], Path(one[1])) for one in words if len(one) > 2 and one[2] in ("cgroup", "cgroup2")]
        return [path for _, path in sorted(found, reverse=True)]
    return []


def find(name: str) -> Path:
    """The folder of a cgroup.

    Args:
        name: its path in the file system, or below a mount, such as `system.slice/nginx.service`.

    Raises:
        UsageError: there is no such cgroup.
    """
    below = mounts()
    for path in (Path(name), *(mount / name.lstrip("/") for mount in below)):
        if path.is_absolute() and (path / PROCESSES).is_file():
            return path
    where = ", ".join(map(str, below)) or "nowhere"
    raise UsageError(
        f"there is no cgroup {name!r}; cgroups are mounted at {where}", "/proc/PID/cgroup names the cgroup of a process"
    )


def pids(folder: Path) -> list[int]:
    """The processes in a cgroup and in those below it, ascending."""
    found: set[int] = set()
    for path in (folder / PROCESSES, *folder.rglob(PROCESSES)):
        with suppress(OSError, ValueError):  # a cgroup may be removed meanwhile; one of threads has no processes
            found.update(int(word) for word in path.read_text().split())
    return sorted(found - {0})  # 0: a process of another PID namespace


def of_container(name: str) -> Path:
    """The folder of a container's cgroup.

    Args:
        name: of the container, or its ID, or the first 12 digits of the ID and more.

    Raises:
        UsageError: no cgroup has that name, and no container engine here knows it.
    """
    for folder in _folders():
        found = _CONTAINER.fullmatch(folder.name)
        if found and (found[1] == name or (_ID.fullmatch(name) and found[1].startswith(name))):
            return folder
    for engine in ENGINES:
        if (pid := _first_process(engine, name)) and (own := of_process(pid)):
            return own
    raise UsageError(
        f"there is no container {name!r}: no cgroup has that name, and none of {', '.join(ENGINES)} here knows it",
        "name its ID, or its cgroup: --cgroup PATH",
    )


def of_process(pid: int) -> Path | None:
    """The folder of a process's own cgroup; None if it is in no cgroup but the root."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
            path = line.split(":", 2)[-1]
            with suppress(UsageError):
                if path != "/":
                    return find(path)
    return None


def _folders() -> Iterator[Path]:
    for mount in mounts():
        with suppress(OSError):
            for path in mount.rglob(PROCESSES):
                yield path.parent


def _first_process(engine: str, name: str) -> int:
    """The PID of a container's first process, as an engine says; 0 if it does not."""
    command = [engine, "inspect", "--format", "{{.State.Pid}}", "--", name]
    with suppress(OSError, ValueError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, timeout=ENGINE_SECONDS, check=False, text=True)
        return int(done.stdout) if done.returncode == 0 else 0
    return 0
