"""A tracer's text, which may come from a pipe: it is read once, from its beginning, in lines of bounded length."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.errors import TraceFileError
from foliolab.framework.trace.importers.opening import DAMAGED, UNREADABLE, content

HEAD: Final = 1 << 16
"""Number of characters that a reader gets to recognise its format."""
MOST_LINE: Final = 1 << 26
"""Characters of a line. A snapshot of a process tree is one line."""
MOST_SCRIPTS: Final = 1 << 24
"""Characters of a page of HTML before its trace."""
TOLD_EVERY: Final = 1 << 16
"""Lines between two reports of progress."""
_QUOTE: Final = re.compile(r"^(?:> ?){1,8}", re.MULTILINE)
_PAGE: Final = ("<!doctype html", "<html")

Tell = Callable[[int, int], None]
"""Is told how many bytes of how many were read; 0 of what is not known."""


class _Counted(io.FileIO):
    """A file, or a pipe, which does not know how much was read of it.

    Attributes:
        done: bytes that were read.
    """

    done = 0

    def readinto(self, buffer: Any, /) -> int | None:
        got = super().readinto(buffer)
        self.done += got or 0
        return got


@contextmanager
def opened(path: str | os.PathLike[str], tell: Tell | None = None) -> Iterator[tuple[str, TraceSource]]:
    """Open a text; yields its first HEAD characters, and the whole text as a source.

    Args:
        path: of the text, of a compressed text, or of a recording of perf or trace-cmd; of a pipe, too.
        tell: is told how much was read.

    Raises:
        TraceFileError: there is no such file, it cannot be read, or a line is too long.
    """
    name = os.fspath(path)
    try:
        with io.BufferedReader(counted := _Counted(path)) as file:
            status = os.fstat(file.fileno())
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            notes: list[str] = []
            with content(file, name, notes) as (plain, encoding), io.TextIOWrapper(plain, encoding, "replace") as text:
                head = text.read(HEAD)
                if head.lstrip()[:20].lower().startswith(_PAGE):
                    head = _trace_of_page(head, text)
                lines = _lines(name, head, text, lambda: tell(counted.done, size) if tell else None)
                if _quoted(head):
                    head, lines = _QUOTE.sub("", head), (_QUOTE.sub("", line) for line in lines)
                source = TraceSource(name, lines)
                source.notes = notes
                yield head[:HEAD], source
    except FileNotFoundError as fault:
        raise TraceFileError(f"there is no file {name}", "name a file that a tracer wrote") from fault
    except UNREADABLE as fault:
        raise _unreadable(name, fault) from fault


def _quoted(head: str) -> bool:
    """Whether the lines are quoted as in a mail."""
    lines = [line for line in head.splitlines()[:20] if line.strip()]
    return bool(lines) and all(line.startswith(">") for line in lines)


def _trace_of_page(head: str, text: TextIO) -> str:
    """The beginning of the trace in systrace's page, whose scripts come first; what was read of another page."""
    read, seen = [head], head
    while "# tracer:" not in seen:
        more = text.read(HEAD)
        if not more or len(read) * HEAD > MOST_SCRIPTS:
            return "".join([*read, more])
        seen = seen[-len("# tracer:") :] + more
        read.append(more)
    return seen[seen.index("# tracer:") :] + text.read(HEAD)


def _lines(name: str, head: str, text: TextIO, report: Callable[[], None]) -> Iterator[str]:
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
            if not number % TOLD_EVERY:
                report()
            yield line
            line = text.readline(MOST_LINE)
            number += 1
    except UNREADABLE as fault:  # here, and not where a plugin's reader asks for the line
        raise _unreadable(name, fault) from fault


def _unreadable(name: str, fault: Exception) -> TraceFileError:
    if isinstance(fault, DAMAGED):
        return TraceFileError(f"{name} is damaged: {fault}", "copy or record it again")
    return TraceFileError(f"{name} cannot be read: {getattr(fault, 'strerror', '') or fault}", "check the path")
