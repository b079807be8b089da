"""What can be done to terms beyond sums: bits, widths, comparisons, choices; each brought into normal form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from foliolab.framework.verify.symbolic.masks import runs
from foliolab.framework.verify.symbolic.term import (
    ALL,
    AND,
    CONGRUENT,
    CONST,
    EQ,
    FALSE,
    INT,
    ITE,
    LE,
    LOW,
    NOT,
    OR,
    SHR,
    SUM,
    TRUE,
    VAR,
    WRAP,
    XOR,
    Term,
    add,
    as_sum,
    const,
    from_sum,
    make,
    mul,
    remembered,
    sub,
    times,
)

WORD: Final = 64


def _number(op: str, args: tuple[object, ...], lo: int, hi: int) -> Term:
    return const(lo) if lo == hi else make(op, args, lo, hi)


# -- truths ----------------------------------------------------------------------------------------------
def truth(value: bool) -> Term:
    """A constant truth."""
    return TRUE if value else FALSE


def not_(a: Term) -> Term:
    """Not a."""
    if a.value is not None:
        return truth(not a.value)
    return a.args[0] if a.op == NOT else make(NOT, (a,), 0, 1)


def all_(*terms: Term) -> Term:
    """All of them."""
    parts: dict[Term, None] = {}
    for term in terms:
        for part in term.args[0] if term.op == ALL else (term,):
            if part is FALSE or not_(part) in parts:
                return FALSE
            if part is not TRUE:
                parts[part] = None
    if len(parts) < 2:
        return next(iter(parts), TRUE)
    return make(ALL, (tuple(sorted(parts, key=lambda part: part.number)),), 0, 1)


def any_(*terms: Term) -> Term:
    """One of them or more."""
    return not_(all_(*(not_(term) for term in terms)))


def int_(a: Term) -> Term:
    """1 if true, 0 if not; numbers stay."""
    if not a.is_truth:
        return a
    if a.value is not None:
        return const(a.value)
    if a.op == NOT:
        return sub(const(1), int_(a.args[0]))
    if a.op == EQ and a.args[0].lo >= 0 and a.args[0].hi <= 1:
        return sub(const(1), a.args[0])
    return make(INT, (a,), 0, 1)


def bool_(a: Term) -> Term:
    """Whether a number is not 0; truths stay."""
    return a if a.is_truth else not_(eq(a, const(0)))


# -- comparisons -----------------------------------------------------------------------------------------
@remembered
def eq(a: Term, b: Term) -> Term:
    """a == b."""
    if a is b:
        return TRUE
    if a.hi < b.lo or b.hi < a.lo:
        return FALSE
    for one, other in ((a, b), (b, a)):
        if one.op == WRAP and other.op == WRAP and one.args[1:] == other.args[1:]:
            return congruent(sub(one.args[0], other.args[0]), one.args[1])
        if one.op == LOW and one.args[0].op == SUM and other.lo >= 0 and other.hi < 1 << one.args[1]:
            inner = other.args[0] if other.op == LOW and other.args[1] == one.args[1] else other
            return congruent(sub(one.args[0], inner), one.args[1])
        if one.op == WRAP and one.lo <= other.lo and other.hi <= one.hi:
            return congruent(sub(one.args[0], other), one.args[1])
        if one.op == ITE and other.value is not None:
            return choose(one.args[0], eq(one.args[1], other), eq(one.args[2], other))
    difference = _positive(sub(a, b))
    return _zero(difference)


def _positive(a: Term) -> Term:
    """a or -a, so that a == b and b == a are one term."""
    if a.op == SUM and a.args[1][0][1] < 0:
        return times(a, -1)
    return a


def _zero(a: Term) -> Term:
    if a.value is not None:
        return truth(a.value == 0)
    if a.lo > 0 or a.hi < 0:
        return FALSE
    if a.op == INT:
        return not_(a.args[0])
    if a.op == OR:
        return all_(_zero(a.args[0]), _zero(a.args[1]))
    if a.op == XOR:
        return eq(a.args[0], a.args[1])
    constant, products = as_sum(a)
    if len(products) == 1 and constant in (0, -1):
        ((monomial, factor),) = products.items()
        if factor == 1 and len(monomial) == 1 and monomial[0].op == INT:
            return not_(monomial[0].args[0]) if constant == 0 else monomial[0].args[0]
        if constant == 0 and abs(factor) != 1:
            return _zero(from_sum(0, {monomial: 1}))
    return make(EQ, (a,), 0, 1)


def congruent(a: Term, bits: int) -> Term:
    """Whether a is a multiple of 2^bits."""
    a = modulo(a, bits)
    if a.value is not None:
        return truth(a.value % (1 << bits) == 0)
    if -(1 << bits) < a.lo and a.hi < 1 << bits:
        return _zero(_positive(a))
    return make(CONGRUENT, (_positive(a), bits), 0, 1)


@remembered
def le(a: Term, b: Term) -> Term:
    """a <= b."""
    if a.hi <= b.lo:
        return TRUE
    if a.lo > b.hi:
        return FALSE
    for one, other, swapped in ((a, b, False), (b, a, True)):
        if one.op == ITE and other.value is not None:
            sides = ((le(other, side) if swapped else le(side, other)) for side in one.args[1:])
            return choose(one.args[0], *sides)
    difference = sub(a, b)
    if difference.hi <= 0:
        return TRUE
    if difference.lo > 0:
        return FALSE
    return make(LE, (difference,), 0, 1)


def lt(a: Term, b: Term) -> Term:
    """a < b."""
    return le(add(a, const(1)), b)


# -- bits and widths -------------------------------------------------------------------------------------
def _divided(a: Term, bits: int) -> tuple[Term, Term]:
    """(multiple, rest): a is multiple * 2^bits + rest, by the factors of its products alone."""
    unit = 1 << bits
    constant, products = as_sum(a)
    whole = {monomial: factor // unit for monomial, factor in products.items() if factor % unit == 0}
    part = {monomial: factor for monomial, factor in products.items() if factor % unit}
    return from_sum(constant // unit, whole), from_sum(constant % unit, part)


def modulo(a: Term, bits: int) -> Term:
    """Something congruent to a modulo 2^bits, without what is a multiple of that."""
    constant, products = as_sum(a)
    result = const(_signed(constant, bits))
    plain: dict[tuple[Term, ...], int] = {}
    for monomial, given in products.items():
        factor = _signed(given, bits)
        inner = next((atom for atom in monomial if atom.op in (WRAP, LOW) and atom.args[1] >= bits), None)
        if factor and inner is not None:
            others = list(monomial)
            others.remove(inner)
            rest = from_sum(0, {tuple(others): factor}) if others else const(factor)
            result = add(result, modulo(mul(inner.args[0], rest), bits))
        else:
            plain[monomial] = factor
    whole = add(result, from_sum(0, plain))
    constant, products = as_sum(whole)
    return from_sum(_signed(constant, bits), {one: _signed(factor, bits) for one, factor in products.items()})


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


@remembered
def wrap(a: Term, bits: int, signed: bool = True) -> Term:
    """a as a field of that width holds it."""
    lo = -(1 << (bits - 1)) if signed else 0
    hi = lo + (1 << bits) - 1
    if lo <= a.lo and a.hi <= hi:
        return a
    if a.op == ITE:
        return choose(a.args[0], wrap(a.args[1], bits, signed), wrap(a.args[2], bits, signed))
    inner = modulo(a, bits)
    if lo <= inner.lo and inner.hi <= hi:
        return inner
    if inner.op == ITE:
        return wrap(inner, bits, signed)
    return _number(WRAP, (inner, bits, signed), lo, hi)


@remembered
def low(a: Term, bits: int) -> Term:
    """a modulo 2^bits, 0 or more."""
    if bits <= 0:
        return const(0)
    top = (1 << bits) - 1
    if a.lo >= 0 and a.hi <= top:
        return a
    if a.op in EACH:
        return EACH[a.op](*(one if one.is_truth else low(one, bits) for one in a.args))
    if a.op == LOW and a.args[1] >= bits:
        return low(a.args[0], bits)
    if a.op == SHR and a.args[0].op == WRAP and a.args[1] + bits <= a.args[0].args[1]:
        return low(shr(low(a.args[0].args[0], a.args[0].args[1]), a.args[1]), bits)
    for one in (a, modulo(a, bits)):
        _, rest = _divided(one, bits)
        if rest.lo >= 0 and rest.hi <= top:
            return rest
    for at in _seams(a, bits):
        multiple, below = _divided(a, at)
        if below.lo >= 0 and below.hi < 1 << at:
            return add(times(low(multiple, bits - at), 1 << at), below)
    constant, products = as_sum(rest)
    rest = from_sum(constant, {monomial: factor & top for monomial, factor in products.items()})
    return low(rest, bits) if rest.op != SUM and rest is not a else _number(LOW, (rest, bits), 0, top)


def _seams(a: Term, bits: int) -> list[int]:
    """Bit numbers below `bits` at which a sum may fall into a multiple and a rest, the highest first."""
    _, products = as_sum(a)
    zeros = {(factor & -factor).bit_length() - 1 for factor in products.values()}
    return sorted((at for at in zeros if 0 < at < bits), reverse=True)


@remembered
def shr(a: Term, bits: int) -> Term:
    """a divided by 2^bits, rounded down."""
    if bits <= 0:
        return times(a, 1 << -bits)
    if a.value is not None:
        return const(a.value >> bits)
    if a.lo >> bits == a.hi >> bits:
        return const(a.lo >> bits)
    if a.op in EACH:
        return EACH[a.op](*(one if one.is_truth else shr(one, bits) for one in a.args))
    if a.op == SHR:
        return shr(a.args[0], a.args[1] + bits)
    if a.op == LOW:
        return low(shr(a.args[0], bits), a.args[1] - bits)
    multiple, rest = _divided(a, bits)
    if rest.lo >= 0 and rest.hi < 1 << bits:
        return multiple
    if multiple.value != 0:
        return add(multiple, shr(rest, bits))
    for at in _seams(a, bits):
        above, below = _divided(a, at)
        if below.lo >= 0 and below.hi < 1 << at:
            return shr(above, bits - at)
    if rest.op != SUM and rest is not a:
        return shr(rest, bits)
    return _number(SHR, (rest, bits), rest.lo >> bits, rest.hi >> bits)


def bit(a: Term, number: int) -> Term:
    """One bit of a, 0 or 1."""
    return low(shr(a, number), 1)


def and_(a: Term, b: Term) -> Term:
    """a & b."""
    if a.is_truth and b.is_truth:
        return all_(a, b)
    a, b = int_(a), int_(b)
    if a.value is not None:
        a, b = b, a
    mask = b.value
    if mask is not None:
        if mask < 0:
            top = (~mask).bit_length()
            return add(times(shr(a, top), 1 << top), and_(a, const(mask & ((1 << top) - 1))))
        return add(const(0), *(times(low(shr(a, at), length), 1 << at) for at, length in runs(mask)))
    if _is_bit(a) and _is_bit(b):
        return mul(a, b)
    if a.lo < 0 or b.lo < 0:
        return _number(AND, (a, b), *_signed_reach(a, b))
    return _number(AND, (a, b), 0, min(a.hi, b.hi))


def _is_bit(a: Term) -> bool:
    return a.lo >= 0 and a.hi <= 1


def _signed_reach(a: Term, b: Term) -> tuple[int, int]:
    width = max(abs(end).bit_length() for end in (a.lo, a.hi, b.lo, b.hi))
    return -(1 << width), (1 << width) - 1


def _zeros(a: Term) -> int:
    """How many of a number's lowest bits are always 0."""
    constant, products = as_sum(a)
    every = constant
    for factor in products.values():
        every |= factor
    return (every & -every).bit_length() - 1 if every else 0


