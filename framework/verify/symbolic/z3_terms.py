"""Terms for the solver, in linear arithmetic over the integers.

An ID whose bits matter is its bits; a product with bits is a choice; where a width cuts off stands a quotient and a
rest. Products of two numbers that are no bits are refused; `and`, `or` and `xor` of two are bounded by their values.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, Final

import z3

from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.symbolic.term import (
    ALL,
    AND,
    CONGRUENT,
    CONST,
    EQ,
    INT,
    ITE,
    LE,
    LOW,
    NOT,
    OR,
    SHR,
    SUM,
    TRUTH,
    VAR,
    WRAP,
    XOR,
    Monomial,
    Term,
    everything,
)

BITS: Final = 40
LARGE: Final = 1 << 16
"""A factor, or a modulus, from which on an equation is solved by itself."""


class Unsolvable(FolioLabError):
    """A term that is not linear."""


def is_weighted(number: Term) -> bool:
    """Whether a number is a sum with several factors, some of them large: where solver arithmetic is lost."""
    factors = {abs(factor) for _, factor in number.args[1]} if number.op == SUM else set()
    return len(factors) > 2 and max(factors) >= LARGE


def split_variables(terms: Iterable[Term]) -> frozenset[Term]:
    """The variables whose bits some terms look at."""
    inner = {one.args[0] for one in everything(terms) if one.op in (LOW, SHR)}
    return frozenset(one for one in inner if one.op == VAR and one.lo >= 0 and one.hi < 1 << BITS)


def _two_variables(difference: Term) -> tuple[Term, Term] | None:
    """The variables if a number is the difference of two."""
    if difference.op != SUM or difference.args[0] != 0 or len(difference.args[1]) != 2:
        return None
    (a, factor), (b, other) = difference.args[1]
    alone = len(a) == len(b) == 1 and factor == -other and abs(factor) == 1
    return (a[0], b[0]) if alone and a[0].op == b[0].op == VAR else None


class Lowering:
    """Translates terms into one z3 context; `given` collects what must hold of the variables it makes.

    Args:
        equations: truths that stand for congruences and for equations with large factors, whose meaning somebody
            else gives; None: they are translated like all others.
        in_bits: variables that are compared bit by bit.
    """

    def __init__(
        self, context: z3.Context, equations: dict[Term, Any] | None = None, in_bits: frozenset[Term] = frozenset()
    ) -> None:
        self.context = context
        self.in_bits = in_bits
        self.equations = equations
        self.given: list[Any] = []
        self.variables: dict[str, Any] = {}
        self._done: dict[Term, Any] = {}
        self._bits: dict[Term, list[Any]] = {}
        self._fresh = 0

    def __call__(self, term: Term) -> Any:
        """The solver's expression."""
        for one in everything([term]):
            if one not in self._done:
                self._done[one] = self._lower(one)
        return self._done[term]

    def take_given(self) -> list[Any]:
        """What must hold, since it was asked last."""
        given, self.given = self.given, []
        return given

    def number(self, value: int) -> Any:
        """A number."""
        return z3.IntVal(value, self.context)

    def _new(self, lo: int, hi: int) -> Any:
        self._fresh += 1
        made = z3.Int(f"!{self._fresh}", self.context)
        self.given += [made >= lo, made <= hi]
        return made

    def _lower(self, term: Term) -> Any:
        op, args = term.op, term.args
        if op == CONST:
            return self.number(args[0])
        if op == TRUTH:
            return z3.BoolVal(args[0], self.context)
        if op == VAR:
            name, lo, hi = args
            made = self.variables[name] = z3.Int(name, self.context)
            self.given += [made >= lo, made <= hi]
            return made
        if op == SUM:
            return self._sum(args[0], args[1])
        if op == ITE:
            return z3.If(*(self._done[arg] for arg in args))
        if op == INT:
            return z3.If(self._done[args[0]], self.number(1), self.number(0))
        if op == NOT:
            return z3.Not(self._done[args[0]])
        if op == ALL:
            return z3.And([self._done[part] for part in args[0]])
        if op == EQ and self.equations is not None and is_weighted(args[0]):
            return self._equation(term)
        pair = _two_variables(args[0]) if op == EQ else None
        if pair and all(one in self.in_bits for one in pair):
            bits = [self._all_bits(one) for one in pair]
            none = z3.BoolVal(False, self.context)
            return z3.And([a == b for a, b in zip_longest(*bits, fillvalue=none)])
        if op in (EQ, LE):
            return self._done[args[0]] == 0 if op == EQ else self._done[args[0]] <= 0
        return self._width(term)

    def _width(self, term: Term) -> Any:
        op, args = term.op, term.args
        bits = self._bits_of(term) if op in (LOW, SHR) else None
        if bits is not None:
            return z3.Sum([z3.If(one, self.number(1 << i), self.number(0)) for i, one in enumerate(bits)])
        if op == CONGRUENT and self.equations is not None and 1 << args[1] >= LARGE:
            return self._equation(term)
        if op in (LOW, SHR, WRAP, CONGRUENT):
            unit = 1 << args[1]
            floor = -(unit >> 1) if op == WRAP and args[2] else 0
            inner = args[0]
            rest = self._new(floor, floor + unit - 1)
            quotient = self._new((inner.lo - floor) // unit, (inner.hi - floor) // unit)
            self.given.append(self._done[inner] == quotient * unit + rest)
            if op == CONGRUENT:
                return rest == 0
            return quotient if op == SHR else rest
        return self._bitwise(term)

    def _bitwise(self, term: Term) -> Any:
        """`and`, `or`, `xor` of two unknown numbers: anything within what their values allow.

        More than there is: that nothing breaks is proved all the same, what breaks the interpreted run must confirm.
        """
        op, (a, b) = term.op, term.args
        x, y = self._done[a], self._done[b]
        made = self._new(term.lo, term.hi)
        if a.lo >= 0 and b.lo >= 0:
            both = made if op == AND else self._new(0, min(a.hi, b.hi))
            self.given += [both <= x, both <= y]
            if op == OR:
                self.given.append(made == x + y - both)
            elif op == XOR:
                self.given.append(made == x + y - 2 * both)
        if op == XOR:
            self.given.append((made == 0) == (x == y))
        elif op == OR:
            self.given.append((made == 0) == z3.And(x == 0, y == 0))
        elif a.lo < 0 or b.lo < 0:
            self.given.append(z3.Implies(z3.Or(x == 0, y == 0), made == 0))
        return made

    def _equation(self, term: Term) -> Any:
        assert self.equations is not None
        made = self.equations[term] = z3.Bool(f"!equation{len(self.equations)}", self.context)
        return made

    def _bits_of(self, term: Term) -> list[Any] | None:
        """The bits of a range of a variable's bits, lowest first."""
        at, width, inner = 0, BITS, term
        if inner.op == LOW:
            width, inner = inner.args[1], inner.args[0]
        if inner.op == SHR:
            at, inner = inner.args[1], inner.args[0]
        if inner.op != VAR or inner.lo < 0 or inner.hi >= 1 << BITS:
            return None
        return self._all_bits(inner)[at : at + width]

    def _all_bits(self, variable: Term) -> list[Any]:
        if variable not in self._bits:
            name, _, hi = variable.args
            bits = [z3.Bool(f"{name}.{i}", self.context) for i in range(hi.bit_length())]
            self._bits[variable] = bits
            total = z3.Sum([z3.If(one, self.number(1 << i), self.number(0)) for i, one in enumerate(bits)])
            self.given.append(self._done[variable] == total)
        return self._bits[variable]

    def truth(self, atom: Term) -> Any:
        """A number that is 0 or 1, as a truth."""
        if atom.op == INT:
            return self._done[atom.args[0]]
        bits = self._bits_of(atom) if atom.op in (LOW, SHR) else None
        return bits[0] if bits is not None and len(bits) == 1 else self._done[atom] == 1

    def _sum(self, constant: int, products: tuple[tuple[Monomial, int], ...]) -> Any:
        """Its products; a number times the difference of two bits is one choice."""
        parts = [self.number(constant)] if constant else []
        waiting: dict[tuple[Term, ...], tuple[Any, int]] = {}
        for monomial, factor in products:
            numbers = tuple(atom for atom in monomial if atom.lo < 0 or atom.hi > 1)
            bits = [atom for atom in monomial if atom.lo >= 0 and atom.hi <= 1]
            other = waiting.pop(numbers, None) if len(bits) == 1 and len(numbers) == 1 else None
            if other is not None and other[1] == -factor:
                parts.append(self._difference(numbers[0], factor, self.truth(bits[0]), other[0]))
                continue
            if other is not None:
                parts.append(z3.If(other[0], self._done[numbers[0]] * self.number(other[1]), self.number(0)))
            if len(bits) == 1 and len(numbers) == 1:
                waiting[numbers] = (self.truth(bits[0]), factor)
            else:
                parts.append(self._product(monomial, factor))
        for numbers, (truth, factor) in waiting.items():
            parts.append(z3.If(truth, self._done[numbers[0]] * self.number(factor), self.number(0)))
        return z3.Sum(parts) if len(parts) > 1 else parts[0]

    def _difference(self, number: Term, factor: int, added: Any, taken: Any) -> Any:
        value = self._done[number] * self.number(factor)
        return z3.If(added == taken, self.number(0), z3.If(added, value, -value))

    def _product(self, monomial: tuple[Term, ...], factor: int) -> Any:
        numbers = [atom for atom in monomial if atom.lo < 0 or atom.hi > 1]
        if len(numbers) > 1:
            raise Unsolvable("a product of two unknown numbers is not linear", "the other attacks run it as it is")
        value = self._done[numbers[0]] if numbers else self.number(1)
        bits = [self.truth(atom) for atom in monomial if atom not in numbers]
        value = value if factor == 1 else value * self.number(factor)
        return z3.If(z3.And(bits), value, self.number(0)) if bits else value
