"""A C expression as policy text, with what is known of its value; and C's arithmetic on such expressions.

A policy's numbers are 64-bit signed integers. So an unsigned 64-bit value is written as its signed bit pattern, a
narrower unsigned result is masked, and a conversion that changes nothing in the value's interval writes nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from foliolab.framework.csource.integer import BOOL, INT, U64, WORD, Integer
from foliolab.framework.csource.place import Place
from foliolab.framework.errors import CSourceError

_MOST: Final = (1 << WORD - 1) - 1
CALCULATED: Final[dict[str, Callable[[int, int], int]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_,
    "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift,
}  # fmt: skip
COMPARED: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """An expression.

    Args:
        text: as a policy's text.
        type: its integer type; None for a pointer.
        const: its value, if that is known.
        truth: whether the text is True or False rather than a number.
        low, high: bounds of the number; None where only the type bounds it.
        ref: whether the text is a reference to a field, not its value.
        was: of a number made of a truth value: that.
    """

    text: str
    type: Integer | None = None
    const: int | None = None
    truth: bool = False
    low: int | None = None
    high: int | None = None
    ref: bool = False
    was: Value | None = None

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The least and the greatest number; None where the signed bit pattern may be any."""
        if self.const is not None:
            return self.const, self.const
        if self.low is not None and self.high is not None:
            return self.low, self.high
        if self.type is None or self.type == U64:
            return self.low, self.high
        return self.type.low, self.type.high

    @property
    def is_natural(self) -> bool:
        """Whether the number cannot be negative."""
        low = self.bounds[0]
        return low is not None and low >= 0


def constant(value: int, of: Integer, text: str = "") -> Value:
    """A number; `text` is a name that stands for it."""
    pattern = of.pattern(value)
    if of == BOOL:
        return Value(str(bool(pattern)), of, pattern, truth=True)
    return Value(text if text and pattern == value else str(pattern), of, pattern)


def truth(text: str) -> Value:
    """A value that is True or False in the policy's text, such as a comparison."""
    return Value(text, BOOL, truth=True, low=0, high=1)


def as_condition(value: Value, place: Place) -> Value:
    """The value where C asks whether it is 0.

    Raises:
        CSourceError: it is a pointer.
    """
    if value.const is not None:
        return constant(int(bool(value.const)), BOOL)
    if value.truth:
        return value
    if value.was is not None:
        return value.was
    if value.type is None:
        raise refused(place, f"the pointer {value.text} is tested", "compare numbers; a hook's pointers are never NULL")
    return truth(f"({value.text}) != 0")


def negated(value: Value) -> Value:
    """`!value` of a condition."""
    if value.const is not None:
        return constant(int(not value.const), BOOL)
    return truth(f"not ({value.text})")


def converted(value: Value, to: Integer | None) -> Value:
    """C's conversion of a value to an integer type; of pointers none."""
    if to is None or value.type is None or (value.type == to and not value.truth):
        return value
    if to == BOOL:
        return as_condition(value, Place())
    if value.const is not None:
        return constant(value.const, to, value.text if not value.truth else "")
    if value.truth:
        return Value(f"int({value.text})", to, low=0, high=1, was=value)
    return _fitted(value, to)


def _fitted(value: Value, to: Integer) -> Value:
    """A number as another type has it; the text changes only where the number may."""
    low, high = value.bounds
    if to.bits == WORD:
        return replace(value, type=to, low=low, high=high)
    if low is not None and high is not None and to.low <= low and high <= to.high:
        return replace(value, type=to, low=low, high=high)
    return wrapped(value.text, to)


def wrapped(text: str, to: Integer) -> Value:
    """A number modulo the width of a type."""
    if to.bits == WORD:
        return Value(f"u64({text})", to)
    if to.signed:
        half = 1 << to.bits - 1
        return Value(f"((({text}) + {half:#x}) & {2 * half - 1:#x}) - {half:#x}", to)
    return Value(f"({text}) & {to.high:#x}", to)


def inverted(value: Value, of: Integer) -> Value:
    """`~value` of a value that has the type already."""
    if value.const is not None:
        return constant(of.pattern(~value.const), of)
    return Value(f"~({value.text})", of) if of.signed or of.bits == WORD else wrapped(f"~({value.text})", of)


