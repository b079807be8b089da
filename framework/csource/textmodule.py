"""A translated text as a module whose functions have the files and lines of their C text.

What names a line of a policy, in an error, a counterexample or the inspector, so names the C line, and shows it.
"""

from __future__ import annotations

import ast
import re
import sys
from types import ModuleType
from typing import Any, Final

from foliolab.framework.contract.policy import Policy
from foliolab.framework.csource.place import Place
from foliolab.framework.csource.policytext import MARK
from foliolab.framework.machine import source

TEXT: Final = "__translation__"
"""The attribute of a module that holds the text that it was made of."""
_MARK: Final = re.compile(rf"{re.escape(MARK)}(.+):(\d+)$")


SOURCE: Final = "__c_source__"
"""The attribute of a module that names the C text which it was translated from."""


def module_of(name: str, text: str, file: str, source: object) -> ModuleType:
    """The module of a translated text.

    Args:
        name: of the module, which is put into `sys.modules`.
        text: the translation.
        file: the C file that the module stands for.
        source: the C text that was translated.
    """
    module = ModuleType(name)
    module.__file__ = file
    setattr(module, TEXT, text)
    setattr(module, SOURCE, source)
    places = places_of(text)
    sys.modules[name] = module
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            _define(node, places, module)
        else:
            exec(compile(ast.Module([node], []), file, "exec", dont_inherit=True), vars(module))
    return module


def translation_of(module: ModuleType | None) -> str:
    """The text that a module was made of; empty for a module that is no translation."""
    return str(getattr(module, TEXT, ""))


def places_of(text: str) -> list[Place]:
    """The C line that each line of a translation stands for; a place without a file where there is none."""
    return [_place(line) for line in text.splitlines()]


def source_of(module: ModuleType) -> Any:
    """The C text that a module was translated from, as `module_of` got it."""
    return getattr(module, SOURCE)


def translated_module(policy: Policy) -> ModuleType | None:
    """The module of a policy that was written in C, and that has not been changed since; None for any other policy."""
    module = sys.modules.get(getattr(policy.hooks.remove_ptes, "__module__", ""))
    is_own = hasattr(module, SOURCE) and getattr(module, "POLICY", None) is policy
    return module if is_own else None


def _place(line: str) -> Place:
    found = _MARK.search(line)
    return Place(found[1], int(found[2])) if found else Place()


def _define(node: ast.FunctionDef, places: list[Place], module: ModuleType) -> None:
    """Define one function, with the lines of its C file."""
    here = places[node.lineno - 1]
    for part in ast.walk(node):
        if isinstance(part, ast.stmt | ast.expr | ast.arg):
            place = places[part.lineno - 1]
            part.lineno = part.end_lineno = place.line or here.line or 1
    file = here.file or str(module.__file__)
    exec(compile(ast.Module([node], []), file, "exec", dont_inherit=True), vars(module))
    source.provide(vars(module)[node.name].__code__, node)
