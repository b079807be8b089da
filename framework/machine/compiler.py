"""A quick compiler of the text that policies and the engine are made of: integers, references, pointers and calls.

numba compiles any Python; FolioLab's texts use little of it: whole numbers of 64 bits, truth values, typed addresses,
arrays of numbers, `if`, `while`, `for` over a `range`, and calls of each other and of primitives. For these the syntax
tree says enough (docs/reference-hooks.md, "What a policy's text may be", describes the language to authors). Compiling
it needs a tenth of the time that numba's type inference and its passes need, and all functions become one LLVM module.
Whatever is not known here raises `Unfit`, and numba compiles the whole call tree instead.

Every value is 64 bits wide between functions and in variables; a truth value is one bit within an expression. Where a
variable or a result is a truth value on one path and a number on another, it is a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any

from llvmlite import ir

from foliolab.framework.machine.calltree import CallTree, is_noinline
from foliolab.framework.machine.checks import unchecked_code, without_checks
from foliolab.framework.machine.expressions import BOOL, LARGEST, LEAST, NONE, Unfit, width
from foliolab.framework.machine.nativetypes import I64, INT
from foliolab.framework.machine.source import exact_definition
from foliolab.framework.machine.statements import RETURNED, Again, Statements


class Compiler:
    """Compiles functions of a call tree into a module.

    Args:
        context: numba's, which the primitives' native forms take.
        prefix: of the names in the module.
    """

    def __init__(self, tree: CallTree, module: ir.Module, context: Any, prefix: str) -> None:
        self.tree = tree
        self.module = module
        self.context = context
        self.prefix = prefix
        self._made: dict[tuple[FunctionType, tuple[Any, ...]], tuple[ir.Function, Any] | None] = {}
        self._tables: dict[tuple[int, ...], ir.GlobalVariable] = {}
        self._names = 0

    def export(self, function: FunctionType, kinds: Sequence[Any], name: str) -> None:
        """Compile a function under a name, with 64-bit arguments and result by C's calling convention.

        An array is passed as its address and its lengths.

        Raises:
            Unfit: it cannot be compiled here.
        """
        made, result = self.function(function, tuple(kinds))
        if result not in (INT, BOOL):
            raise Unfit(f"{function.__qualname__} returns no number")
        entry = ir.Function(self.module, ir.FunctionType(I64, [I64] * width(tuple(kinds))), name)
        builder = ir.IRBuilder(entry.append_basic_block())
        builder.ret(builder.call(made, entry.args))

    def function(self, function: FunctionType, kinds: tuple[Any, ...]) -> tuple[ir.Function, Any]:
        """A function for arguments of these kinds, and the kind of its result."""
        key = (function, kinds)
        if key not in self._made:
            self._made[key] = None
            self._made[key] = self._compile(function, kinds)
        made = self._made[key]
        if made is None:
            raise Unfit(f"{function.__qualname__} calls itself")
        return made

    def table(self, numbers: tuple[Any, ...]) -> ir.GlobalVariable:
        """A constant in memory.

        Raises:
            Unfit: it holds something else than numbers.
        """
        if numbers not in self._tables:
            if not all(isinstance(number, int) and LEAST <= number <= LARGEST for number in numbers):
                raise Unfit("a constant of something else than numbers")
            kind = ir.ArrayType(I64, len(numbers))
            made = ir.GlobalVariable(self.module, kind, f"{self.prefix}.table{len(self._tables)}")
            made.linkage, made.global_constant = "internal", True
            made.initializer = ir.Constant(kind, list(numbers))
            self._tables[numbers] = made
        return self._tables[numbers]

    def _compile(self, function: FunctionType, kinds: tuple[Any, ...]) -> tuple[ir.Function, Any]:
        node = exact_definition(function)
        if node is None or function not in self.tree.needs:
            raise Unfit(f"{function.__qualname__} has no text")
        if self.tree.code_of is unchecked_code:
            node = without_checks(node, function)
        known: dict[str, Any] = {}
        while True:
            body = self._begun(function, kinds, known)
            try:
                body.run(node, kinds)
            except Again:
                del self.module.globals[body.made.name]
            else:
                return body.made, known.get(RETURNED, NONE)

    def _begun(self, function: FunctionType, kinds: tuple[Any, ...], known: dict[str, Any]) -> Statements:
        """A function without statements."""
        self._names += 1
        returned = known.get(RETURNED, NONE)
        result = I64 if width(returned) == 1 else ir.LiteralStructType([I64] * width(returned))
        name = f"{self.prefix}.{self._names}.{function.__name__}"
        made = ir.Function(self.module, ir.FunctionType(result, [I64] * width(kinds)), name)
        made.linkage = "internal"
        # a call left standing on the path of one page costs more than what most of the functions do
        made.attributes.add("noinline" if is_noinline(function) else "alwaysinline")
        entry, body = (ir.IRBuilder(made.append_basic_block(block)) for block in ("entry", "body"))
        return Statements(self, made, entry, body, self.tree.needs[function], known)
