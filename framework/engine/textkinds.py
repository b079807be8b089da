"""The kinds of values in a policy's text: a number, a field, a pointer, or not known.

Kinds follow from the hooks' arguments and from the signatures of primitives, through calls and assignments. A variable
that gets values of two kinds has no known one.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, Final

from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.source import definition, written_signature

NUMBER: Final = "number"
FIELD: Final = "field"
NOTHING: Final = "nothing"
UNKNOWN: Final = ""
POINTERS: Final = ("folio", "page", "mm")
ROUNDS: Final = 4
"""How often kinds are carried through all functions."""
_NUMBERS: Final = (int, bool, abs, min, max, len)
_OF_ANNOTATION: Final = {
    "int": NUMBER, "bool": NUMBER, "Ref": FIELD, "None": NOTHING, "Folio": "folio", "Page": "page", "MM": "mm",
}  # fmt: skip

Variables = dict[str, str]


class Kinds:
    """The kinds of all variables of a policy's functions.

    Args:
        authors: the functions of the policy.
        given: the kinds of the arguments of functions that the engine calls.
        fields: the names of its fields.

    Attributes:
        variables: the kinds of each function's variables.
        results: the kind of what each function returns.
    """

    def __init__(
        self, tree: CallTree, authors: Sequence[FunctionType], given: Mapping[Any, list[str]], fields: frozenset[str]
    ) -> None:
        self.tree = tree
        self.fields = fields
        self.variables: dict[FunctionType, Variables] = {}
        self.results: dict[FunctionType, str] = {}
        self._mixed: set[tuple[FunctionType, str]] = set()
        self._trees = {one: found for one in authors if (found := definition(one)) is not None}
        for function in self._trees:
            self.variables[function] = dict.fromkeys(_arguments(function), UNKNOWN)
        for called, known in given.items():
            if called in self.variables:
                self.variables[called] |= dict(zip(_arguments(called), known, strict=False))
        for _ in range(ROUNDS):
            for function in self._trees:
                self._follow(function)

    def _follow(self, function: FunctionType) -> None:
        """Note the kinds that a function's statements give to its variables, and to the arguments that it passes."""
        env = self.variables[function]
        results = set()
        for node in ast.walk(self._trees[function]):
            for name, value in _assigned(node):
                self._note(function, name, self.of(value, env, function) if value is not None else UNKNOWN)
            if isinstance(node, ast.Call):
                called = self.called(node, function)
                if isinstance(called, FunctionType) and called in self.variables:
                    for name, one in zip(_arguments(called), node.args, strict=False):
                        self._note(called, name, self.of(one, env, function))
            if isinstance(node, ast.Return) and node.value is not None:
                results.add(self.of(node.value, env, function))
        self.results[function] = (results.pop() if len(results) == 1 else UNKNOWN) if results else NOTHING

    def _note(self, function: FunctionType, name: str, kind: str) -> None:
        env, key = self.variables[function], (function, name)
        before = env.setdefault(name, UNKNOWN)
        if kind and before and kind != before:
            self._mixed.add(key)
        env[name] = UNKNOWN if key in self._mixed else kind or before

    def called(self, node: ast.Call, function: FunctionType) -> Any:
        """What a call calls; None if that is not known by its name."""
        space = function.__globals__
        found: Any = None
        match node.func:
            case ast.Name(id=name) if name not in self.variables.get(function, {}):
                found = space.get(name, getattr(builtins, name, None))
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                found = getattr(space.get(name), attribute, None) if isinstance(space.get(name), ModuleType) else None
        other = self.tree.replace.get(found, found) if isinstance(found, FunctionType) else found
        return found if other is function else other

    def wanted(self, function: FunctionType) -> list[str]:
        """The kinds of a function's arguments."""
        if function in self.variables:
            return [self.variables[function][name] for name in _arguments(function)]
        return annotated(function)

    def of(self, node: ast.expr, env: Variables, function: FunctionType) -> str:
        """The kind of an expression."""
        found = UNKNOWN
        match node:
            case ast.Name(id=name) if name in env:
                found = env[name]
            case ast.Name(id=name):
                found = NUMBER if isinstance(function.__globals__.get(name), int) else UNKNOWN
            case ast.Constant(value=int()) | ast.BinOp() | ast.UnaryOp() | ast.Compare():
                found = NUMBER
            case ast.Attribute(value=base, attr=name):
                kind = self.of(base, env, function)
                found = FIELD if kind in POINTERS or (kind == UNKNOWN and name in self.fields) else UNKNOWN
            case ast.Subscript(value=base):
                found = FIELD if self.of(base, env, function) == FIELD else UNKNOWN
            case ast.Call():
                called = self.called(node, function)
                if called in _NUMBERS:
                    found = NUMBER
                elif isinstance(called, FunctionType):
                    found = self.results.get(called, UNKNOWN) if called in self.variables else result_of(called)
        return found


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """The variables that a statement assigns, and the values; None for a value without a known kind."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.AugAssign(target=ast.Name(id=name)) | ast.For(target=ast.Name(id=name)):
            yield name, ast.Constant(0)
        case ast.Assign(targets=targets):
            for target in targets:
                yield from ((one.id, None) for one in ast.walk(target) if isinstance(one, ast.Name))


def _arguments(function: FunctionType) -> tuple[str, ...]:
    return function.__code__.co_varnames[: function.__code__.co_argcount]


@cache
def annotated(function: FunctionType) -> list[str]:
    """The kinds of a function's arguments, by their annotations."""
    return [_OF_ANNOTATION.get(str(one.annotation), UNKNOWN) for one in written_signature(function).parameters.values()]


def result_of(function: FunctionType) -> str:
    """The kind of what a function returns, by its annotation."""
    return _OF_ANNOTATION.get(str(written_signature(function).return_annotation), UNKNOWN)


def ends(body: Sequence[ast.stmt]) -> bool:
    """Whether control never reaches the end of statements."""
    match body[-1] if body else None:
        case ast.Return():
            return True
        case ast.If(body=one, orelse=other):
            return ends(one) and ends(other)
        case ast.While(test=ast.Constant(value=value), body=inside):
            return bool(value) and not any(isinstance(one, ast.Break) for part in inside for one in ast.walk(part))
    return False
