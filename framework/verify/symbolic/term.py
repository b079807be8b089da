"""Terms: exact integers and truths over free variables, in a normal form, each made only once.

An integer is a sum of products of atoms, so that what is equal by the laws of a ring is one object. Values are
exact: where a width cuts them off stands an explicit `wrap`, as in the interpreted engine. Every integer knows an
interval that it lies in; that alone decides most of what a policy asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, Final

Interval = tuple[int, int]
Monomial = tuple["Term", ...]

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

LOGICAL: Final = frozenset({TRUTH, EQ, LE, CONGRUENT, NOT, ALL})


class Term:
    """One node. Made by the functions of this package only; equal terms are the same object.

    Attributes:
        op: what it is, one of the constants above.
        args: its parts: terms, numbers, names.
        lo, hi: an interval that its value lies in; 0 and 1 for truths.
        number: in the order of making; parts come before wholes.
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
        """Whether it is a truth, not a number."""
        return self.op in LOGICAL

    @property
    def value(self) -> int | None:
        """Its value if it is a constant."""
        return self.lo if self.lo == self.hi else None

    def parts(self) -> Iterator[Term]:
        """The terms that it is directly made of."""
        if self.op == SUM:
            for monomial, _ in self.args[1]:
                yield from monomial
        else:
            for arg in self.args:
                if isinstance(arg, Term):
                    yield arg
                elif isinstance(arg, tuple):
                    yield from arg

    def __repr__(self) -> str:
        return self.told(8)

    def told(self, depth: int) -> str:
        """As text; parts below that depth are left out, for shared parts would be written out each time."""
        if depth == 0:
            return "…"
        if self.op in (CONST, VAR):
            return str(self.args[0])
        if self.op == SUM:
            products = (f"{k}*{'*'.join(one.told(depth - 1) for one in m)}" for m, k in self.args[1])
            return f"({' + '.join([str(self.args[0]), *products])})"
        told = (one.told(depth - 1) if isinstance(one, Term) else str(one) for one in self.args)
        return f"{self.op}({', '.join(told)})"


_made: dict[tuple[str, tuple[Any, ...]], Term] = {}
_remembered: dict[tuple[Any, ...], Term] = {}


def remembered(function: Callable[..., Term]) -> Callable[..., Term]:
    """A function of terms whose results are kept: choices share their parts, and recursion would visit each often."""

    @wraps(function)
    def ask(*arguments: Any) -> Term:
        key = (function, *arguments)
        found = _remembered.get(key)
        if found is None:
            found = _remembered[key] = function(*arguments)
        return found

    return ask


def make(op: str, args: tuple[Any, ...], lo: int, hi: int) -> Term:
    """The one term of these parts; whoever calls has brought them into normal form."""
    key = (op, args)
    found = _made.get(key)
    if found is None:
        found = _made[key] = Term(op, args, lo, hi, len(_made))
    return found


def made() -> int:
    """How many terms there are."""
    return len(_made)


def forget() -> None:
    """Forget all terms: none that was made before may be used again, but the two truths."""
    _made.clear()
    _remembered.clear()
    _made[TRUTH, (True,)] = TRUE
    _made[TRUTH, (False,)] = FALSE


TRUE: Final = make(TRUTH, (True,), 1, 1)
FALSE: Final = make(TRUTH, (False,), 0, 0)


def const(value: int) -> Term:
    """A number."""
    return make(CONST, (int(value),), int(value), int(value))


def var(name: str, lo: int, hi: int) -> Term:
    """A free variable in an interval; a name stands for one interval."""
    return make(VAR, (name, lo, hi), lo, hi) if lo < hi else const(lo)


def everything(terms: Iterable[Term]) -> list[Term]:
    """All terms that some are made of, themselves included, parts first."""
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
    return [term for term in everything(terms) if term.op == VAR]


# -- sums ----------------------------------------------------------------------------------------------
def as_sum(term: Term) -> tuple[int, dict[Monomial, int]]:
    """The constant and the products of a number, with their factors."""
    if term.op == CONST:
        return term.args[0], {}
    if term.op == SUM:
        return term.args[0], dict(term.args[1])
    return 0, {(term,): 1}


def _product_interval(monomial: Monomial) -> Interval:
    lo, hi = 1, 1
    for atom in monomial:
        ends = (lo * atom.lo, lo * atom.hi, hi * atom.lo, hi * atom.hi)
        lo, hi = min(ends), max(ends)
    return lo, hi


def from_sum(constant: int, products: dict[Monomial, int]) -> Term:
    """The number of these products."""
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
    ordered = tuple(sorted(kept.items(), key=lambda one: [atom.number for atom in one[0]]))
    return make(SUM, (constant, ordered), lo, hi)


def add(*terms: Term) -> Term:
    """Their sum."""
    constant, products = 0, dict[Monomial, int]()
    for term in terms:
        more, others = as_sum(term)
        constant += more
        for monomial, factor in others.items():
            products[monomial] = products.get(monomial, 0) + factor
    return from_sum(constant, products)


def times(term: Term, factor: int) -> Term:
    """A multiple."""
    constant, products = as_sum(term)
    return from_sum(constant * factor, {monomial: factor * one for monomial, one in products.items()})


def sub(a: Term, b: Term) -> Term:
    """a - b."""
    return add(a, times(b, -1))


def _joined(a: Monomial, b: Monomial) -> Monomial:
    """A product of products; a factor that is 0 or 1 is its own square."""
    atoms = sorted([*a, *b], key=lambda atom: atom.number)
    joined: list[Term] = []
    for atom in atoms:
        if not (joined and joined[-1] is atom and atom.lo >= 0 and atom.hi <= 1):
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
