"""The branches of a text, and copies of its functions that note which of them are taken.

A branch is the beginning of a function, a condition that is true or false, a loop that is entered or left by its
condition, and an operand of `and` or `or` that is reached. What constants decide is no branch, and what they rule out
has none. Branches of one kind in one line are one branch: a text in C may be translated several times.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final

from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.source import exact_definition, recompiled

TAKEN: Final = "__taken__"
"""The global of a marked function: bytes, one for each branch."""
CALLED: Final = "never called"


@dataclass(frozen=True)
class Branch:
    """A branch of a text.

    Args:
        file, line: where its condition stands.
        never: what is true of it while it is not taken, such as "never true".
    """

    file: str
    line: int
    never: str


class Branches:
    """The branches of a call tree's functions, and which of them were taken.

    Args:
        tree: of the text.
        is_text: whether a function is one of the text's.

    Attributes:
        known: all branches by their numbers.
        within: the branch that encloses a branch; absent for the beginning of a function.
        taken: a byte for each branch, 1 where it was taken; whoever looks may clear it.
        unread: functions whose text is not at hand, so that their branches are not known.
    """

    def __init__(self, tree: CallTree, is_text: Callable[[FunctionType], bool]) -> None:
        self.tree = tree
        self.is_text = is_text
        self.known: list[Branch] = []
        self.within: dict[int, int] = {}
        self.taken = bytearray()
        self.unread: list[FunctionType] = []
        self._numbers: dict[Branch, int] = {}

    def mark(self, function: FunctionType, twin: FunctionType, text: ast.FunctionDef | None = None) -> None:
        """Let a copy of a function note its branches.

        Args:
            text: a changed copy of the function's definition; None for the definition itself.
        """
        if not self.is_text(function):
            return
        found = exact_definition(function)
        if found is None:
            self.unread.append(function)
            return
        made = copy.deepcopy(found if text is None else text)
        _Marker(self, function, self.tree.needs[function]).function(made)
        twin.__code__ = recompiled(made, function)
        twin.__globals__[TAKEN] = self.taken

    def number(self, branch: Branch, within: int | None) -> int:
        """The number of a branch, which is new or known from another line of the same text."""
        if branch not in self._numbers:
            self._numbers[branch] = len(self.known)
            self.known.append(branch)
            self.taken.append(0)
            if within is not None:
                self.within[self._numbers[branch]] = within
        return self._numbers[branch]


class _Marker:
    """Puts the marks into one function.

    Args:
        constants: what the function reads: functions and constants by name.
    """

    def __init__(self, branches: Branches, function: FunctionType, constants: Mapping[str, Any]) -> None:
        self.branches = branches
        self.file = function.__code__.co_filename
        self.constants = {name: value for name, value in constants.items() if not callable(value)}
        self.within: int | None = None

    def function(self, node: ast.FunctionDef) -> None:
        first = int(ast.get_docstring(node, clean=False) is not None)
        number = self._number(node, CALLED)
        body = node.body[first:]
        node.body[first:] = [_statement(number, node), *self._block(number, body)]

    # -- statements ----------------------------------------------------------------------------------
    def _block(self, within: int | None, body: list[ast.stmt]) -> list[ast.stmt]:
        before, self.within = self.within, within
        made = [one for statement in body for one in self._marked(statement)]
        self.within = before
        return made

    def _marked(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.If):
            return [self._if(node)]
        if isinstance(node, ast.While):
            self._while(node)
        elif isinstance(node, ast.For):
            node.iter = self._expression(node.iter)
            node.body = self._branch(node, "the loop is never entered", node.body)
            node.orelse = self._block(self.within, node.orelse)
        else:
            for name, value in ast.iter_fields(node):
                if isinstance(value, ast.expr):
                    setattr(node, name, self._expression(value))
        return [node]

    def _branch(self, node: ast.AST, never: str, body: list[ast.stmt]) -> list[ast.stmt]:
        number = self._number(node, never)
        return [_statement(number, node), *self._block(number, body)]

    def _if(self, node: ast.If) -> ast.stmt:
        known = self._constant(node.test)
        if known is not None:
            node.body = self._block(self.within, node.body) if known else node.body
            node.orelse = node.orelse if known else self._block(self.within, node.orelse)
            return node
        node.test = self._expression(node.test)
        node.body = self._branch(node, "the condition is never true", node.body)
        node.orelse = self._branch(node, "the condition is never false", node.orelse)
        return node

    def _while(self, node: ast.While) -> None:
        known = self._constant(node.test)
        if known is not None:
            node.body = self._block(self.within, node.body) if known else node.body
            return
        node.test = self._expression(node.test)
        node.body = self._branch(node, "the loop is never entered", node.body)
        node.orelse = self._branch(node, "the loop is never left by its condition", node.orelse)

    # -- expressions ---------------------------------------------------------------------------------
    def _expression(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.IfExp) and self._constant(node.test) is None:
            node.test = self._expression(node.test)
            node.body = self._value(node, "the condition is never true", node.body)
            node.orelse = self._value(node, "the condition is never false", node.orelse)
        elif isinstance(node, ast.BoolOp):
            word = "and" if isinstance(node.op, ast.And) else "or"
            first = self._expression(node.values[0])
            rest = [self._value(one, f"what follows `{word}` is never reached", one) for one in node.values[1:]]
            node.values = [first, *rest]
        else:
            for name, value in ast.iter_fields(node):
                if isinstance(value, ast.expr):
                    setattr(node, name, self._expression(value))
                elif isinstance(value, list):
                    setattr(node, name, [self._expression(v) if isinstance(v, ast.expr) else v for v in value])
        return node

    def _value(self, at: ast.expr, never: str, value: ast.expr) -> ast.expr:
        """The value behind a mark: `__taken__.__setitem__(number, 1) or value`."""
        number = self._number(at, never)
        before, self.within = self.within, number
        value = self._expression(value)
        self.within = before
        call = ast.Call(
            ast.Attribute(ast.Name(TAKEN, ast.Load()), "__setitem__", ast.Load()),
            [ast.Constant(number), ast.Constant(1)],
            [],
        )
        return _located(ast.BoolOp(ast.Or(), [call, value]), at)

    # -- branches ------------------------------------------------------------------------------------
    def _number(self, at: ast.AST, never: str) -> int:
        return self.branches.number(Branch(self.file, getattr(at, "lineno", 0), never), self.within)

    def _constant(self, test: ast.expr) -> bool | None:
        """The value of a condition that constants decide; None for any other."""
        for node in ast.walk(test):
            if isinstance(node, ast.Call | ast.Attribute | ast.Subscript | ast.NamedExpr):
                return None
            if isinstance(node, ast.Name) and node.id not in self.constants:
                return None
        code = compile(ast.fix_missing_locations(ast.Expression(copy.deepcopy(test))), self.file, "eval")
        try:
            return bool(eval(code, {"__builtins__": {}}, self.constants))
        except ArithmeticError:
            return None


def _located(node: ast.expr, at: ast.AST) -> ast.expr:
    """The node and its new parts with the place of another one."""
    for part in ast.walk(node):
        if isinstance(part, ast.expr) and not hasattr(part, "lineno"):
            ast.copy_location(part, at)
    return node


def _statement(number: int, at: ast.AST) -> ast.stmt:
    """The statement that marks a branch as taken: `__taken__[number] = 1`."""
    target = ast.Subscript(ast.Name(TAKEN, ast.Load()), ast.Constant(number), ast.Store())
    made = ast.Assign([target], ast.Constant(1))
    for part in ast.walk(made):
        if isinstance(part, ast.expr | ast.stmt):
            ast.copy_location(part, at)
    return made
