"""Where a trace is written and read: beside its target until it is complete, and from a pipe only once."""

from __future__ import annotations

import mmap
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from foliolab.framework.document import beside, remove_abandoned

_FROM_PIPES: Final[dict[tuple[int, int], mmap.mmap | bytes]] = {}
"""What was read from pipes, by device and inode: a command opens its trace several times."""


class Output:
    """A file that is being written.

    An existing file is replaced at the end, by one that is written beside it. A new file is written under its own name:
    what a killed writer leaves can be read. A device or a pipe is written to.

    Args:
        path: the target.

    Attributes:
        file: for writing.
        replaces: whether an existing file is to be replaced.

    Raises:
        OSError: the target, or its folder, cannot be written to.
    """

    def __init__(self, path: str) -> None:
        self.target = Path(os.path.realpath(path))
        mode = self.target.stat().st_mode if self.target.exists() else None
        self.replaces = mode is not None and stat.S_ISREG(mode)
        self.file: BinaryIO
        if mode is not None and stat.S_ISREG(mode):
            with self.target.open("ab"):
                pass  # a file that may not be written to is not replaced, either
            fd, name = beside(self.target)
            self._written: Path | None = Path(name)
            self.file = os.fdopen(fd, "wb")
            os.chmod(name, stat.S_IMODE(mode))
        else:
            self._written = self.target if mode is None else None
            self.file = Path(path).open("wb")  # noqa: SIM115 (closed by finish or discard)

    def finish(self) -> None:
        """Close the complete file, and give it its name.

        Raises:
            OSError: it cannot be written.
        """
        self.file.close()
        if self.replaces and self._written:
            os.replace(self._written, self.target)
            remove_abandoned(self.target)
        self._written = None

    def discard(self, keep: bool = False) -> None:
        """Close and remove the file, if it is not finished; with `keep` a new file stays, incomplete."""
        with suppress(OSError):
            self.file.close()
        if self._written and (self.replaces or not keep):
            with suppress(OSError):
                self._written.unlink()
        self._written = None


def content(path: str, magic: bytes) -> mmap.mmap | bytes:
    """The bytes of a file, mapped; of a pipe, they are copied to an unnamed temporary file first.

    Args:
        path: the file or pipe.
        magic: how it must begin; of a pipe that begins otherwise, no more than that is read.

    Raises:
        OSError: it cannot be read.
    """
    status = Path(path).stat()
    key = status.st_dev, status.st_ino
    if key in _FROM_PIPES and not stat.S_ISREG(status.st_mode):
        return _FROM_PIPES[key]
    with Path(path).open("rb") as file:
        if stat.S_ISREG(status.st_mode):
            return _mapped(file)
        begin = file.read(len(magic))
        if begin != magic:
            return begin
        with tempfile.TemporaryFile(prefix="foliolab-") as copy:
            copy.write(begin)
            shutil.copyfileobj(file, copy)
            copy.flush()
            _FROM_PIPES[key] = _mapped(copy)
    return _FROM_PIPES[key]


def _mapped(file: BinaryIO) -> mmap.mmap | bytes:
    if not os.fstat(file.fileno()).st_size:
        return b""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