def _disjoint(a: Term, b: Term) -> bool:
    """Whether b has bits only where those of a, all multiples of something, are none."""
    return b.lo >= 0 and b.hi < 1 << _zeros(a)


@remembered
def or_(a: Term, b: Term) -> Term:
    """a | b."""
    if a.is_truth and b.is_truth:
        return any_(a, b)
    a, b = int_(a), int_(b)
    if a.value is not None:
        a, b = b, a
    if b.value is not None:
        return add(b, and_(a, const(~b.value))) if b.value else a
    if _disjoint(a, b) or _disjoint(b, a):
        return add(a, b)
    if _is_bit(a) and _is_bit(b):
        return sub(add(a, b), mul(a, b))
    for one, other in ((a, b), (b, a)):
        at = _zeros(other)
        above, below = _divided(one, at)
        if at and below.lo >= 0 and below.hi < 1 << at:
            return add(times(or_(above, shr(other, at)), 1 << at), below)
    if a is b:
        return a
    for one, other in ((a, b), (b, a)):
        if one.op == ITE and any(side.value is not None for side in one.args[1:]):
            return choose(one.args[0], *(or_(side, other) for side in one.args[1:]))
    return _number(OR, (a, b), *_signed_reach(a, b))


def xor_(a: Term, b: Term) -> Term:
    """a ^ b."""
    if a is b:
        return FALSE if a.is_truth else const(0)
    a, b = int_(a), int_(b)
    if a.value is not None:
        a, b = b, a
    if b.value is not None:
        if b.value < 0:
            return sub(const(-1), xor_(a, const(~b.value)))
        return sub(add(a, b), times(and_(a, b), 2)) if b.value else a
    if _is_bit(a) and _is_bit(b):
        return sub(add(a, b), times(mul(a, b), 2))
    first, second = sorted((a, b), key=lambda one: one.number)
    return _number(XOR, (first, second), *_signed_reach(a, b))


