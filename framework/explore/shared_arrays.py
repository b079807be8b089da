"""Arrays in memory that two processes share.

The maps of a run are up to 4 MiB, up to 72 times a second. To pickle them through a pipe would copy them several times
and hold the interpreter's lock of the window's process meanwhile. Instead the session paints them into files that both
processes map (in /dev/shm, so that nothing is written to a disk), and the pipe carries only an `ArrayAddress`.

Plain files in a folder are used instead of `multiprocessing.shared_memory` because they are simpler to clean up:
segments need a resource tracker, a third process; the folder is removed with one call, even after the session's
process was killed, and by the next session if the window's process was killed, too.
"""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.isolation.scratch import Scratch

CHUNK: Final = 1 << 24
"""Bytes of a file; pages of it that are never written to take no memory."""
_ALIGNMENT: Final = 64
_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True)
class ArrayAddress:
    """Where an array of bytes is: number of the file, first byte, length."""

    file: int
    start: int
    size: int


def make_folder() -> Scratch:
    """Make a folder for shared arrays, in /dev/shm if the system has it."""
    return Scratch(_MEMORY if _MEMORY.is_dir() else None)


def _mapped(path: Path, size: int) -> NDArray[np.uint8]:
    with path.open("r+b") as file:
        if size:
            file.truncate(size)
        return np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8)


class SharedArrays:
    """Makes arrays in a folder; any thread may call it.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks: list[NDArray[np.uint8]] = []
        self._used = 0
        self._lock = threading.Lock()

    def new(self, size: int) -> NDArray[np.uint8]:
        """A new array of so many bytes, all 0."""
        with self._lock:
            if not self._chunks or self._used + size > self._chunks[-1].size:
                path = self._path / str(len(self._chunks))
                path.touch(mode=0o600)
                self._chunks.append(_mapped(path, max(size, CHUNK)))
                self._used = 0
            found = self._chunks[-1][self._used : self._used + size]
            self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
            return found

    def address_of(self, array: NDArray[np.uint8]) -> ArrayAddress:
        """The address of an array made here, or of a slice of one.

        Raises:
            LookupError: the array was not made here.
        """
        pointer = array.ctypes.data
        for number, chunk in enumerate(self._chunks):
            start = pointer - chunk.ctypes.data
            if 0 <= start < chunk.size:
                return ArrayAddress(number, start, array.size)
        raise LookupError("the array does not lie in shared memory")


class SharedArraysReader:
    """Finds the arrays that another process made.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks: dict[int, NDArray[np.uint8]] = {}

    def at(self, address: ArrayAddress) -> NDArray[np.uint8]:
        """The array at an address; both processes see the same bytes."""
        if address.file not in self._chunks:
            self._chunks[address.file] = _mapped(self._path / str(address.file), 0)
        return self._chunks[address.file][address.start : address.start + address.size]
