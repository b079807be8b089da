"""Markdown for generated pages: tables, code, blocks, docstrings."""

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
        right: the first column that is aligned to the right; None: no column is.
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
    """A docstring as Markdown, with the characters of HTML and of links escaped."""
    return re.sub(r"[<>\[\]]", lambda found: f"\\{found.group()}", docstring.strip())