# -- choices ---------------------------------------------------------------------------------------------
@remembered
def choose(condition: Term, a: Term, b: Term) -> Term:
    """a if the condition holds, else b."""
    if condition.value is not None:
        return a if condition.value else b
    if a is b:
        return a
    if condition.op == NOT:
        return choose(condition.args[0], b, a)
    if a.is_truth and b.is_truth:
        return not_(all_(not_(all_(condition, a)), not_(all_(not_(condition), b))))
    a, b = int_(a), int_(b)
    if a.op == ITE and a.args[0] is condition:
        a = a.args[1]
    if b.op == ITE and b.args[0] is condition:
        b = b.args[2]
    if a is b or assume(b, condition) is a:
        return b
    if a.value is not None and b.value is not None and abs(a.value - b.value) == 1:
        return add(b, times(int_(condition), a.value - b.value))
    return _number(ITE, (condition, a, b), min(a.lo, b.lo), max(a.hi, b.hi))


EACH: Final[dict[str, Callable[..., Term]]] = {ITE: choose, AND: and_, OR: or_, XOR: xor_}
"""What is done to each bit of some numbers by itself."""


def assume(a: Term, condition: Term) -> Term:
    """a where the condition holds: bits that it says are 0 become 0."""
    if condition.op == EQ and condition.args[0].op in (VAR, LOW, SHR):
        name, at, width = _field(condition.args[0])
        if name is not None:

            def vanish(part: Term) -> Term | None:
                other, start, length = _field(part)
                inside = other is name and at <= start and start + length <= at + width
                return const(0) if inside else None

            return substitute(a, vanish)
    return a


