"""Numbers and truths as a policy's text sees them: they look like integers, and ask the paths when they must decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from foliolab.framework.engine.guard import author_location
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.term import Term

if TYPE_CHECKING:
    from collections.abc import Iterator


class Unsupported(FolioLabError):
    """A policy's text does what terms cannot follow."""


def unsupported(what: str, hint: str = "the random and the explored attack run it as it is") -> Unsupported:
    """The error for something at the author's line that runs now."""
    return Unsupported(f"{author_location()} {what}", hint)


class Decides(Protocol):
    """Who chooses a side where the text must."""

    def decide(self, condition: Term) -> bool:
        """The side of this run."""
        ...


class Number:
    """A term in the place of an integer or a truth."""

    __slots__ = ("paths", "term")
    __hash__ = None  # type: ignore[assignment]  # equality is a term, not a truth

    def __init__(self, term: Term, paths: Decides) -> None:
        self.term = term
        self.paths = paths

    def __bool__(self) -> bool:
        return self.paths.decide(algebra.bool_(self.term))

    def __index__(self) -> int:
        value = self.term.value
        if value is None:
            raise unsupported("needs the value of a number that is not known")
        return value

    __int__ = __index__

    def __repr__(self) -> str:
        return repr(self.term)

    def _with(self, other: Any, operation: Callable[[Term, Term], Term], plain: bool = True) -> Any:
        if not isinstance(other, (int, Number)):
            return NotImplemented
        mine, others = self.term, term_of(other)
        if plain:
            mine, others = algebra.int_(mine), algebra.int_(others)
        return lift(operation(mine, others), self.paths)

    def _against(self, other: Any, operation: Callable[[Term, Term], Term], plain: bool = True) -> Any:
        return self._with(other, lambda a, b: operation(b, a), plain)

    def __add__(self, other: Any) -> Any:
        return self._with(other, term.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._with(other, term.sub)

    def __rsub__(self, other: Any) -> Any:
        return self._against(other, term.sub)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, term.mul)

    __rmul__ = __mul__

    def __neg__(self) -> Any:
        return lift(term.times(algebra.int_(self.term), -1), self.paths)

    def __pos__(self) -> Any:
        return lift(algebra.int_(self.term), self.paths)

    def __invert__(self) -> Any:
        return -self - 1

    def __and__(self, other: Any) -> Any:
        return self._with(other, algebra.and_, plain=False)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return self._with(other, algebra.or_, plain=False)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        return self._with(other, algebra.xor_, plain=False)

    __rxor__ = __xor__

    def __lshift__(self, other: Any) -> Any:
        if isinstance(other, Number):
            other = self._small(other)
        return lift(algebra.shr(algebra.int_(self.term), -int(other)), self.paths)

    def __rlshift__(self, other: Any) -> Any:
        return other << self._small(self)

    def __rshift__(self, other: Any) -> Any:
        if isinstance(other, Number):
            other = self._small(other)
        return lift(algebra.shr(algebra.int_(self.term), int(other)), self.paths)

    def __rrshift__(self, other: Any) -> Any:
        return other >> self._small(self)

    def _small(self, number: Number) -> int:
        """The value of a number with few values: one after the other is tried."""
        low, high = algebra.int_(number.term).lo, algebra.int_(number.term).hi
        if high - low > 64:
            raise unsupported("shifts by a number that may have more than 64 values")
        for value in range(low, high):
            if number == value:
                return value
        return high

    def __floordiv__(self, other: Any) -> Any:
        return lift(algebra.shr(algebra.int_(self.term), _power(other)), self.paths)

    def __mod__(self, other: Any) -> Any:
        return lift(algebra.low(algebra.int_(self.term), _power(other)), self.paths)

    def __truediv__(self, other: Any) -> Any:
        raise unsupported("divides into a fraction")

    def __eq__(self, other: object) -> Any:
        return self._with(other, algebra.eq) if isinstance(other, (int, Number)) else False

    def __ne__(self, other: object) -> Any:
        if not isinstance(other, (int, Number)):
            return True
        return lift(algebra.not_(algebra.eq(algebra.int_(self.term), algebra.int_(term_of(other)))), self.paths)

    def __lt__(self, other: Any) -> Any:
        return self._with(other, algebra.lt)

    def __le__(self, other: Any) -> Any:
        return self._with(other, algebra.le)

    def __gt__(self, other: Any) -> Any:
        return self._against(other, algebra.lt)

    def __ge__(self, other: Any) -> Any:
        return self._against(other, algebra.le)

    def bit_length(self) -> int:
        """Not followed."""
        raise unsupported("takes the length of a number that is not known")


