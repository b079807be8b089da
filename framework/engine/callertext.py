"""What a caller's text may be: the discipline of a policy's text, with the engine's fields in place of a policy's."""

from __future__ import annotations

import ast
from types import FunctionType, ModuleType
from typing import Final, get_args

from foliolab.framework.contract.policy import Layout
from foliolab.framework.engine.policytext import OWN, Text
from foliolab.framework.engine.structs import CPU, MM_FIELDS, PAGE_FIELDS, PTE, ZONE, common_fields
from foliolab.framework.engine.textkinds import NOTHING, Kinds, annotated, result_of
from foliolab.framework.errors import PolicyTextError
from foliolab.framework.machine.calltree import FRAMEWORK, CallTree, where

ENGINE_FIELDS: Final = frozenset(
    field.name
    for fields in (
        PAGE_FIELDS,
        MM_FIELDS,
        CPU.fields,
        ZONE.fields,
        PTE.fields,
    )
    for field in fields
) | {stored.name for layout in get_args(Layout) for stored in common_fields(layout)}
"""The names of the fields that a caller may access; what a policy stores is the policy's."""


def check_caller_text(tree: CallTree) -> None:
    """Check every function of a caller's text.

    Args:
        tree: of the engine's entry points, with the caller's functions.

    Raises:
        PolicyTextError: a function has what no execution allows; the message names file and line.
    """
    authors = [one for one in tree.needs if not one.__module__.startswith(FRAMEWORK)]
    given = {other: annotated(function) for function, other in tree.replace.items() if isinstance(other, FunctionType)}
    kinds = Kinds(tree, authors, given, ENGINE_FIELDS)
    for function, other in tree.replace.items():
        if not isinstance(function, FunctionType) or not isinstance(other, FunctionType):
            continue
        gives_nothing = kinds.results.get(other, NOTHING) == NOTHING
        if other in authors and gives_nothing != (result_of(function) == NOTHING):
            raise PolicyTextError(
                f"{other.__qualname__} at {where(other)} {'returns nothing' if gives_nothing else 'returns a value'}",
                f"{function.__qualname__}, for which it stands, returns {'a value' if gives_nothing else 'nothing'}",
            )
    for function in authors:
        if not function.__module__.startswith(OWN):
            _CallerText(function, tree, kinds, frozenset(), "").check()


class _CallerText(Text):
    """The check of one function of a caller."""

    def visit_Attribute(self, node: ast.Attribute) -> None:
        base = node.value
        is_module = isinstance(base, ast.Name) and isinstance(self._global(base.id), ModuleType)
        if not is_module and node.attr not in ENGINE_FIELDS:
            self._refuse(
                node, f"uses {ast.unparse(node)}, which is not a field of the engine",
                "what a policy stores changes by its hooks: call what foliolab.framework.operations has for it",
            )  # fmt: skip
        super().visit_Attribute(node)
