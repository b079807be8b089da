"""The address spaces of a trace, which can be millions: in the header while they are few, else a section of the file.

The section has a JSON object in each line. Its lines go to a file of their own until the trace is complete, so that
memory does not grow with the number of processes that came and went.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from foliolab.framework.errors import TraceFileError
from foliolab.framework.trace.header import AddressSpace

IN_HEADER: Final = 4096
"""The most address spaces that a header has."""
_decode: Final = msgspec.json.Decoder(AddressSpace).decode


class AddressSpaces:
    """Address spaces in the order in which they are added, in a temporary file once they are many.

    A context manager that removes the file.

    Args:
        beside: the trace; the temporary file is in its folder.

    Raises:
        TraceFileError: the file cannot be written.
    """

    def __init__(self, beside: str | os.PathLike[str]) -> None:
        folder = os.path.dirname(os.path.realpath(beside))
        self._folder = folder if os.path.isdir(folder) else None
        self._count = 0
        self._few: list[AddressSpace] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[AddressSpace]:
        if self._file is not None:
            self._file.seek(0)
            yield from map(_decode, self._file)
            self._file.seek(0, os.SEEK_END)
        yield from self._few

    def add(self, space: AddressSpace) -> None:
        self._count += 1
        self._few.append(space)
        if len(self._few) > IN_HEADER:
            self._write()

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix=".foliolab-", dir=self._folder)  # noqa: SIM115 (__exit__ closes it)
            self._file.writelines(map(line_of, self._few))
            self._file.flush()
        except OSError as error:
            raise TraceFileError(
                f"the names of {self._count:,} address spaces cannot be written: {error.strerror or error}",
                f"make room in {self._folder or tempfile.gettempdir()}",
            ) from error
        self._few.clear()


def line_of(space: AddressSpace) -> bytes:
    """A line of the section."""
    return msgspec.json.encode(space) + b"\n"


def of_line(line: bytes) -> AddressSpace:
    """The address space of a line of the section.

    Raises:
        msgspec.DecodeError: the line is damaged.
    """
    return _decode(line)