def _field(a: Term) -> tuple[Term | None, int, int]:
    """(variable, lowest bit, how many) if a is a range of a variable's bits."""
    width = 1 << 30
    at = 0
    if a.op == LOW:
        width, a = a.args[1], a.args[0]
    if a.op == SHR:
        at, a = a.args[1], a.args[0]
    if a.op != VAR or a.lo < 0:
        return None, 0, 0
    return a, at, min(width, max(a.hi.bit_length() - at, 0))


def substitute(a: Term, change: Callable[[Term], Term | None]) -> Term:
    """A term with parts exchanged: `change` gives what stands for a part, None for no change."""
    done: dict[Term, Term] = {}

    def visit(term: Term) -> Term:
        found = done.get(term)
        if found is None:
            changed = change(term)
            found = done[term] = _rebuilt(term, visit) if changed is None else changed
        return found

    return visit(a)


def _rebuilt(term: Term, visit: Callable[[Term], Term]) -> Term:
    op, args = term.op, term.args
    if op == SUM:
        products: Term = const(args[0])
        for monomial, factor in args[1]:
            one = const(factor)
            for atom in monomial:
                one = mul(one, visit(atom))
            products = add(products, one)
        return products
    if op in (CONST, VAR) or term.value is not None:
        return term
    if op == ALL:
        return all_(*(visit(part) for part in args[0]))
    parts = [visit(arg) if isinstance(arg, Term) else arg for arg in args]
    return _BUILDERS[op](*parts)


_BUILDERS: Final[dict[str, Callable[..., Term]]] = {
    ITE: choose,
    LOW: low,
    SHR: shr,
    WRAP: wrap,
    AND: and_,
    OR: or_,
    XOR: xor_,
    INT: int_,
    NOT: not_,
    EQ: lambda a: eq(a, const(0)),
    LE: lambda a: le(a, const(0)),
    CONGRUENT: congruent,
}
