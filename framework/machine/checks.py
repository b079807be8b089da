"""A text's own checks: `assert` and `VM_WARN_ON`, which a kernel without CONFIG_DEBUG_VM does not contain.

The executions that look for faults run them. What is timed or counted is the text without them, also without what
their conditions read.
"""

from __future__ import annotations

import ast
import copy
from functools import cache
from types import CodeType, FunctionType

from foliolab.framework.machine.primitives import VM_WARN_ON
from foliolab.framework.machine.source import definition, recompiled


def is_check(node: ast.stmt, function: FunctionType) -> bool:
    """Whether a statement of a function is a check."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return isinstance(node, ast.Assert)
    called = node.value.func
    return isinstance(called, ast.Name) and function.__globals__.get(called.id) is VM_WARN_ON


class _Remover(ast.NodeTransformer):
    def __init__(self, function: FunctionType) -> None:
        self.function = function

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.stmt) and is_check(node, self.function):
            return ast.copy_location(ast.Pass(), node)
        if isinstance(node, ast.expr):
            return node
        return self.generic_visit(node)


def without_checks(node: ast.FunctionDef, function: FunctionType) -> ast.FunctionDef:
    """A copy of a function's definition without its checks."""
    made = copy.deepcopy(node)
    _Remover(function).generic_visit(made)
    return made


@cache
def has_checks(function: FunctionType) -> bool:
    """Whether a function's text has checks; those of a function without text are not seen."""
    found = definition(function)
    return found is not None and any(isinstance(one, ast.stmt) and is_check(one, function) for one in ast.walk(found))


@cache
def unchecked_code(function: FunctionType) -> CodeType:
    """A function's code without its checks."""
    found = definition(function)
    if found is None or not has_checks(function):
        return function.__code__
    return recompiled(without_checks(found, function), function)
