"""Terms: integers and Booleans over free variables, in a normal form.

Equal terms are the same object (hash consing). An integer is a sum of products of atoms, so two terms that are equal
by the laws of a commutative ring are equal objects. Values have no width; where a field limits the width, there is an
explicit WRAP. Every term carries an interval that contains its value. The interval alone decides most conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, Final

Interval = tuple[int, int]
Monomial = tuple["Term", ...]


class Op:
    """The operations of terms."""

    CONST: Final = "const"
    VAR: Final = "var"
    SUM: Final = "sum"
    ITE: Final = "ite"
    LOW: Final = "low"
    SHR: Final = "shr"
    WRAP: Final = "wrap"
    AND: Final = "and"
    OR: Final = "or"
    XOR: Final = "xor"
    INT: Final = "int"
    TRUTH: Final = "truth"
    EQ: Final = "eq"
    LE: Final = "le"
    CONGRUENT: Final = "congruent"
    NOT: Final = "not"
    ALL: Final = "all"


BOOLEAN: Final = frozenset({Op.TRUTH, Op.EQ, Op.LE, Op.CONGRUENT, Op.NOT, Op.ALL})


class Term:
    """One node. Only `make` creates terms.

    Attributes:
        op: the operation, one of `Op`.
        args: the operands: terms, numbers, names.
        lo, hi: an interval that contains the value; 0 and 1 for Booleans.
        number: in the order of creation; operands have lower numbers.
    """

    __slots__ = ("args", "hi", "lo", "number", "op")

    def __init__(self, op: str, args: tuple[Any, ...], lo: int, hi: int, number: int) -> None:
        self.op = op
        self.args = args
        self.lo = lo
        self.hi = hi
        self.number = number

    @property
    def is_truth(self) -> bool:
        return self.op in BOOLEAN

    @property
    def is_bit(self) -> bool:
        """Whether the value is 0 or 1."""
        return self.lo >= 0 and self.hi <= 1

    @property
    def value(self) -> int | None:
        """The value of a constant, else None."""
        return self.lo if self.lo == self.hi else None

    def parts(self) -> Iterator[Term]:
        """The operands that are terms."""
        if self.op == Op.SUM:
            for monomial, _ in self.args[1]:
                yield from monomial
        else:
            for arg in self.args:
                if isinstance(arg, Term):
                    yield arg
                elif isinstance(arg, tuple):
                    yield from arg

    def __repr__(self) -> str:
        return self.text(8)

    def text(self, depth: int) -> str:
        """The term as text. Operands below `depth` are left out: shared ones would be written out each time."""
        if depth == 0:
            return "…"
        if self.op in (Op.CONST, Op.VAR):
            return str(self.args[0])
        if self.op == Op.SUM:
            products = (f"{k}*{'*'.join(atom.text(depth - 1) for atom in m)}" for m, k in self.args[1])
            return f"({' + '.join([str(self.args[0]), *products])})"
        operands = (arg.text(depth - 1) if isinstance(arg, Term) else str(arg) for arg in self.args)
        return f"{self.op}({', '.join(operands)})"


_terms: dict[tuple[str, tuple[Any, ...]], Term] = {}
_results: dict[tuple[Any, ...], Term] = {}


def memoized(function: Callable[..., Term]) -> Callable[..., Term]:
    """Keep the results of a function of terms, as terms share operands. `reset` clears them, unlike functools.cache."""

    @wraps(function)
    def call(*arguments: Any) -> Term:
        key = (function, *arguments)
        found = _results.get(key)
        if found is None:
            found = _results[key] = function(*arguments)
        return found

    return call


def make(op: str, args: tuple[Any, ...], lo: int, hi: int) -> Term:
    """The term with these operands, which are in normal form."""
    key = (op, args)
    found = _terms.get(key)
    if found is None:
        found = _terms[key] = Term(op, args, lo, hi, len(_terms))
    return found


def term_count() -> int:
    """The number of terms since the last `reset`."""
    return len(_terms)


def reset() -> None:
    """Drop all terms but TRUE and FALSE. Older terms must not be used any more."""
    _terms.clear()
    _results.clear()
    _terms[Op.TRUTH, (True,)] = TRUE
    _terms[Op.TRUTH, (False,)] = FALSE


TRUE: Final = make(Op.TRUTH, (True,), 1, 1)
FALSE: Final = make(Op.TRUTH, (False,), 0, 0)


def const(value: int) -> Term:
    """A constant integer."""
    return make(Op.CONST, (int(value),), int(value), int(value))


def var(name: str, lo: int, hi: int) -> Term:
    """A free variable in an interval."""
    return make(Op.VAR, (name, lo, hi), lo, hi) if lo < hi else const(lo)


def subterms(terms: Iterable[Term]) -> list[Term]:
    """All terms that occur in some terms, themselves included, operands first."""
    seen: set[Term] = set()
    todo = list(terms)
    while todo:
        term = todo.pop()
        if term not in seen:
            seen.add(term)
            todo += term.parts()
    return sorted(seen, key=lambda term: term.number)


def variables(terms: Iterable[Term]) -> list[Term]:
    """The variables in some terms."""
    return [term for term in subterms(terms) if term.op == Op.VAR]


# -- sums ----------------------------------------------------------------------------------------------
def as_sum(term: Term) -> tuple[int, dict[Monomial, int]]:
    """An integer as a constant and the factor of each product."""
    if term.op == Op.CONST:
        return term.args[0], {}
    if term.op == Op.SUM:
        return term.args[0], dict(term.args[1])
    return 0, {(term,): 1}


def _product_interval(monomial: Monomial) -> Interval:
    lo, hi = 1, 1
    for atom in monomial:
        ends = (lo * atom.lo, lo * atom.hi, hi * atom.lo, hi * atom.hi)
        lo, hi = min(ends), max(ends)
    return lo, hi


def from_sum(constant: int, products: dict[Monomial, int]) -> Term:
    """The integer with this constant and these products."""
    kept = {monomial: factor for monomial, factor in products.items() if factor}
    if not kept:
        return const(constant)
    if constant == 0 and len(kept) == 1:
        ((monomial, factor),) = kept.items()
        if factor == 1 and len(monomial) == 1:
            return monomial[0]
    lo = hi = constant
    for monomial, factor in kept.items():
        low, high = _product_interval(monomial)
        lo += min(low * factor, high * factor)
        hi += max(low * factor, high * factor)
    ordered = tuple(sorted(kept.items(), key=lambda item: [atom.number for atom in item[0]]))
    return make(Op.SUM, (constant, ordered), lo, hi)


def add(*terms: Term) -> Term:
    """The sum; 0 without operands."""
    constant, products = 0, dict[Monomial, int]()
    for term in terms:
        more, others = as_sum(term)
        constant += more
        for monomial, factor in others.items():
            products[monomial] = products.get(monomial, 0) + factor
    return from_sum(constant, products)


def times(term: Term, factor: int) -> Term:
    """The product with a constant."""
    constant, products = as_sum(term)
    return from_sum(constant * factor, {monomial: factor * old for monomial, old in products.items()})


def sub(a: Term, b: Term) -> Term:
    """a - b."""
    return add(a, times(b, -1))


def _joined(a: Monomial, b: Monomial) -> Monomial:
    """A product of products. An atom that is 0 or 1 is its own square."""
    atoms = sorted([*a, *b], key=lambda atom: atom.number)
    joined: list[Term] = []
    for atom in atoms:
        if not (joined and joined[-1] is atom and atom.is_bit):
            joined.append(atom)
    return tuple(joined)


def mul(a: Term, b: Term) -> Term:
    """a * b, multiplied out."""
    if a.value is not None:
        return times(b, a.value)
    if b.value is not None:
        return times(a, b.value)
    (ka, pa), (kb, pb) = as_sum(a), as_sum(b)
    products: dict[Monomial, int] = {}
    for ma, fa in [((), ka), *pa.items()]:
        for mb, fb in [((), kb), *pb.items()]:
            joined = _joined(ma, mb)
            products[joined] = products.get(joined, 0) + fa * fb
    return from_sum(products.pop((), 0), products)