def _power(divisor: Any) -> int:
    value = divisor.term.value if isinstance(divisor, Number) else divisor
    if not isinstance(value, int) or value < 1 or value & (value - 1):
        raise unsupported("divides by what is no power of two")
    return value.bit_length() - 1


def term_of(value: Any) -> Term:
    """The term of a number or an integer."""
    if isinstance(value, Number):
        return value.term
    if isinstance(value, bool):
        return algebra.truth(value)
    if isinstance(value, int):
        return term.const(value)
    raise unsupported(f"calculates with a {type(value).__name__}")


def lift(made: Term, paths: Decides) -> Any:
    """A term as the text sees it: an integer or truth where its value is known."""
    value = made.value
    if value is None:
        return Number(made, paths)
    return bool(value) if made.is_truth else value


class Table(tuple[Any, ...]):
    """A constant tuple that can be asked with an unknown index: the answer is a polynomial in the index's bits.

    Every function of b bits is one, f(d) = sum over subsets S of c(S) times the product of d's bits in S.
    """

    __slots__ = ()
    WIDEST = 12

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, Number):
            return super().__getitem__(index)
        number = algebra.int_(index.term)
        if number.lo < 0 or number.hi >= len(self):
            raise unsupported(f"looks up place {number.lo} to {number.hi} of a table of {len(self)}")
        width = max(number.hi.bit_length(), 1)
        if width > self.WIDEST or not all(isinstance(value, int) for value in self):
            raise unsupported("looks up an unknown place of a table that is too large")
        values = [int(super(Table, self).__getitem__(min(at, len(self) - 1))) for at in range(1 << width)]
        return lift(_polynomial(values, [algebra.bit(number, at) for at in range(width)]), index.paths)


def _polynomial(values: list[int], bits: list[Term]) -> Term:
    factors = list(values)
    for at in range(len(bits)):
        for place in range(len(factors)):
            if place >> at & 1:
                factors[place] -= factors[place ^ 1 << at]
    parts = []
    for place, factor in enumerate(factors):
        if factor:
            product = term.const(factor)
            for at, one in enumerate(bits):
                if place >> at & 1:
                    product = term.mul(product, one)
            parts.append(product)
    return term.add(term.const(0), *parts)


def symbolic_min(*values: Any) -> Any:
    """`min` of the text, without a decision."""
    return _extreme(values, algebra.le, min)


def symbolic_max(*values: Any) -> Any:
    """`max` of the text, without a decision."""
    return _extreme(values, lambda a, b: algebra.le(b, a), max)


def _extreme(values: tuple[Any, ...], first: Callable[[Term, Term], Term], plain: Callable[..., Any]) -> Any:
    numbers = [value for value in values if isinstance(value, Number)]
    if not numbers:
        return plain(*values)
    found = algebra.int_(term_of(values[0]))
    for value in values[1:]:
        other = algebra.int_(term_of(value))
        found = algebra.choose(first(found, other), found, other)
    return lift(found, numbers[0].paths)


def symbolic_abs(value: Any) -> Any:
    """`abs` of the text."""
    return symbolic_max(value, -value)


def symbolic_bool(value: Any = False) -> Any:
    """`bool` of the text: a truth, undecided."""
    return lift(algebra.bool_(value.term), value.paths) if isinstance(value, Number) else bool(value)


def symbolic_int(value: Any = 0) -> Any:
    """`int` of the text."""
    return lift(algebra.int_(value.term), value.paths) if isinstance(value, Number) else int(value)


def each(value: Any) -> Iterator[Any]:
    """The parts of what a function returns."""
    yield from value if isinstance(value, tuple) else (value,)
