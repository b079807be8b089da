"""Translates terms to z3: linear arithmetic over integers, and Booleans.

A variable whose single bits are used gets a Boolean per bit. A product with bits becomes if-then-else. A width becomes
a quotient and a remainder. A product of two unknown numbers is refused. `and`, `or` and `xor` of two unknown numbers
are only bounded by the values of the operands.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, Final

import z3

from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.symbolic.algebra import bit_range
from foliolab.framework.verify.symbolic.term import Monomial, Op, Term, subterms

BITS: Final = 40
LARGE: Final = 1 << 16
"""A factor or modulus from which on an equation is solved by `diophantine`."""


class Unsolvable(FolioLabError):
    """A term is not linear."""


def is_weighted(number: Term) -> bool:
    """Whether a number is a sum with several factors, some of them large. z3 does not solve such equations in time."""
    factors = {abs(factor) for _, factor in number.args[1]} if number.op == Op.SUM else set()
    return len(factors) > 2 and max(factors) >= LARGE


def split_variables(terms: Iterable[Term]) -> frozenset[Term]:
    """The variables whose single bits some terms use."""
    ranges = [bit_range(term) for term in subterms(terms) if term.op in (Op.LOW, Op.SHR)]
    return frozenset(found[0] for found in ranges if found and found[0].hi < 1 << BITS)


def _two_variables(difference: Term) -> tuple[Term, Term] | None:
    """(a, b) if a number is a - b or b - a for two variables."""
    if difference.op != Op.SUM or difference.args[0] != 0 or len(difference.args[1]) != 2:
        return None
    (a, factor), (b, other) = difference.args[1]
    alone = len(a) == len(b) == 1 and factor == -other and abs(factor) == 1
    return (a[0], b[0]) if alone and a[0].op == b[0].op == Op.VAR else None


class Translator:
    """Translates terms into one z3 context, each of them once.

    Args:
        context: the z3 context.
        in_bits: variables that are compared bit by bit.

    Attributes:
        equations: z3 Booleans that stand for congruences and for equations with large factors. The caller constrains
            them.
    """

    def __init__(self, context: z3.Context, in_bits: frozenset[Term] = frozenset()) -> None:
        self.context = context
        self.in_bits = in_bits
        self.equations: dict[Term, Any] = {}
        self._done: dict[Term, Any] = {}
        self._bits: dict[Term, list[Any]] = {}
        self._definitions: dict[Term, list[Any]] = {}
        self._new_definitions: list[Any] = []
        self._fresh = 0

    def __call__(self, term: Term) -> Any:
        """The z3 expression of a term."""
        for part in subterms([term]):
            if part not in self._done:
                self._new_definitions = []
                self._done[part] = self._translate(part)
                self._definitions.setdefault(part, []).extend(self._new_definitions)
        return self._done[term]

    def definitions(self, parts: Iterable[Term]) -> list[Any]:
        """The constraints on the z3 variables that stand for some translated terms, of which no subterm is missing."""
        return [constraint for part in parts for constraint in self._definitions.get(part, ())]

    def number(self, value: int) -> Any:
        return z3.IntVal(value, self.context)

    def _variable(self, name: str, lo: int, hi: int) -> Any:
        variable = z3.Int(name, self.context)
        self._new_definitions += [variable >= lo, variable <= hi]
        return variable

    def _new(self, lo: int, hi: int) -> Any:
        self._fresh += 1
        return self._variable(f"!{self._fresh}", lo, hi)

    def _translate(self, term: Term) -> Any:
        op, args = term.op, term.args
        if op == Op.CONST:
            return self.number(args[0])
        if op == Op.TRUTH:
            return z3.BoolVal(args[0], self.context)
        if op == Op.VAR:
            return self._variable(*args)
        if op == Op.SUM:
            return self._sum(args[0], args[1])
        if op == Op.ITE:
            return z3.If(*(self._done[arg] for arg in args))
        if op == Op.INT:
            return z3.If(self._done[args[0]], self.number(1), self.number(0))
        if op == Op.NOT:
            return z3.Not(self._done[args[0]])
        if op == Op.ALL:
            return z3.And([self._done[part] for part in args[0]])
        if op == Op.EQ and is_weighted(args[0]):
            return self._equation(term)
        pair = _two_variables(args[0]) if op == Op.EQ else None
        if pair and self.in_bits.issuperset(pair):
            bits = [self._all_bits(variable) for variable in pair]
            return z3.And([a == b for a, b in zip_longest(*bits, fillvalue=z3.BoolVal(False, self.context))])
        if op in (Op.EQ, Op.LE):
            return self._done[args[0]] == 0 if op == Op.EQ else self._done[args[0]] <= 0
        return self._width(term)

    def _width(self, term: Term) -> Any:
        op, args = term.op, term.args
        bits = self._bits_of(term) if op in (Op.LOW, Op.SHR) else None
        if bits is not None:
            return self._sum_of_bits(bits)
        if op == Op.CONGRUENT and 1 << args[1] >= LARGE:
            return self._equation(term)
        if op in (Op.LOW, Op.SHR, Op.WRAP, Op.CONGRUENT):
            unit = 1 << args[1]
            floor = -(unit >> 1) if op == Op.WRAP and args[2] else 0
            inner = args[0]
            rest = self._new(floor, floor + unit - 1)
            quotient = self._new((inner.lo - floor) // unit, (inner.hi - floor) // unit)
            self._new_definitions.append(self._done[inner] == quotient * unit + rest)
            if op == Op.CONGRUENT:
                return rest == 0
            return quotient if op == Op.SHR else rest
        return self._bitwise(term)

    def _bitwise(self, term: Term) -> Any:
        """`and`, `or`, `xor` of two unknown numbers: any value within bounds.

        This over-approximates. A proof stays valid; the interpreted run rejects a counterexample that does not exist.
        """
        op, (a, b) = term.op, term.args
        x, y = self._done[a], self._done[b]
        result = self._new(term.lo, term.hi)
        if a.lo >= 0 and b.lo >= 0:
            both = result if op == Op.AND else self._new(0, min(a.hi, b.hi))
            self._new_definitions += [both <= x, both <= y]
            if op == Op.OR:
                self._new_definitions.append(result == x + y - both)
            elif op == Op.XOR:
                self._new_definitions.append(result == x + y - 2 * both)
        if op == Op.XOR:
            self._new_definitions.append((result == 0) == (x == y))
        elif op == Op.OR:
            self._new_definitions.append((result == 0) == z3.And(x == 0, y == 0))
        elif a.lo < 0 or b.lo < 0:
            self._new_definitions.append(z3.Implies(z3.Or(x == 0, y == 0), result == 0))
        return result

    def _equation(self, term: Term) -> Any:
        boolean = self.equations[term] = z3.Bool(f"!equation{len(self.equations)}", self.context)
        return boolean

    def _bits_of(self, term: Term) -> list[Any] | None:
        """The bits of a range of a variable's bits, lowest first."""
        found = bit_range(term)
        if found is None or found[0].hi >= 1 << BITS:
            return None
        variable, at, width = found
        return self._all_bits(variable)[at : at + width]

    def _all_bits(self, variable: Term) -> list[Any]:
        if variable not in self._bits:
            name, _, hi = variable.args
            bits = self._bits[variable] = [z3.Bool(f"{name}.{i}", self.context) for i in range(hi.bit_length())]
            whole = self._done[variable] == self._sum_of_bits(bits)
            self._definitions.setdefault(variable, []).append(whole)  # not those of the term that asks for the bits
        return self._bits[variable]

    def _sum_of_bits(self, bits: list[Any]) -> Any:
        return z3.Sum([z3.If(bit, self.number(1 << i), self.number(0)) for i, bit in enumerate(bits)])

    def _bool(self, atom: Term) -> Any:
        """A number that is 0 or 1, as a Boolean."""
        if atom.op == Op.INT:
            return self._done[atom.args[0]]
        bits = self._bits_of(atom) if atom.op in (Op.LOW, Op.SHR) else None
        return bits[0] if bits is not None and len(bits) == 1 else self._done[atom] == 1

    def _sum(self, constant: int, products: tuple[tuple[Monomial, int], ...]) -> Any:
        """The sum of some products. A number times the difference of two bits is one if-then-else: easier for z3."""
        parts = [self.number(constant)] if constant else []
        waiting: dict[tuple[Term, ...], tuple[Any, int]] = {}
        for monomial, factor in products:
            numbers = tuple(atom for atom in monomial if not atom.is_bit)
            bits = [atom for atom in monomial if atom.is_bit]
            other = waiting.pop(numbers, None) if len(bits) == 1 and len(numbers) == 1 else None
            if other is not None and other[1] == -factor:
                parts.append(self._difference(numbers[0], factor, self._bool(bits[0]), other[0]))
                continue
            if other is not None:
                parts.append(z3.If(other[0], self._done[numbers[0]] * self.number(other[1]), self.number(0)))
            if len(bits) == 1 and len(numbers) == 1:
                waiting[numbers] = (self._bool(bits[0]), factor)
            else:
                parts.append(self._product(monomial, factor))
        for numbers, (bit, factor) in waiting.items():
            parts.append(z3.If(bit, self._done[numbers[0]] * self.number(factor), self.number(0)))
        return z3.Sum(parts) if len(parts) > 1 else parts[0]

    def _difference(self, number: Term, factor: int, added: Any, taken: Any) -> Any:
        value = self._done[number] * self.number(factor)
        return z3.If(added == taken, self.number(0), z3.If(added, value, -value))

    def _product(self, monomial: tuple[Term, ...], factor: int) -> Any:
        numbers = [atom for atom in monomial if not atom.is_bit]
        if len(numbers) > 1:
            raise Unsolvable("a product of two unknown numbers is not linear", "the other attacks run it as it is")
        value = self._done[numbers[0]] if numbers else self.number(1)
        bits = [self._bool(atom) for atom in monomial if atom not in numbers]
        value = value if factor == 1 else value * self.number(factor)
        return z3.If(z3.And(bits), value, self.number(0)) if bits else value
