"""The syntax trees of functions, from their files; a file that has changed since it was imported gives none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType

from foliolab.framework.machine.calltree import signature_of


def definition(function: FunctionType) -> ast.FunctionDef | None:
    """The definition that compiles to exactly this function's code; None if the file has none."""
    code = function.__code__
    found = _definitions(code.co_filename).get((code.co_name, code.co_firstlineno))
    return found[0] if found is not None and signature_of(found[1]) == signature_of(code) else None


@cache
def _definitions(path: str) -> dict[tuple[str, int], tuple[ast.FunctionDef, CodeType]]:
    """The functions of a file with their code, by name and first line."""
    try:
        tree = ast.parse(Path(path).read_bytes())
        codes = {(code.co_name, code.co_firstlineno): code for code in _nested(compile(tree, path, "exec"))}
    except (OSError, SyntaxError, ValueError):
        return {}
    nodes = {
        (node.name, min([node.lineno, *(one.lineno for one in node.decorator_list)])): node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    return {key: (node, codes[key]) for key, node in nodes.items() if key in codes}


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)
