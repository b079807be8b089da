"""Whether other users of this host could have written what lies at a path, and so decide what FolioLab runs."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LINKS: Final = 40
"""Symbolic links that are followed on the way to a file; the kernel follows as many."""


def distrust(path: str | os.PathLike[str]) -> str:
    """Why a file or folder cannot be trusted: a clause such as "others can write to /x"; empty if it can be.

    The path itself, each folder above it and each symbolic link on the way must belong to this process's user or to
    root, and nobody else may write to them. Folders such as /tmp, where only owners rename and delete, may be above it.

    Raises:
        OSError: it does not exist, or cannot be reached.
    """
    for step in _way(path):
        found = os.lstat(step)
        if found.st_uid not in (0, os.geteuid()):
            return f"{step} belongs to {_user(found.st_uid)}"
        above = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
        if not stat.S_ISLNK(found.st_mode) and not above and _others_write(found):
            return f"others can write to {step}"
    return ""


def make_private(folder: Path) -> None:
    """Make a folder and the missing ones above it, which nobody else may enter, whatever the umask.

    Raises:
        OSError: it cannot be made.
    """
    for step in (*reversed(folder.parents), folder):
        step.mkdir(0o700, exist_ok=True)


def _way(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Each folder and symbolic link between / and a path, and where it ends."""
    at, left, links = Path("/"), list(Path(os.path.abspath(path)).parts[1:]), 0
    yield at
    while left:
        word = left.pop(0)
        if word == "..":
            at = at.parent
            continue
        reached = at / word
        yield reached
        if not reached.is_symlink():
            at = reached
            continue
        links += 1
        if links > LINKS:
            raise OSError(f"{path} has too many symbolic links")
        target = Path(os.readlink(reached))
        at = Path("/") if target.is_absolute() else at
        left = [*(target.parts[1:] if target.is_absolute() else target.parts), *left]


def _others_write(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _private(found.st_gid)


def _private(group: int) -> bool:
    """Whether a group is that of this user alone, as many distributions make it with the user."""
    try:
        me, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return group == me.pw_gid and found.gr_name == me.pw_name and set(found.gr_mem) <= {me.pw_name}


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user {number}"
