"""Expressions of a function that `compiler` compiles."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir
from numba import types

from foliolab.framework.machine.nativetypes import FORMS, I64, INT, PointerType, RefType, field_address
from foliolab.framework.machine.numba_parts import signature

if TYPE_CHECKING:
    from foliolab.framework.machine.compiler import Compiler

BOOL: Final = types.boolean
NONE: Final = types.none
BIT: Final = ir.IntType(1)
ZERO: Final = I64(0)
LEAST, LARGEST = -(1 << 63), (1 << 63) - 1


class Unfit(Exception):
    """A text uses what `compiler` does not know."""


@dataclass(frozen=True)
class Value:
    """A value of a kind (numba's type).

    Attributes:
        at: LLVM's value; of an array, its address and its lengths.
    """

    kind: Any
    at: Any


Result = Value | tuple["Result", ...]
"""One value, or several in parentheses."""
_BINARY: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor",
}  # fmt: skip
_COMPARED: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_OF_CONSTANTS: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def kind_of(result: Result) -> Any:
    """The kind of a value; a tuple of kinds for several."""
    return result.kind if isinstance(result, Value) else tuple(map(kind_of, result))


def width(kind: Any) -> int:
    """How many 64-bit words hold a value of a kind."""
    if isinstance(kind, tuple):
        return sum(map(width, kind))
    return 1 + kind.ndim if isinstance(kind, types.Array) else 1


@dataclass
class Expressions:
    """What an expression needs of the function around it.

    Args:
        made: LLVM's function.
        entry: where room for variables is made.
        builder: where code is put.
        needs: what the names stand for that the function does not define.
        known: the kinds of its variables and of its result, as far as they are known.
    """

    compiler: Compiler
    made: ir.Function
    entry: ir.IRBuilder
    builder: ir.IRBuilder
    needs: dict[str, Any]
    known: dict[str, Any]
    cells: dict[str, list[Any]] = field(default_factory=dict)

    def _bit(self, at: Any) -> Any:
        return self.builder.icmp_signed("!=", at, ZERO)

    def _word(self, value: Value) -> Any:
        return self.builder.zext(value.at, I64) if value.kind == BOOL else value.at

    def _words(self, result: Result) -> list[Any]:
        """A value as it is passed and kept."""
        if not isinstance(result, Value):
            return [word for one in result for word in self._words(one)]
        return list(result.at) if isinstance(result.at, tuple) else [self._word(result)]

    def _of_words(self, kind: Any, words: Iterator[Any]) -> Result:
        """A value out of what was passed or kept."""
        if isinstance(kind, tuple):
            return tuple(self._of_words(one, words) for one in kind)
        if isinstance(kind, types.Array):
            return Value(kind, tuple(islice(words, width(kind))))
        word = next(words)
        return Value(kind, self._bit(word) if kind == BOOL else word)

    def _cells(self, name: str, kind: Any) -> list[Any]:
        if name not in self.cells:
            self.cells[name] = [self.entry.alloca(I64, name=name) for _ in range(width(kind))]
            for cell in self.cells[name]:
                self.entry.store(ZERO, cell)
        return self.cells[name]

    def _result(self, node: ast.expr) -> Result:
        known: Callable[[Any], Result] | None = getattr(self, f"_of_{type(node).__name__}", None)
        if known is None:
            raise Unfit(type(node).__name__)
        return known(node)

    def _value(self, node: ast.expr) -> Value:
        result = self._result(node)
        if not isinstance(result, Value):
            raise Unfit("several values")
        return result

    def _number(self, node: ast.expr) -> Any:
        return self._number_of(self._value(node))

    def _number_of(self, value: Value) -> Any:
        if value.kind not in (INT, BOOL):
            raise Unfit("no number")
        return self._word(value)

    def _truth_of(self, value: Value) -> Any:
        if value.kind == BOOL:
            return value.at
        return self._bit(self._number_of(value))

    def _branch(self, test: ast.expr, then: ir.Block, other: ir.Block) -> None:
        """Go to a block if an expression is true, else to the other; `and`, `or` and `not` become jumps."""
        if (known := self._static(test)) is not None:
            self.builder.branch(then if known else other)
        elif isinstance(test, ast.BoolOp):
            for node in test.values[:-1]:
                more = self.made.append_basic_block()
                self._branch(node, *((more, other) if isinstance(test.op, ast.And) else (then, more)))
                self.builder.position_at_end(more)
            self._branch(test.values[-1], then, other)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self._branch(test.operand, other, then)
        else:
            self.builder.cbranch(self._truth_of(self._value(test)), then, other)

    def _constant(self, value: Any) -> Result:
        if isinstance(value, bool):
            return Value(BOOL, BIT(int(value)))
        if isinstance(value, int) and LEAST <= value <= LARGEST:
            return Value(INT, I64(value))
        if isinstance(value, tuple) and value:
            return tuple(map(self._constant, value))
        raise Unfit(f"the constant {value!r}")

    def _of_Constant(self, node: ast.Constant) -> Result:
        return self._constant(node.value)

    def _of_Tuple(self, node: ast.Tuple) -> Result:
        return tuple(map(self._result, node.elts))

    def _of_Name(self, node: ast.Name) -> Result:
        if node.id in self.cells:
            return self._of_words(self.known[node.id], map(self.builder.load, self.cells[node.id]))
        return self._constant(self._global(node))

    def _global(self, node: ast.expr) -> Any:
        """What a name stands for outside of the function; None if it is a variable, or no name."""
        if isinstance(node, ast.Name) and (node.id in self.known or node.id in self.cells):
            return None
        return self.needs.get(name_of(node)) if isinstance(node, (ast.Name, ast.Attribute)) else None

    def _of_Attribute(self, node: ast.Attribute) -> Result:
        if isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" in self.needs:
            return self._constant(self._global(node))
        owner = self._value(node.value)
        if isinstance(owner.kind, types.Array):
            lengths = tuple(Value(INT, length) for length in owner.at[1:])
            if node.attr == "shape":
                return lengths
            if node.attr == "size" and len(lengths) == 1:
                return lengths[0]
        if not isinstance(owner.kind, PointerType) or node.attr not in owner.kind.layouts[owner.kind.struct].by_name:
            raise Unfit(f"the attribute {node.attr}")
        return Value(*field_address(self.builder, owner.kind, owner.at, node.attr))

    def _of_Subscript(self, node: ast.Subscript) -> Result:
        index = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(numbers := self._global(node.value), tuple) and not isinstance(index, int):
            return self._element(numbers, self._number(node.slice))
        owner = self._result(node.value)
        if isinstance(owner, tuple):
            if isinstance(index, int) and -len(owner) <= index < len(owner):
                return owner[index]
            raise Unfit("an element of a tuple that is no constant")
        if isinstance(owner.kind, types.Array):
            return Value(INT, self.builder.load(self._cell(owner, node.slice)))
        if not isinstance(owner.kind, RefType):
            raise Unfit("an element")
        return self._primitive(operator.getitem, [owner, self._value(node.slice)])

    def _cell(self, array: Value, index: ast.expr) -> Any:
        """The reference of an array's element."""
        start, *lengths = array.at
        indices = index.elts if isinstance(index, ast.Tuple) else [index]
        if len(indices) != len(lengths):
            raise Unfit("a row of an array")
        at = ZERO
        for one, length in zip(indices, lengths, strict=True):
            at = self.builder.add(self.builder.mul(at, length), self._wrapped(self._number(one), length))
        address = self.builder.add(start, self.builder.mul(at, I64(8)))
        return self.builder.inttoptr(address, I64.as_pointer())

    def _wrapped(self, index: Any, length: Any) -> Any:
        """An index from the beginning, by one that may count from the end."""
        if isinstance(index, ir.Constant) and index.constant >= 0:
            return index
        return self.builder.select(self.builder.icmp_signed("<", index, ZERO), self.builder.add(index, length), index)

    def _element(self, numbers: tuple[Any, ...], index: Any) -> Value:
        """An element of a constant; the first one for an index behind the last, which the interpreted text refuses."""
        table = self.compiler.table(numbers)
        index = self._wrapped(index, I64(len(numbers)))
        index = self.builder.select(self.builder.icmp_unsigned("<", index, I64(len(numbers))), index, ZERO)
        return Value(INT, self.builder.load(self.builder.gep(table, [ZERO, index], inbounds=True)))

    def _static(self, node: ast.expr) -> int | None:
        """The value of an expression of constants; None if it is known only when it runs."""
        value = node.value if isinstance(node, ast.Constant) else self._global(node)
        if isinstance(value, int):
            return value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            known = self._static(node.operand)
            return None if known is None else not known
        if isinstance(node, ast.BoolOp):
            for one in node.values:
                known = self._static(one)
                if known is None or bool(known) != isinstance(node.op, ast.And):
                    return known
            return known
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARED:
            left, right = self._static(node.left), self._static(node.comparators[0])
            if left is not None and right is not None:
                return _OF_CONSTANTS[_COMPARED[type(node.ops[0])]](left, right)
        return None

    def _of_UnaryOp(self, node: ast.UnaryOp) -> Result:
        if isinstance(node.op, ast.Not):
            return Value(BOOL, self.builder.not_(self._truth_of(self._value(node.operand))))
        at = self._number(node.operand)
        if isinstance(node.op, ast.USub):
            at = I64(-at.constant) if isinstance(at, ir.Constant) else self.builder.neg(at)
        elif isinstance(node.op, ast.Invert):
            at = I64(~at.constant) if isinstance(at, ir.Constant) else self.builder.not_(at)
        return Value(INT, at)

    def _of_BinOp(self, node: ast.BinOp) -> Result:
        return self._binary(node.op, self._value(node.left), self._value(node.right))

    def _binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        if left.kind == right.kind == BOOL and isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
            return Value(BOOL, getattr(self.builder, _BINARY[type(op)])(left.at, right.at))
        a, b = self._number_of(left), self._number_of(right)
        if type(op) in _BINARY:
            return Value(INT, getattr(self.builder, _BINARY[type(op)])(a, b))
        if isinstance(op, (ast.LShift, ast.RShift)):
            return Value(INT, self._shift(isinstance(op, ast.LShift), a, b))
        if isinstance(op, (ast.FloorDiv, ast.Mod)):
            return Value(INT, self._divided(isinstance(op, ast.FloorDiv), a, b))
        raise Unfit(type(op).__name__)

    def _shift(self, left: bool, a: Any, b: Any) -> Any:
        return self.builder.shl(a, b) if left else self.builder.ashr(a, b)

    def _divided(self, quotient: bool, a: Any, b: Any) -> Any:
        """`//` or `%` rounding down, and 0 by a divisor of 0, as numba does it."""
        builder = self.builder
        if isinstance(b, ir.Constant) and b.constant > 0 and b.constant & (b.constant - 1) == 0:
            return (
                builder.ashr(a, I64(b.constant.bit_length() - 1)) if quotient else builder.and_(a, I64(b.constant - 1))
            )
        none, minus = (builder.icmp_signed("==", b, I64(number)) for number in (0, -1))
        safe = builder.select(builder.or_(none, minus), I64(1), b)  # the processor traps on the least number by -1
        whole, rest = builder.sdiv(a, safe), builder.srem(a, safe)
        apart = builder.icmp_signed("<", builder.xor(rest, safe), ZERO)
        uneven = builder.and_(builder.icmp_signed("!=", rest, ZERO), apart)
        if quotient:
            found = builder.select(minus, builder.neg(a), builder.sub(whole, builder.zext(uneven, I64)))
        else:
            found = builder.add(rest, builder.select(uneven, safe, ZERO))
        return builder.select(none, ZERO, found)

    def _of_Compare(self, node: ast.Compare) -> Result:
        left = self._value(node.left)
        if len(node.ops) == 1:
            return Value(BOOL, self._compared(node.ops[0], left, self._result(node.comparators[0])))
        cell = self.entry.alloca(I64)
        end = self.made.append_basic_block("end")
        for number, (op, other) in enumerate(zip(node.ops, node.comparators, strict=True), 1):
            right = self._result(other)
            found = self._compared(op, left, right)
            self.builder.store(self.builder.zext(found, I64), cell)
            if number == len(node.ops):
                self.builder.branch(end)
                break
            if not isinstance(right, Value):
                raise Unfit("a comparison of another form")
            more, left = self.made.append_basic_block(), right
            self.builder.cbranch(found, more, end)
            self.builder.position_at_end(more)
        self.builder.position_at_end(end)
        return Value(BOOL, self._bit(self.builder.load(cell)))

    def _compared(self, op: ast.cmpop, left: Value, right: Result) -> Any:
        if isinstance(op, ast.In):
            return self._among(left, right)
        if isinstance(op, ast.NotIn):
            return self.builder.not_(self._among(left, right))
        if type(op) not in _COMPARED or not isinstance(right, Value):
            raise Unfit(type(op).__name__)
        return self.builder.icmp_signed(_COMPARED[type(op)], self._number_of(left), self._number_of(right))

    def _among(self, left: Value, right: Result) -> Any:
        if not isinstance(right, tuple):
            raise Unfit("a member")
        number, found = self._number_of(left), BIT(0)
        for value in right:
            if not isinstance(value, Value):
                raise Unfit("a member")
            found = self.builder.or_(found, self.builder.icmp_signed("==", number, self._number_of(value)))
        return found

    def _of_BoolOp(self, node: ast.BoolOp) -> Result:
        """The first operand that decides, as Python has it."""
        if (known := self._static(node)) is not None:
            return self._constant(known)
        cell = self.entry.alloca(I64)
        end = self.made.append_basic_block("end")
        kinds = set()
        for number, one in enumerate(node.values):
            value = self._value(one)
            kinds.add(value.kind)
            self.builder.store(self._number_of(value), cell)
            if number == len(node.values) - 1:
                self.builder.branch(end)
                break
            more = self.made.append_basic_block()
            self.builder.cbranch(self._truth_of(value), *((more, end) if isinstance(node.op, ast.And) else (end, more)))
            self.builder.position_at_end(more)
        self.builder.position_at_end(end)
        at = self.builder.load(cell)
        return Value(BOOL, self._bit(at)) if kinds == {BOOL} else Value(INT, at)

    def _of_IfExp(self, node: ast.IfExp) -> Result:
        if (known := self._static(node.test)) is not None:
            return self._result(node.body if known else node.orelse)
        then, other, end = (self.made.append_basic_block(name) for name in ("then", "else", "end"))
        self._branch(node.test, then, other)
        cell = self.entry.alloca(I64)
        kinds = []
        for block, one in ((then, node.body), (other, node.orelse)):
            self.builder.position_at_end(block)
            value = self._value(one)
            kinds.append(value.kind)
            self.builder.store(self._word(value), cell)
            self.builder.branch(end)
        self.builder.position_at_end(end)
        at = self.builder.load(cell)
        if kinds[0] != kinds[1]:
            if set(kinds) != {INT, BOOL}:
                raise Unfit("a choice of two kinds")
            return Value(INT, at)
        return Value(kinds[0], self._bit(at) if kinds[0] == BOOL else at)

    # -- calls --------------------------------------------------------------------------------------
    def _of_Call(self, node: ast.Call) -> Result:
        name = name_of(node.func)
        if name not in self.needs:
            return self._builtin(name, node)
        called = self.needs[name]
        if called in FORMS:
            if node.keywords:
                raise Unfit("an argument by name")
            return self._primitive(called, [self._value(one) for one in node.args])
        if not isinstance(called, FunctionType):
            raise Unfit(f"a call of {name}")
        values = self._bound(called, node)
        made, kind = self.compiler.function(called, kind_of(values))
        at = self.builder.call(made, self._words(values))
        words = [at] if width(kind) == 1 else [self.builder.extract_value(at, i) for i in range(width(kind))]
        return self._of_words(kind, iter(words))

    def _bound(self, called: FunctionType, node: ast.Call) -> tuple[Result, ...]:
        """The arguments of a call in the order of the parameters."""
        code, defaults = called.__code__, called.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        given: dict[str, Result] = {}
        for name, one in zip(names, node.args, strict=False):
            given[name] = self._result(one)
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg in given:
                raise Unfit("arguments of another form")
            given[keyword.arg] = self._result(keyword.value)
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            if name not in given:
                given[name] = self._constant(default)
        if len(node.args) > len(names) or given.keys() != set(names):
            raise Unfit("arguments that do not fit")
        return tuple(given[name] for name in names)

    def _primitive(self, called: Any, values: list[Value]) -> Value:
        typer, lower = FORMS[called]
        try:
            kind = typer(*(value.kind for value in values))
        except TypeError as fault:
            raise Unfit(f"arguments of {called}") from fault
        if kind is None:
            raise Unfit(f"arguments of {called}")
        wanted = signature(kind, *(value.kind for value in values))
        at = lower(self.compiler.context, self.builder, wanted, [value.at for value in values])
        return Value(NONE, ZERO) if kind == types.void else Value(kind, at)

    def _builtin(self, name: str, node: ast.Call) -> Value:
        values = [self._value(one) for one in node.args]
        if node.keywords or not values:
            raise Unfit(f"a call of {name}")
        if name == "bool" and len(values) == 1:
            return Value(BOOL, self._truth_of(values[0]))
        numbers = [self._number_of(value) for value in values]
        if name == "int" and len(values) == 1:
            return Value(INT, numbers[0])
        if name == "abs" and len(values) == 1:
            down = self.builder.icmp_signed("<", numbers[0], ZERO)
            return Value(INT, self.builder.select(down, self.builder.neg(numbers[0]), numbers[0]))
        if name in ("min", "max") and len(values) > 1:
            found = numbers[0]
            for number in numbers[1:]:
                better = self.builder.icmp_signed("<" if name == "min" else ">", number, found)
                found = self.builder.select(better, number, found)
            return Value(INT, found)
        raise Unfit(f"a call of {name}")


def name_of(node: ast.expr) -> str:
    """The name of what is called, with its module."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise Unfit("a call of an expression")
