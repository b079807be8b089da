"""A text that a tracer wrote, line by line, with what a reader has to say about it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from foliolab.framework.errors import TraceFileError

HEAD: Final = 1 << 16
"""Characters by which a format is recognised."""


class Source:
    """Lines with their numbers.

    Args:
        name: of the file, for messages.
        lines: the text.

    Attributes:
        number: of the line that was read last, from 1 on.
        last: whether no other follows.
        foreign: lines that are of no concern.
        notes: what the trace's header should say, a sentence each.
    """

    def __init__(self, name: str, lines: Iterable[str]) -> None:
        self.name = name
        self.number = 0
        self.last = False
        self.foreign = 0
        self.notes: list[str] = []
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        lines = iter(self._lines)
        held = next(lines, None)
        while held is not None:
            line, held = held, next(lines, None)
            self.number += 1
            self.last = held is None
            yield line

    def unreadable(self, line: str, why: str) -> None:
        """A line cannot be read: where it is the last one, the file was cut off there, which is only noted.

        Raises:
            TraceFileError: it is another one.
        """
        if not self.last:
            shown = line.strip()
            raise TraceFileError(
                f"{self.name}, line {self.number}: {why}: {shown[:100]}{'…' * (len(shown) > 100)}",
                "mend or remove the line, or name the right --format",
            )
        self.notes.append(f"The text ends in the middle of line {self.number}; it was read up to there.")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[str, Source]]:
    """The beginning of a text file, and all of it as a source.

    Raises:
        TraceFileError: there is no such file, or it cannot be read.
    """
    name = os.fspath(path)
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as head:
            start = head.read(HEAD)
        with Path(path).open(encoding="utf-8", errors="replace") as text:
            yield start, Source(name, text)
    except FileNotFoundError as fault:
        raise TraceFileError(f"there is no file {name}", "name a file that a tracer wrote") from fault
    except OSError as fault:
        raise TraceFileError(f"{name} cannot be read: {fault.strerror or fault}", "check the path") from fault
