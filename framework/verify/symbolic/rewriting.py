"""Rewrites functions so that `control_flow` decides how their loops and conditions run.

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
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from functools import cache
from types import CodeType, FunctionType
from typing import Final

LOOP: Final = "__symbolic_loop"
BRANCH: Final = "__symbolic_branch"


@cache
def rewritten(function: FunctionType) -> CodeType | None:
    """The rewritten code. None if there is nothing to rewrite, or if the file does not hold the function's text."""
    if function.__code__ not in _codes(function.__code__.co_filename):
        return None  # the function was generated, or the file has changed
    try:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return None
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        return None
    definition = tree.body[0]
    definition.decorator_list = []
    rewriter = _Rewriter()
    definition.body = rewriter.block(definition.body)
    if not rewriter.count:
        return None
    ast.fix_missing_locations(tree)
    code = compile(tree, function.__code__.co_filename, "exec")
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == function.__name__)


@cache
def _codes(file: str) -> frozenset[CodeType]:
    """The code of every function in a file."""
    try:
        todo = [compile("".join(linecache.getlines(file)), file, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return frozenset()
    found: set[CodeType] = set()
    while todo:
        found.add(todo[-1])
        todo += [const for const in todo.pop().co_consts if isinstance(const, CodeType)]
    return frozenset(found)


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
        if isinstance(node, (ast.Return, ast.Raise, ast.Try, ast.With, ast.FunctionDef, ast.Global, ast.Assert)):
            return True
        if isinstance(node, (ast.Break, ast.Continue)) and not in_loop:
            return True
        inside = in_loop or isinstance(node, (ast.For, ast.While))
        for block in (getattr(node, "body", []), getattr(node, "orelse", [])):
            if _jumps(block, inside):
                return True
    return False


class _Rewriter:
    def __init__(self) -> None:
        self.count = 0

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [new for statement in body for new in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
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
