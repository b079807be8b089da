"""Pieces of Markdown that generated pages are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """A text as a table's cell."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(head: Sequence[str], rows: Iterable[Sequence[object]], right: int | None = None) -> list[str]:
    """A table.

    Args:
        head: the columns' names.
        rows: the cells.
        right: from this column on, cells are aligned to the right; None: none is.
    """
    first = len(head) if right is None else right
    rules = [":---" if place < first else "---:" for place in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(rules)}|"]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""]


def code(text: str) -> str:
    """A word as code."""
    return f"`{text}`"


def fenced(kind: str, lines: Iterable[str], options: Iterable[str] = ()) -> list[str]:
    """A fenced block, or a directive."""
    return [f"````{kind}", *options, *lines, "````", ""]


def prose(docstring: str) -> str:
    """A docstring as Markdown: what looks like HTML or a footnote is meant as it stands."""
    return re.sub(r"[<>\[\]]", lambda found: f"\\{found.group()}", docstring.strip())


def attributes(docstring: str, heading: str = "Attributes") -> dict[str, str]:
    """What a docstring's section says of each name; a line may name several."""
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
