"""Terms in the place of integers and Booleans, as the code of a policy sees them.

`Number` has the operators of an integer. Where the code needs a plain Boolean, as in `while x:`, the number asks the
paths which side to take (see `paths`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from foliolab.framework.engine.guard import author_location
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.term import Term

SHIFTS = 64
"""Values that the amount of a shift may have."""
TABLE_BITS = 12
"""Bits of an unknown index into a table."""


class Unsupported(FolioLabError):
    """A policy's code does something that terms cannot express."""


def unsupported(what: str, hint: str = "the random and the explored attack run it as it is") -> Unsupported:
    """The error for something that the author's current line does."""
    return Unsupported(f"{author_location()} {what}", hint)


class Decider(Protocol):
    """Chooses a side where the code needs a plain Boolean."""

    def decide(self, condition: Term) -> bool: ...


def _operator(
    operation: Callable[[Term, Term], Term], *, swapped: bool = False, integers: bool = True
) -> Callable[[Number, Any], Any]:
    """A binary operator of `Number`.

    Args:
        operation: the function on terms.
        swapped: the number is the right operand.
        integers: Boolean operands become 0 or 1 first.
    """

    def method(self: Number, other: Any) -> Any:
        if not isinstance(other, (int, Number)):
            return NotImplemented
        left, right = self.term, term_of(other)
        if integers:
            left, right = algebra.int_(left), algebra.int_(right)
        return lift(operation(right, left) if swapped else operation(left, right), self.paths)

    return method


class Number:
    """A term in the place of an integer or a Boolean."""

    __slots__ = ("paths", "term")
    __hash__ = None  # type: ignore[assignment]  # equality is a term, not a bool

    def __init__(self, term: Term, paths: Decider) -> None:
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

    __add__ = __radd__ = _operator(term.add)
    __sub__ = _operator(term.sub)
    __rsub__ = _operator(term.sub, swapped=True)
    __mul__ = __rmul__ = _operator(term.mul)
    __and__ = __rand__ = _operator(algebra.and_, integers=False)
    __or__ = __ror__ = _operator(algebra.or_, integers=False)
    __xor__ = __rxor__ = _operator(algebra.xor_, integers=False)
    __eq__ = _operator(algebra.eq)
    __ne__ = _operator(lambda a, b: algebra.not_(algebra.eq(a, b)))
    __lt__ = _operator(algebra.lt)
    __le__ = _operator(algebra.le)
    __gt__ = _operator(algebra.lt, swapped=True)
    __ge__ = _operator(algebra.le, swapped=True)

    def __neg__(self) -> Any:
        return 0 - self

    def __pos__(self) -> Any:
        return 0 + self

    def __invert__(self) -> Any:
        return -1 - self

    def __lshift__(self, other: Any) -> Any:
        return lift(algebra.shr(algebra.int_(self.term), -_amount(other)), self.paths)

    def __rlshift__(self, other: Any) -> Any:
        return other << _amount(self)

    def __rshift__(self, other: Any) -> Any:
        return lift(algebra.shr(algebra.int_(self.term), _amount(other)), self.paths)

    def __rrshift__(self, other: Any) -> Any:
        return other >> _amount(self)

    def __floordiv__(self, other: Any) -> Any:
        return self >> _exponent(other)

    def __mod__(self, other: Any) -> Any:
        return lift(algebra.low(algebra.int_(self.term), _exponent(other)), self.paths)

    def __truediv__(self, other: Any) -> Any:
        raise unsupported("divides into a fraction")

    def bit_length(self) -> int:
        raise unsupported("takes the bit length of a number that is not known")


def _amount(number: Any) -> int:
    """The amount of a shift. Each value of an unknown amount is a path of its own."""
    if not isinstance(number, Number):
        return int(number)
    low, high = algebra.int_(number.term).lo, algebra.int_(number.term).hi
    if high - low > SHIFTS:
        raise unsupported(f"shifts by a number that may have more than {SHIFTS} values")
    return next((value for value in range(low, high) if number == value), high)


def _exponent(divisor: Any) -> int:
    """The exponent of a power of two."""
    value = divisor.term.value if isinstance(divisor, Number) else divisor
    if not isinstance(value, int) or value < 1 or value & (value - 1):
        raise unsupported("divides by a number that is not a power of two")
    return value.bit_length() - 1


