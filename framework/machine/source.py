"""The syntax tree and the signature of a function, as its file holds them."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

from foliolab.framework.machine.calltree import signature_of

Key = tuple[str, int]
"""A function's name and first line, which is that of a decorator if there is one."""


_provided: Final[dict[CodeType, ast.FunctionDef]] = {}
"""The definitions of functions whose file is in another language. Several may have the same file, name and line."""


def provide(code: CodeType, node: ast.FunctionDef) -> None:
    """Make the definition of a function known whose file is in another language; it has that file's lines."""
    _provided[code] = node


def definition(function: FunctionType) -> ast.FunctionDef | None:
    """The function's definition, with the lines of its file; None if it was generated, or its file has changed."""
    code = function.__code__
    found = _provided.get(code) or _definitions(_text(code)).get((code.co_name, code.co_firstlineno))
    names = [] if found is None else [one.arg for one in (*found.args.posonlyargs, *found.args.args)]
    return found if names == list(code.co_varnames[: code.co_argcount]) else None


def exact_definition(function: FunctionType) -> ast.FunctionDef | None:
    """The definition that compiles to exactly this function's code; None if the file has none."""
    code = function.__code__
    if code in _provided:
        return _provided[code]
    found = definition(function)
    made = _codes(_text(code)).get((code.co_name, code.co_firstlineno))
    return found if made is not None and signature_of(made) == signature_of(code) else None


def recompiled(made: ast.FunctionDef, function: FunctionType) -> CodeType:
    """The code of a changed copy of a function's definition, without decorators; it keeps the function's file."""
    made.decorator_list = []
    module = ast.fix_missing_locations(ast.Module([made], []))
    whole = compile(module, function.__code__.co_filename, "exec", dont_inherit=True)
    return next(one for one in whole.co_consts if isinstance(one, CodeType) and one.co_name == made.name)


def written_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The function's signature, with annotations that are not evaluated yet as text.

    Since Python 3.14 a function's annotations are evaluated when they are read, and those may name what the file
    imports for types only.
    """
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.STRING)
    return inspect.signature(function)


def _text(code: CodeType) -> str:
    linecache.checkcache(code.co_filename)
    return "".join(linecache.getlines(code.co_filename))


@cache
def _definitions(text: str) -> dict[Key, ast.FunctionDef]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return {
        (node.name, min([node.lineno, *(one.lineno for one in node.decorator_list)])): node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }


@cache
def _codes(text: str) -> dict[Key, CodeType]:
    try:
        whole = compile(text, "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return {(code.co_name, code.co_firstlineno): code for code in _nested(whole)}


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)
