"""What a plugin declares to read a tracer's text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import TraceFileError


class TraceSource:
    """The text that a reader reads, line by line.

    Args:
        name: of the file, for messages.
        lines: the text. Iterate the source instead, which counts them.

    Attributes:
        number: of the line that was read last, from 1 on.
        text: that line.
        last: whether that line is the last one.
        foreign: how many lines the reader skipped as irrelevant; the reader counts them.
        notes: sentences for the trace's header; the reader appends them.
        times: whether the text has times; a reader that numbers its records instead sets this to False.
    """

    def __init__(self, name: str, lines: Iterable[str]) -> None:
        self.name = name
        self.number = 0
        self.text = ""
        self.last = False
        self.foreign = 0
        self.notes: list[str] = []
        self.times = True
        self.lines = lines

    def __iter__(self) -> Iterator[str]:
        lines = iter(self.lines)
        held = next(lines, None)
        while held is not None:
            line, held = held, next(lines, None)
            self.number += 1
            self.text = line
            self.last = held is None
            yield line

    def refuse(self, why: str) -> NoReturn:
        """Refuse the line that was read last: it says something impossible.

        Raises:
            TraceFileError: names the file, the line and its text.
        """
        shown = self.text.strip()
        raise TraceFileError(
            f"{self.name}, line {self.number}: {why}: {shown[:100]}{'…' * (len(shown) > 100)}",
            "mend or remove the line, or name the right --format",
        )

    def unreadable(self, line: str, why: str) -> None:
        """Report a line that cannot be read; if it is the last line, the file was cut off and a note is added.

        Raises:
            TraceFileError: the line is not the last one.
        """
        if not self.last:
            self.text = line
            self.refuse(why)
        self.notes.append(f"The text ends in the middle of line {self.number}; it was read up to there.")

    def cut_off(self) -> None:
        """Note that the line that was read last, and says nothing, may be cut off: the last one, without an end."""
        if self.last and self.text.strip() and not self.text.endswith("\n"):
            self.notes.append(f"Line {self.number}, the last one, has no end: the text may have been cut off there.")


@dataclass(frozen=True)
class TraceReader:
    """A format that `foliolab import` reads.

    Args:
        name: of the format, as --format takes it.
        summary: the program that writes such texts, in a few words.
        recognise: whether a text that begins like this is of the format; given up to 64 KiB.
        read: makes the records of `trace_records` out of a text, in the order of time.
        unordered: whether records may come up to some seconds late, and must be sorted by time.
    """

    name: str
    summary: str
    recognise: Callable[[str], bool]
    read: Callable[[TraceSource], Iterator[Record]]
    unordered: bool = False
