"""Interpreted arithmetic that keeps to 64 bits: Python's numbers would grow where compiled ones wrap."""

from __future__ import annotations

import ast
import copy
import sys
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

from foliolab.framework.errors import FieldOverflow
from foliolab.framework.machine.checks import without_checks
from foliolab.framework.machine.primitives import PRIMITIVES
from foliolab.framework.machine.source import definition, recompiled

CHECK: Final = "__foliolab_fits"
_LOW, _HIGH = -(1 << 63), (1 << 63) - 1
_GROWS: Final = (ast.Add, ast.Sub, ast.Mult, ast.LShift, ast.Pow)
_KEEPS_LOW_BITS: Final = (ast.Add, ast.Sub, ast.Mult, ast.LShift, ast.BitAnd, ast.BitOr, ast.BitXor)


def fits(value: int) -> int:
    """The value, if it fits 64 bits.

    Raises:
        FieldOverflow: it does not; names the line of the caller.
    """
    if _LOW <= value <= _HIGH:
        return value
    frame = sys._getframe(1)
    raise FieldOverflow(
        f"{frame.f_code.co_qualname} calculates {value}, which does not fit 64 bits, "
        f"at {frame.f_code.co_filename}:{frame.f_lineno}",
        "write u64(…) around arithmetic that is meant to wrap, or & with a mask",
    )


def keep_to_64_bits(function: FunctionType, twin: Any, checks: bool) -> None:
    """Let a copy of a policy's function test what it calculates; a function without its source stays as it is.

    Args:
        checks: whether the copy keeps the function's own checks.
    """
    if code := _checked(function, checks):
        twin.__code__ = code
        twin.__globals__[CHECK] = fits


@cache
def _checked(function: FunctionType, checks: bool) -> CodeType | None:
    made = checked_definition(function, checks)
    return None if made is None else recompiled(made, function)


def checked_definition(function: FunctionType, checks: bool) -> ast.FunctionDef | None:
    """A copy of a function's definition that tests what it calculates; None where it calculates nothing.

    Args:
        checks: whether the copy keeps the function's own checks.
    """
    found = definition(function)
    if found is None:
        return None
    made = copy.deepcopy(found) if checks else without_checks(found, function)
    checker = _Checker(function)
    made.body = [checker.visit(statement) for statement in made.body]
    return made if checker.found else None


class _Checker(ast.NodeTransformer):
    """Puts the check around each sum, difference, product, shift to the left and power.

    Not where the result is wrapped anyway: in `u64(…)`, in what a primitive stores, and below a mask. There the low 64
    bits are the same whether or not a number grew.
    """

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.found = 0

    def _check(self, node: ast.expr) -> ast.expr:
        self.found += 1
        call = ast.Call(ast.Name(CHECK, ast.Load()), [node], [])
        return ast.copy_location(call, node)

    def _wrapped(self, node: ast.expr) -> ast.expr:
        """An expression of which only the low 64 bits count."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, _KEEPS_LOW_BITS):
            shift = isinstance(node.op, ast.LShift)
            node.left = self._wrapped(node.left)
            node.right = self.visit(node.right) if shift else self._wrapped(node.right)
            return node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
            node.operand = self._wrapped(node.operand)
            return node
        found: ast.expr = self.visit(node)
        return found

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        if isinstance(node.op, ast.BitAnd):
            return self._check(self._wrapped(node))
        self.generic_visit(node)
        return self._check(node) if isinstance(node.op, _GROWS) else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        grows = isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant)
        return self._check(node) if grows else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        if not isinstance(node.op, _GROWS) or not isinstance(node.target, ast.Name):
            return node
        value = ast.copy_location(ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value), node)
        return ast.copy_location(ast.Assign([node.target], self._check(value)), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        called = self.function.__globals__.get(node.func.id) if isinstance(node.func, ast.Name) else None
        one = self._wrapped if called in PRIMITIVES else self.visit
        node.args = [one(argument) for argument in node.args]
        node.keywords = [ast.keyword(word.arg, self.visit(word.value)) for word in node.keywords]
        return node
