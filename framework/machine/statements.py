"""Statements of a function that `compiler` compiles."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llvmlite import ir
from numba import types

from foliolab.framework.machine.expressions import BOOL, NONE, ZERO, Expressions, Result, Unfit, Value, kind_of, name_of
from foliolab.framework.machine.nativetypes import I64, INT

RETURNED: Final = "return"
"""The result among the kinds of variables: a word that is no name."""


class Again(Exception):
    """A variable or the result turned out to be of another kind; the function is compiled once more."""


@dataclass
class _Loop:
    again: ir.Block
    end: ir.Block
    broken: bool = False


def _wider(old: Any, new: Any) -> Any:
    """The kind that holds both."""
    if old == new:
        return old
    if {old, new} == {INT, BOOL}:
        return INT
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        return tuple(map(_wider, old, new))
    raise Unfit("two kinds in one variable")


@dataclass
class Statements(Expressions):
    """A function while it is compiled."""

    loops: list[_Loop] = field(default_factory=list)

    def run(self, node: ast.FunctionDef, kinds: Sequence[Any]) -> None:
        given = node.args
        if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
            raise Unfit("arguments of another form")
        words = iter(self.made.args)
        for argument, kind in zip(given.args, kinds, strict=True):
            self._store(argument.arg, self._of_words(kind, words))
        self._statements(node.body)
        if not self.builder.block.is_terminated:
            self._return(Value(NONE, ZERO))
        self.entry.branch(self.made.blocks[1])

    def _settle(self, name: str, kind: Any) -> None:
        """A variable or the result gets a value of a kind.

        Raises:
            Again: it was thought to be of another kind until now.
        """
        old = self.known.setdefault(name, kind)
        self.known[name] = _wider(old, kind)
        if self.known[name] != old:
            raise Again

    def _store(self, name: str, result: Result) -> None:
        kind = kind_of(result)
        if kind == NONE:
            raise Unfit("a variable without a value")
        self._settle(name, kind)
        for word, cell in zip(self._words(result), self._cells(name, kind), strict=True):
            self.builder.store(word, cell)

    def _statements(self, nodes: Sequence[ast.stmt]) -> None:
        for node in nodes:
            if self.builder.block.is_terminated:
                return
            known: Callable[[Any], None] | None = getattr(self, f"_do_{type(node).__name__}", None)
            if known is None:
                raise Unfit(type(node).__name__)
            known(node)

    def _do_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._result(node.value)

    def _do_Pass(self, node: ast.Pass) -> None:
        pass

    def _do_Assign(self, node: ast.Assign) -> None:
        if len(node.targets) != 1:
            raise Unfit("several targets")
        self._assign(node.targets[0], self._result(node.value))

    def _do_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assign(node.target, self._result(node.value))

    def _assign(self, target: ast.expr, result: Result) -> None:
        if isinstance(target, ast.Name):
            self._store(target.id, result)
        elif isinstance(target, ast.Subscript) and isinstance(result, Value):
            self.builder.store(self._number_of(result), self._cell_of(target))
        elif isinstance(target, ast.Tuple) and isinstance(result, tuple) and len(result) == len(target.elts):
            for one, value in zip(target.elts, result, strict=True):
                self._assign(one, value)
        else:
            raise Unfit("a target of another form")

    def _cell_of(self, target: ast.Subscript) -> Any:
        array = self._value(target.value)
        if not isinstance(array.kind, types.Array):
            raise Unfit("a target of another form")
        return self._cell(array, target.slice)

    def _do_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            old = self._value(ast.Name(node.target.id, ast.Load()))
            self._store(node.target.id, self._binary(node.op, old, self._value(node.value)))
        elif isinstance(node.target, ast.Subscript):
            cell = self._cell_of(node.target)
            old = Value(INT, self.builder.load(cell))
            self.builder.store(self._number_of(self._binary(node.op, old, self._value(node.value))), cell)
        else:
            raise Unfit("a target of another form")

    def _do_Return(self, node: ast.Return) -> None:
        self._return(Value(NONE, ZERO) if node.value is None else self._result(node.value))

    def _return(self, result: Result) -> None:
        self._settle(RETURNED, kind_of(result))
        words, kind = self._words(result), self.made.return_value.type
        if len(words) != (len(kind.elements) if isinstance(kind, ir.LiteralStructType) else 1):
            raise Again  # the function was made for one word
        if len(words) == 1:
            self.builder.ret(words[0])
            return
        packed = ir.Constant(kind, ir.Undefined)
        for i, word in enumerate(words):
            packed = self.builder.insert_value(packed, word, i)
        self.builder.ret(packed)

    def _do_If(self, node: ast.If) -> None:
        if (known := self._static(node.test)) is not None:
            self._statements(node.body if known else node.orelse)
            return
        then, other, end = (self.made.append_basic_block(name) for name in ("then", "else", "end"))
        self._branch(node.test, then, other)
        reached = False
        for block, nodes in ((then, node.body), (other, node.orelse)):
            self.builder.position_at_end(block)
            self._statements(nodes)
            reached |= self._go(end)
        self._continue_at(end, reached)

    def _go(self, block: ir.Block) -> bool:
        """Go on at a block, unless the path has ended; whether it is reached from here."""
        if self.builder.block.is_terminated:
            return False
        self.builder.branch(block)
        return True

    def _continue_at(self, block: ir.Block, reached: bool) -> None:
        self.builder.position_at_end(block)
        if not reached:
            self.builder.unreachable()

    def _do_While(self, node: ast.While) -> None:
        test, body, end = (self.made.append_basic_block(name) for name in ("test", "body", "end"))
        if node.orelse:
            raise Unfit("else of a loop")
        self._go(test)
        self.builder.position_at_end(test)
        forever = isinstance(node.test, ast.Constant) and bool(node.test.value)
        if forever:
            self.builder.branch(body)
        else:
            self._branch(node.test, body, end)
        self.builder.position_at_end(body)
        broken = self._repeated(node.body, test, end)
        self._continue_at(end, broken or not forever)

    def _repeated(self, nodes: list[ast.stmt], again: ir.Block, end: ir.Block) -> bool:
        """The body of a loop; whether it has a `break`."""
        loop = _Loop(again, end)
        self.loops.append(loop)
        self._statements(nodes)
        self.loops.pop()
        self._go(again)
        return loop.broken

    def _do_For(self, node: ast.For) -> None:
        if node.orelse or not isinstance(node.target, ast.Name):
            raise Unfit("a loop of another form")
        first, last, step = self._range(node.iter)
        test, body, after, end = (self.made.append_basic_block(name) for name in ("test", "body", "after", "end"))
        cell = self.entry.alloca(I64)
        self.builder.store(first, cell)
        self._go(test)
        self.builder.position_at_end(test)
        at = self.builder.load(cell)
        self.builder.cbranch(self._before(at, last, step), body, end)
        self.builder.position_at_end(body)
        self._store(node.target.id, Value(INT, at))
        self._repeated(node.body, after, end)
        self.builder.position_at_end(after)
        self.builder.store(self.builder.add(at, step, flags=["nsw"]), cell)
        self.builder.branch(test)
        self.builder.position_at_end(end)

    def _range(self, node: ast.expr) -> tuple[Any, Any, Any]:
        """First, last and step of a `range`."""
        if not isinstance(node, ast.Call) or name_of(node.func) != "range" or "range" in self.needs or node.keywords:
            raise Unfit("a loop over something else than a range")
        numbers = [self._number(argument) for argument in node.args]
        if len(numbers) == 1:
            return ZERO, numbers[0], I64(1)
        return numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else I64(1)

    def _before(self, at: Any, last: Any, step: Any) -> Any:
        """Whether a range has a next number, by the sign of its step."""
        up = self.builder.icmp_signed("<", at, last)
        if isinstance(step, ir.Constant) and step.constant > 0:
            return up
        down = self.builder.icmp_signed(">", at, last)
        return self.builder.select(self.builder.icmp_signed(">", step, ZERO), up, down)

    def _do_Break(self, node: ast.Break) -> None:
        self.loops[-1].broken = True
        self.builder.branch(self.loops[-1].end)

    def _do_Continue(self, node: ast.Continue) -> None:
        self.builder.branch(self.loops[-1].again)
