"""A function's text with its loops and choices made visible: the same statements, and marks around them.

A loop over `range` asks first how often it runs, so that one with an unknown number of iterations can run once,
over what any iteration may find. An `if` that both sides leave at its end runs both and goes on once.
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
    """The code with marks; None where there is nothing to mark, or the text to be had is not the function's own."""
    if function.__code__ not in _codes(function.__code__.co_filename):
        return None  # it was made otherwise, or its file has changed: it runs as it is
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
    marks = _Marks()
    definition.body = marks.block(definition.body)
    if not marks.count:
        return None
    ast.fix_missing_locations(tree)
    code = compile(tree, function.__code__.co_filename, "exec")
    return next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == function.__name__)


@cache
def _codes(file: str) -> frozenset[CodeType]:
    """Every function's code that the text of a file gives."""
    try:
        todo = [compile("".join(linecache.getlines(file)), file, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return frozenset()
    found: set[CodeType] = set()
    while todo:
        found.add(todo[-1])
        todo += [one for one in todo.pop().co_consts if isinstance(one, CodeType)]
    return frozenset(found)


def _assigned(nodes: list[ast.stmt]) -> list[str]:
    """The names that statements assign, those of marks left out."""
    names = {
        node.id
        for statement in nodes
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and not node.id.startswith("__symbolic")
    }
    return sorted(names)


def _leaves(nodes: list[ast.stmt], in_loop: bool = False) -> bool:
    """Whether control may leave statements otherwise than at their end, or cannot be run twice."""
    for node in nodes:
        if isinstance(node, (ast.Return, ast.Raise, ast.Try, ast.With, ast.FunctionDef, ast.Global, ast.Assert)):
            return True
        if isinstance(node, (ast.Break, ast.Continue)) and not in_loop:
            return True
        inside = in_loop or isinstance(node, (ast.For, ast.While))
        for block in (getattr(node, "body", []), getattr(node, "orelse", [])):
            if _leaves(block, inside):
                return True
    return False


class _Marks:
    def __init__(self) -> None:
        self.count = 0

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [one for statement in body for one in self._statement(statement)]

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
        start = _at(node, f"{name} = {LOOP}({self.count})")
        assert isinstance(start, ast.Assign)
        assert isinstance(start.value, ast.Call)
        start.value.args += node.iter.args
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
        leaves = _leaves(node.body) or _leaves(node.orelse)
        names = _assigned([*node.body, *node.orelse])
        node.body = self.block(node.body)
        node.orelse = self.block(node.orelse)
        if leaves:
            return [node]
        name = self._new("if")
        side = f"{name}_side"
        start = _at(node, f"{name} = {BRANCH}({self.count}, 0)")
        assert isinstance(start, ast.Assign)
        assert isinstance(start.value, ast.Call)
        start.value.args[1] = node.test
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
    return not call.keywords and not any(isinstance(one, ast.Starred) for one in call.args)


def _at(node: ast.stmt, text: str) -> ast.stmt:
    """A statement at the line of another."""
    made = ast.parse(text).body[0]
    for one in ast.walk(made):
        if isinstance(one, (ast.stmt, ast.expr)):
            ast.copy_location(one, node)
            one.end_lineno = one.lineno = node.lineno
    return made
