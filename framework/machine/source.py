"""The syntax tree of a function, as its file holds it."""

from __future__ import annotations

import ast
import linecache
from functools import cache
from types import FunctionType


def definition(function: FunctionType) -> ast.FunctionDef | None:
    """The function's definition, with the lines of its file; None if it was generated, or its file has changed."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    found = _definitions("".join(linecache.getlines(code.co_filename))).get((code.co_name, code.co_firstlineno))
    names = [] if found is None else [one.arg for one in (*found.args.posonlyargs, *found.args.args)]
    return found if names == list(code.co_varnames[: code.co_argcount]) else None


@cache
def _definitions(text: str) -> dict[tuple[str, int], ast.FunctionDef]:
    """The functions of a file by name and first line, which is that of a decorator if there is one."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return {
        (node.name, min([node.lineno, *(one.lineno for one in node.decorator_list)])): node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
