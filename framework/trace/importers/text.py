"""A tracer's text, which may come from a pipe: it is read once, from its beginning, in lines of bounded length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.errors import TraceFileError

HEAD: Final = 1 << 16
"""Number of characters that a reader gets to recognise its format."""
MOST_LINE: Final = 1 << 26
"""Characters of a line. A snapshot of a process tree is one line."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[str, TraceSource]]:
    """Open a text; yields its first HEAD characters, and the whole text as a source.

    Raises:
        TraceFileError: there is no such file, it cannot be read, or a line is too long.
    """
    name = os.fspath(path)
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as text:
            head = text.read(HEAD)
            yield head, TraceSource(name, _lines(name, head, text))
    except FileNotFoundError as fault:
        raise TraceFileError(f"there is no file {name}", "name a file that a tracer wrote") from fault
    except OSError as fault:
        raise _unreadable(name, fault) from fault


def _lines(name: str, head: str, text: TextIO) -> Iterator[str]:
    """The lines of a text whose beginning has been read."""
    *whole, part = head.split("\n")
    for line in whole:
        yield line + "\n"
    number = len(whole) + 1
    try:
        line = part + text.readline(MOST_LINE)
        while line:
            if len(line) >= MOST_LINE:
                raise TraceFileError(
                    f"{name}, line {number}: a line of more than {MOST_LINE >> 20} MiB", "is this a tracer's text?"
                )
            yield line
            line = text.readline(MOST_LINE)
            number += 1
    except OSError as fault:  # here, and not where a plugin's reader asks for the line
        raise _unreadable(name, fault) from fault


def _unreadable(name: str, fault: OSError) -> TraceFileError:
    return TraceFileError(f"{name} cannot be read: {fault.strerror or fault}", "check the path")
