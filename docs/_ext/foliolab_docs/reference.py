"""The reference's tables as Markdown.

autodoc would show signatures and docstrings, too. It cannot join them with defaults of hooks, locked instructions,
native forms and free bytes of a layout, which other modules know; `foliolab.framework.reference` does.
"""

from __future__ import annotations

from collections.abc import Iterable

from foliolab.framework.reference.parts import PARTS
from foliolab.framework.reference.table import Code, Table
from foliolab_docs.markdown import code, prose, table


def part(name: str) -> list[str]:
    """A part of the reference."""
    return markdown(PARTS[name].made())


def markdown(tables: Iterable[Table]) -> list[str]:
    """Tables, each below its title."""
    lines: list[str] = []
    for one in tables:
        lines += [f"### {one.title}", ""] if one.title else []
        lines += [prose(one.lead), ""] if one.lead else []
        rows = [[code(cell) if isinstance(cell, Code) else prose(cell) for cell in row] for row in one.rows]
        lines += table(one.head, rows) if one.rows else []
    return lines


def everything() -> str:
    """All parts, for tests that compare the reference with the code."""
    return "\n".join(line for name in PARTS for line in part(name))
