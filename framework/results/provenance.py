"""The provenance of a result: the host, the kernel, the versions, the commit. Nothing here raises."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final, TypedDict

from foliolab.framework import host
from foliolab.framework.host import HostInfo

PACKAGES: Final = ("foliolab", "numpy", "numba", "llvmlite", "msgspec")
"""What a result names the versions of, besides Python."""


class Origin(TypedDict):
    """The fields of a `RunResult` that say where and when it was made."""

    started: str
    finished: str
    machine: HostInfo
    versions: dict[str, str]
    kernel: str
    git: str


def origin(started: str) -> Origin:
    """The origin of a result that is finished now.

    Args:
        started: when the run began, from `now`.
    """
    return Origin(
        started=started,
        finished=now(),
        machine=host.describe_host(),
        versions=versions(),
        kernel=host.kernel(),
        git=git(),
    )


def now() -> str:
    """This moment as results write it: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python and of `PACKAGES`, as far as they are installed. No package is imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def git() -> str:
    """The commit of the checkout that this code runs from; empty where it is not run from one."""
    root = Path(__file__).resolve().parents[2]
    # An installed copy may lie inside another repository, whose commit says nothing about FolioLab.
    if (top := _ask(root, "rev-parse", "--show-toplevel")) and Path(top).resolve() == root:
        return _ask(root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return ""


def commit_here(files: Iterable[Path]) -> str:
    """The commit of the repository that the current folder lies in; empty outside of one.

    Only commands of git are used that run nothing of what a repository's settings name: the folder may be anybody's.

    Args:
        files: "-dirty" stands behind the commit if the text of one of these is not that of the commit.
    """
    commit = _ask(Path.cwd(), "rev-parse", "--verify", "HEAD")
    for path in map(Path.absolute, files if commit else ()):
        text = _ask(path.parent, "hash-object", "--no-filters", str(path))
        if not text or text != _ask(path.parent, "rev-parse", "--verify", f"HEAD:./{path.name}"):
            return f"{commit}-dirty"
    return commit


def _ask(folder: Path, *arguments: str) -> str:
    """The answer of git; empty if there is none."""
    with suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""
