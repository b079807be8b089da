"""The function around a line of a source file."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Function:
    """A function's text, or the whole file where a line is in none.

    Args:
        name: of the function; empty for a file.
        text: its lines, decorators included.
        first_line: the number of the first of them.
    """

    name: str
    text: str
    first_line: int


def function_at(file: str, line: int) -> Function:
    """The innermost function of a file that has a line.

    Args:
        file: its path; it may be gone or nonsense, then there is no name and as much text as can be read.
        line: number from 1.
    """
    lines = tuple(linecache.getlines(file))
    for name, first, last in _functions("".join(lines)):
        if first <= line <= last:
            return Function(name, "".join(lines[first - 1 : last]).rstrip("\n"), first)
    return Function("", "".join(lines).rstrip("\n"), 1)


@lru_cache(maxsize=32)
def _functions(text: str) -> tuple[tuple[str, int, int], ...]:
    """Name, first and last line of every function, inner ones first."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found.append((node.name, first, node.end_lineno or node.lineno))
    return tuple(sorted(found, key=lambda one: one[2] - one[1]))
