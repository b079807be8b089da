"""Rewrites functions so that `control_flow` decides how their loops and conditions run, and checks decide nothing.

A loop over `range` becomes a loop over LOOP(number, range arguments). An `if` becomes a loop over the sides that
BRANCH(number, condition) yields. An `if` with a `return` or another jump stays: its sides are paths (see `paths`).

    if x:                             __symbolic_if_1 = BRANCH(1, x)
        y = 1                         for __symbolic_if_1_side in __symbolic_if_1:
    else:                                 (y,) = __symbolic_if_1.enter(locals(), ["y"])
        y = 2                             if __symbolic_if_1_side:
                                              y = 1
                                          else:
                                              y = 2
                                          __symbolic_if_1.leave(locals(), ["y"])
                                      (y,) = __symbolic_if_1.merged()

A check becomes CHECK(condition, message), in which calls stand for `not`, `and` and `or`: all of the condition is
evaluated, and no side of it becomes a path.
"""

from __future__ import annotations

import ast
import copy
from functools import cache
from types import CodeType, FunctionType
from typing import Final

from foliolab.framework.machine.checks import is_check
from foliolab.framework.machine.source import exact_definition, recompiled

LOOP: Final = "__symbolic_loop"
BRANCH: Final = "__symbolic_branch"
CHECK: Final = "__symbolic_check"
NOT: Final = "__symbolic_not"
AND: Final = "__symbolic_and"
OR: Final = "__symbolic_or"


@cache
def rewritten(function: FunctionType) -> CodeType | None:
    """The rewritten code. None if there is nothing to rewrite, or if the file does not hold the function's text."""
    found = exact_definition(function)
    if found is None:
        return None  # the function was generated, or the file has changed
    definition = copy.deepcopy(found)
    rewriter = _Rewriter(function)
    definition.body = rewriter.block(definition.body)
    return recompiled(definition, function) if rewriter.count else None


def _assigned(nodes: list[ast.stmt]) -> list[str]:
    """The local variables that statements assign."""
    names = {
        node.id
        for statement in nodes
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and not node.id.startswith("__symbolic")
    }
    return sorted(names)


def _jumps(nodes: list[ast.stmt], in_loop: bool = False) -> bool:
    """Whether control may leave statements before their end, or they cannot run twice."""
    for node in nodes:
        if isinstance(node, (ast.Return, ast.Raise, ast.Try, ast.With, ast.FunctionDef, ast.Global)):
            return True
        if isinstance(node, (ast.Break, ast.Continue)) and not in_loop:
            return True
        inside = in_loop or isinstance(node, (ast.For, ast.While))
        for block in (getattr(node, "body", []), getattr(node, "orelse", [])):
            if _jumps(block, inside):
                return True
    return False


class _Condition(ast.NodeTransformer):
    """Writes `not`, `and` and `or` as calls: on terms, they would decide which path to take."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return _function(node, NOT, node.operand) if isinstance(node.op, ast.Not) else node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        return _function(node, AND if isinstance(node.op, ast.And) else OR, *node.values)


class _Rewriter:
    """Rewrites one function; `count` is the number of its loops, conditions and checks so far."""

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.count = 0

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [new for statement in body for new in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if is_check(node, self.function):
            return [self._check(node)]
        if isinstance(node, ast.If):
            return self._if(node)
        if isinstance(node, ast.For) and _over_range(node):
            return self._for(node)
        if isinstance(node, (ast.For, ast.While)):
            node.body = self.block(node.body)
            node.orelse = self.block(node.orelse)
        return [node]

    def _new(self, what: str) -> str:
        self.count += 1
        return f"__symbolic_{what}_{self.count}"

    def _check(self, node: ast.stmt) -> ast.stmt:
        """CHECK(condition that must hold, message) instead of a check; a message that is calculated is left out."""
        self.count += 1
        if isinstance(node, ast.Assert):
            test, said = node.test, [node.msg] if isinstance(node.msg, ast.Constant) else []
        else:
            assert isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            test, said = ast.copy_location(ast.UnaryOp(ast.Not(), node.value.args[0]), node.value), []
        call = _function(node, CHECK, _Condition().visit(test), *said)
        return ast.copy_location(ast.Expr(call), node)

    def _for(self, node: ast.For) -> list[ast.stmt]:
        assert isinstance(node.iter, ast.Call)
        name = self._new("for")
        names = _assigned(node.body)
        start = _call(node, name, LOOP, self.count, *node.iter.args)
        carry = f"{_targets(names)} = {name}.carry(locals(), {names!r})"
        node.iter = ast.copy_location(ast.Name(name, ast.Load()), node.iter)
        node.body = self.block(node.body)
        node.orelse = self.block(node.orelse)
        after = []
        if names:
            node.body.insert(0, _at(node, carry))
            after = [_at(node, carry)]
        return [start, node, *after]

    def _if(self, node: ast.If) -> list[ast.stmt]:
        jumps = _jumps(node.body) or _jumps(node.orelse)
        names = _assigned([*node.body, *node.orelse])
        node.body = self.block(node.body)
        node.orelse = self.block(node.orelse)
        if jumps:
            return [node]
        name = self._new("if")
        side = f"{name}_side"
        start = _call(node, name, BRANCH, self.count, node.test)
        node.test = ast.copy_location(ast.Name(side, ast.Load()), node.test)
        loop = _at(node, f"for {side} in {name}:\n pass")
        assert isinstance(loop, ast.For)
        enter = [_at(node, f"{_targets(names)} = {name}.enter(locals(), {names!r})")] if names else []
        leave = _at(node, f"{name}.leave(locals(), {names!r})")
        loop.body = [*enter, node, leave]
        merged = [_at(node, f"{_targets(names)} = {name}.merged()")] if names else []
        return [start, loop, *merged]


def _function(node: ast.expr | ast.stmt, name: str, *arguments: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.copy_location(ast.Name(name, ast.Load()), node), [*arguments], []), node)


def _targets(names: list[str]) -> str:
    return f"({', '.join(names)},)"


def _over_range(node: ast.For) -> bool:
    call = node.iter
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"):
        return False
    return not call.keywords and not any(isinstance(argument, ast.Starred) for argument in call.args)


def _call(node: ast.stmt, name: str, function: str, number: int, *arguments: ast.expr) -> ast.stmt:
    """The statement `name = function(number, *arguments)` at the line of another statement."""
    statement = _at(node, f"{name} = {function}({number})")
    assert isinstance(statement, ast.Assign)
    assert isinstance(statement.value, ast.Call)
    statement.value.args += arguments
    return statement


def _at(node: ast.stmt, text: str) -> ast.stmt:
    """A statement at the line of another one."""
    statement = ast.parse(text).body[0]
    for part in ast.walk(statement):
        if isinstance(part, (ast.stmt, ast.expr)):
            ast.copy_location(part, node)
            part.end_lineno = part.lineno = node.lineno
    return statement
