"""Temporary folders that are gone afterwards: a killed process's are removed by the next one that makes one there.

A process holds a lock (flock) on its folder, which the kernel releases when the process and its children have ended.
A folder of this user with PREFIX and without a lock is therefore nobody's any more.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = ".foliolab-scratch-"


class Scratch:
    """A temporary folder.

    Args:
        parent: the folder that it is made in; by default the system's for temporary files.

    Attributes:
        path: the folder.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_abandoned(parent)
        self._lock: int | None = None
        while self._lock is None:  # another process may take a new folder for an abandoned one before it is locked
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            self._lock = _locked(self.path) if os.name == "posix" else -1

    def remove(self) -> None:
        """Remove the folder; files in it that are open or mapped stay valid."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)
            self._lock = None


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder for the duration of the context; see `Scratch`."""
    made = Scratch(parent)
    try:
        yield made.path
    finally:
        made.remove()


def remove_abandoned(parent: Path) -> None:
    """Remove the folders that killed processes of this user left behind."""
    for path in abandoned(parent):
        shutil.rmtree(path, ignore_errors=True)


def abandoned(parent: Path) -> Iterator[Path]:
    """The folders that killed processes of this user left behind; each is locked until the next is asked for."""
    with suppress(OSError):
        for entry in os.scandir(parent):
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False) and _own(entry.path):
                lock = _locked(Path(entry.path))
                if lock is not None:
                    yield Path(entry.path)
                    os.close(lock)


def _own(path: str) -> bool:
    with suppress(OSError, AttributeError):  # Windows has no user IDs
        return os.lstat(path).st_uid == os.geteuid()
    return False


def _locked(path: Path) -> int | None:
    """A descriptor with the lock of a folder; None if another process has it, or has removed the folder."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
            return descriptor
    os.close(descriptor)
    return None