def calculated(sign: str, a: Value, b: Value, of: Integer, place: Place) -> Value:
    """An arithmetic operation on values that have the type already (the right one of a shift need not).

    Signed overflow is undefined in C, and the kernel is compiled with -fwrapv; the text does not wrap it, so that a
    field that is too small, or arithmetic that leaves 64 bits, is seen.

    Raises:
        CSourceError: a division of what may be negative, which C and Python round differently; a shift to the right
            of an unsigned 64-bit value by a number that is not known.
    """
    if a.const is not None and b.const is not None and sign in CALCULATED:
        return constant(of.pattern(CALCULATED[sign](a.const, b.const)), of)
    special = {"/": _divided, "%": _divided, "&": _masked, ">>": _shifted}.get(sign)
    if special is not None:
        return special(sign, a, b, of, place)
    text = f"({a.text}) {sign} ({b.text})"
    between = _interval(sign, a, b)
    if between is not None and of.low <= between[0] and between[1] <= min(of.high, _MOST):
        return Value(text, of, low=between[0], high=between[1])
    if sign in ("|", "^") or (of.signed and of.bits >= INT.bits):
        return Value(text, of)
    return wrapped(text, of)


def _interval(sign: str, a: Value, b: Value) -> tuple[int, int] | None:
    """Between what a sum, difference or product lies; None if that is not known."""
    (low, high), (least, most) = a.bounds, b.bounds
    if sign not in ("+", "-", "*") or low is None or high is None or least is None or most is None:
        return None
    corners = [CALCULATED[sign](x, y) for x in (low, high) for y in (least, most)]
    return min(corners), max(corners)


def _divided(sign: str, a: Value, b: Value, of: Integer, place: Place) -> Value:
    if not a.is_natural or not b.is_natural or b.bounds[0] == 0:
        what = f"{a.text} {sign} {b.text}: one of them may be negative, or the divisor 0"
        raise refused(place, what, "use shifts and masks")
    text = f"({a.text}) {'//' if sign == '/' else sign} ({b.text})"
    high, most = a.bounds[1], b.bounds[1]
    if sign == "%" and most is not None:
        high = most - 1 if high is None else min(high, most - 1)
    return Value(text, of, low=0, high=high)


def _masked(sign: str, a: Value, b: Value, of: Integer, place: Place) -> Value:
    text = f"({a.text}) {sign} ({b.text})"
    masks = [one.const for one in (a, b) if one.const is not None and one.const >= 0]
    return Value(text, of, low=0, high=min(masks)) if masks else Value(text, of)


def _shifted(sign: str, a: Value, b: Value, of: Integer, place: Place) -> Value:
    """`a >> b`; an unsigned 64-bit value may be a negative bit pattern, whose sign must not be shifted in."""
    if of != U64 or a.is_natural:
        return Value(f"({a.text}) >> ({b.text})", of)
    if b.const is None or not 0 < b.const < WORD:
        what = f"{a.text} >> {b.text}: an unsigned 64-bit value by a number of bits that is not known"
        raise refused(place, what, "shift by a constant")
    most = (1 << WORD - b.const) - 1
    return Value(f"(({a.text}) >> {b.const}) & {most:#x}", of, low=0, high=most)


def compared(sign: str, a: Value, b: Value, of: Integer) -> Value:
    """A comparison of values that have the type already."""
    if a.const is not None and b.const is not None:
        return constant(int(COMPARED[sign](a.const, b.const)), BOOL)
    if of != U64 or sign in ("==", "!=") or (a.is_natural and b.is_natural):
        return truth(f"({a.text}) {sign} ({b.text})")
    swapped, negative = {"<": (False, False), ">": (True, False), ">=": (False, True), "<=": (True, True)}[sign]
    left, right = (b, a) if swapped else (a, b)
    less = f"{BELOW}({left.text}, {right.text})"
    return truth(f"not {less}" if negative else less)


BELOW: Final = "below"
"""The function of the text that compares unsigned 64-bit values."""
BELOW_TEXT: Final = f"def {BELOW}(a, b):\n    return (a < b) != ((a < 0) != (b < 0))\n"


def refused(place: Place, what: str, hint: str) -> CSourceError:
    """The error for a construct that has no translation."""
    return CSourceError(f"{place}: {what}", hint)
