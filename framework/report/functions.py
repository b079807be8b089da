"""The function around a line of a source file."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Function:
    """The text of a function, or of a whole file.

    Args:
        name: name of the function; empty for a file.
        text: the lines, including decorators.
        first_line: line number of the first one.
    """

    name: str
    text: str
    first_line: int


def function_at(file: str, line: int) -> Function:
    """The innermost function that contains a line; the whole file if none does.

    Args:
        file: path of the file, in Python or C. If it has another language, the result is the file; if it cannot be
            read, an empty text.
        line: line number, from 1.
    """
    lines = tuple(linecache.getlines(file))
    found = _c_functions if file.endswith((".c", ".h")) else _functions
    for name, first, last in found("".join(lines)):
        if first <= line <= last:
            return Function(name, "".join(lines[first - 1 : last]).rstrip("\n"), first)
    return Function("", "".join(lines).rstrip("\n"), 1)


@lru_cache(maxsize=32)
def _c_functions(text: str) -> tuple[tuple[str, int, int], ...]:
    """(name, first line, last line) of every definition in C."""
    from foliolab.framework.csource.slicing import SourceFile  # few policies are in C

    return tuple((one.name, one.first + 1, one.last + 1) for one in SourceFile(text).definitions)


@lru_cache(maxsize=32)
def _functions(text: str) -> tuple[tuple[str, int, int], ...]:
    """(name, first line, last line) of every function, inner functions first."""
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
