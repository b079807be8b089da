"""A table of the reference, and its form as plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 110
"""A line of `foliolab reference` has at most this many characters."""


class Code(str):
    """A cell that is code: a name, a signature, a value."""


Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Entries of one kind.

    Args:
        head: the columns' names.
        rows: an entry each. The first cell begins with the entry's name, the second one says what it is.
        title: of a table that is one of several; empty for a single one.
        lead: a sentence about all entries.
    """

    head: tuple[str, ...]
    rows: Sequence[Row]
    title: str = ""
    lead: str = ""

    def named(self, name: str) -> Iterator[Row]:
        """The entries of that name."""
        return (row for row in self.rows if name in entry_names(row))

    def text(self, rows: Sequence[Row] | None = None) -> Iterator[str]:
        """The entries as lines of plain text: the first cell, and below it the others."""
        if self.title and rows is None:
            yield from (self.title, "-" * len(self.title))
        if self.lead and rows is None:
            yield from (*textwrap.wrap(self.lead, WIDTH), "")
        for row in self.rows if rows is None else rows:
            yield row[0]
            for heading, cell in zip(self.head[1:], row[1:], strict=True):
                said = cell if heading == "meaning" else f"{heading}: {cell}"
                yield from _wrapped(said) if cell else ()
            yield ""


@dataclass(frozen=True)
class Part:
    """A part of the reference.

    Args:
        title: its heading.
        made: its tables.
        said: what all of it is about.
    """

    title: str
    made: Callable[[], Sequence[Table]]
    said: str = ""

    def text(self) -> Iterator[str]:
        """The part as lines of plain text."""
        yield from (self.title, "=" * len(self.title))
        if self.said:
            yield from (*textwrap.wrap(self.said, WIDTH), "")
        for table in self.made():
            yield from table.text()


def entry_names(row: Row) -> list[str]:
    """The names of an entry: the words that its first cell begins with."""
    found = re.match(r"[\w.-]+(?:, [\w.-]+)*", row[0])
    return found.group().split(", ") if found else []


def _wrapped(text: str) -> Iterator[str]:
    """Indented lines; lists and indented examples of a docstring stay as they are."""
    for block in text.split("\n\n"):
        if any(line.startswith((" ", "- ")) for line in block.splitlines()):
            yield from (f"    {line}".rstrip() for line in block.splitlines())
        else:
            yield from textwrap.wrap(block, WIDTH, initial_indent="    ", subsequent_indent="    ")


def attributes(docstring: str, heading: str = "Attributes") -> dict[str, str]:
    """The descriptions in a docstring's section, by name; a line may name several."""
    part = re.split(rf"^ *{heading}:\n", docstring, maxsplit=1, flags=re.MULTILINE)
    if len(part) < 2:
        return {}
    found: dict[str, str] = {}
    lines = part[1].splitlines()
    base = len(lines[0]) - len(lines[0].lstrip())
    names: list[str] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent < base:
            break
        match = re.match(r"(\w+(?:, \w+)*): (.*)", line.strip()) if indent == base else None
        if match:
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
