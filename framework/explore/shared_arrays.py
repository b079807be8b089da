"""Arrays that two processes see: one makes them, the other finds them by a few numbers."""

from __future__ import annotations

import mmap
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

CHUNK: Final = 1 << 24
"""Bytes of a file; what is never written to takes no memory."""
_ALIGNED: Final = 64
_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True)
class Place:
    """Where an array of bytes is: number of the file, first byte, length."""

    file: int
    start: int
    size: int


def folder() -> str:
    """A new folder for an arena, in memory where the system has such a place."""
    return tempfile.mkdtemp(prefix="foliolab-", dir=_MEMORY if _MEMORY.is_dir() else None)


def discard(path: str) -> None:
    """Remove an arena's folder; arrays that somebody still has stay as they are."""
    shutil.rmtree(path, ignore_errors=True)


def _mapped(path: Path, size: int) -> NDArray[np.uint8]:
    with path.open("r+b") as file:
        if size:
            file.truncate(size)
        return np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8)


class Arena:
    """Makes arrays in a folder; any thread may ask for one."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._chunks: list[NDArray[np.uint8]] = []
        self._used = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> NDArray[np.uint8]:
        """A new array of so many bytes, all 0."""
        with self._lock:
            if not self._chunks or self._used + size > self._chunks[-1].size:
                path = self._path / str(len(self._chunks))
                path.touch(mode=0o600)
                self._chunks.append(_mapped(path, max(size, CHUNK)))
                self._used = 0
            found = self._chunks[-1][self._used : self._used + size]
            self._used += -(-size // _ALIGNED) * _ALIGNED
            return found

    def place(self, array: NDArray[np.uint8]) -> Place:
        """Where an array is that lies in one that was taken."""
        at = array.ctypes.data
        for number, chunk in enumerate(self._chunks):
            start = at - chunk.ctypes.data
            if 0 <= start < chunk.size:
                return Place(number, start, array.size)
        raise LookupError("the array is not in this arena")


class Window:
    """Finds another process's arrays."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._chunks: dict[int, NDArray[np.uint8]] = {}

    def at(self, place: Place) -> NDArray[np.uint8]:
        """The array there; both processes see the same bytes."""
        if place.file not in self._chunks:
            self._chunks[place.file] = _mapped(self._path / str(place.file), 0)
        return self._chunks[place.file][place.start : place.start + place.size]