def term_of(value: Any) -> Term:
    """The term of a number, an integer or a Boolean."""
    if isinstance(value, Number):
        return value.term
    if isinstance(value, bool):
        return algebra.truth(value)
    if isinstance(value, int):
        return term.const(value)
    raise unsupported(f"calculates with a {type(value).__name__}")


def lift(result: Term, paths: Decider) -> Any:
    """A term as the code sees it: a plain integer or Boolean if the value is known."""
    value = result.value
    if value is None:
        return Number(result, paths)
    return bool(value) if result.is_truth else value


class Table(tuple[Any, ...]):
    """A constant tuple that takes an unknown index. The element is a polynomial in the bits of the index.

    Every function f of b bits is such a polynomial: the sum, over all subsets S of the bits, of c(S) times the product
    of the bits in S. The coefficients c follow from f by inclusion and exclusion.
    """

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, Number):
            return super().__getitem__(index)
        number = algebra.int_(index.term)
        if number.lo < 0 or number.hi >= len(self):
            raise unsupported(f"reads elements {number.lo} to {number.hi} of a table of {len(self)}")
        width = max(number.hi.bit_length(), 1)
        if width > TABLE_BITS or not all(isinstance(value, int) for value in self):
            raise unsupported("reads an unknown element of a table that is too large")
        values = [int(super(Table, self).__getitem__(min(at, len(self) - 1))) for at in range(1 << width)]
        return lift(_polynomial(values, [algebra.bit(number, at) for at in range(width)]), index.paths)


def _polynomial(values: list[int], bits: list[Term]) -> Term:
    coefficients = list(values)
    for at in range(len(bits)):
        for subset in range(len(coefficients)):
            if subset >> at & 1:
                coefficients[subset] -= coefficients[subset ^ 1 << at]
    products = []
    for subset, coefficient in enumerate(coefficients):
        if coefficient:
            product = term.const(coefficient)
            for at, bit in enumerate(bits):
                if subset >> at & 1:
                    product = term.mul(product, bit)
            products.append(product)
    return term.add(*products)


def _extreme(plain: Callable[..., Any], precedes: Callable[[Term, Term], Term]) -> Callable[..., Any]:
    """`min` or `max` on terms, without a decision."""

    def extreme(*values: Any) -> Any:
        numbers = [value for value in values if isinstance(value, Number)]
        if not numbers:
            return plain(*values)
        found, *others = (algebra.int_(term_of(value)) for value in values)
        for other in others:
            found = algebra.choose(precedes(found, other), found, other)
        return lift(found, numbers[0].paths)

    return extreme


symbolic_min = _extreme(min, algebra.le)
symbolic_max = _extreme(max, lambda a, b: algebra.le(b, a))


def symbolic_bool(value: Any = False) -> Any:
    """`bool` without a decision."""
    return lift(algebra.bool_(value.term), value.paths) if isinstance(value, Number) else bool(value)


def symbolic_int(value: Any = 0) -> Any:
    """`int` of a number that may be unknown."""
    return lift(algebra.int_(value.term), value.paths) if isinstance(value, Number) else int(value)


def symbolic_not(value: Any) -> Any:
    """`not` without a decision."""
    return lift(algebra.not_(algebra.bool_(value.term)), value.paths) if isinstance(value, Number) else not value


def symbolic_and(*values: Any) -> Any:
    """`and` without a decision: a truth value."""
    numbers = [value for value in values if isinstance(value, Number)]
    if not numbers:
        return all(values)
    return lift(algebra.all_(*(algebra.bool_(term_of(value)) for value in values)), numbers[0].paths)


def symbolic_or(*values: Any) -> Any:
    """`or` without a decision: a truth value."""
    return symbolic_not(symbolic_and(*map(symbolic_not, values)))


BUILTINS: dict[str, Callable[..., Any]] = {
    "min": symbolic_min,
    "max": symbolic_max,
    "abs": lambda value: symbolic_max(value, -value),
    "bool": symbolic_bool,
    "int": symbolic_int,
}
"""Replacements of Python's built-in functions."""
