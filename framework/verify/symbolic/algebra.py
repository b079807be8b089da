"""Operations on terms in normal form: Booleans, comparisons, bits, widths, if-then-else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from foliolab.framework.verify.symbolic.term import (
    FALSE,
    TRUE,
    Op,
    Term,
    add,
    as_sum,
    const,
    from_sum,
    make,
    memoized,
    mul,
    sub,
    times,
)

WORD: Final = 64


def _number(op: str, args: tuple[object, ...], lo: int, hi: int) -> Term:
    return const(lo) if lo == hi else make(op, args, lo, hi)


# -- Booleans --------------------------------------------------------------------------------------------
def truth(value: bool) -> Term:
    """TRUE or FALSE."""
    return TRUE if value else FALSE


def not_(a: Term) -> Term:
    """The negation of a Boolean."""
    if a.value is not None:
        return truth(not a.value)
    return a.args[0] if a.op == Op.NOT else make(Op.NOT, (a,), 0, 1)


def all_(*terms: Term) -> Term:
    """The conjunction; true without operands."""
    parts: dict[Term, None] = {}
    for term in terms:
        for part in term.args[0] if term.op == Op.ALL else (term,):
            if part is FALSE or not_(part) in parts:
                return FALSE
            if part is not TRUE:
                parts[part] = None
    if len(parts) < 2:
        return next(iter(parts), TRUE)
    return make(Op.ALL, (tuple(sorted(parts, key=lambda part: part.number)),), 0, 1)


def any_(*terms: Term) -> Term:
    """The disjunction; false without operands."""
    return not_(all_(*(not_(term) for term in terms)))


def int_(a: Term) -> Term:
    """A Boolean as 0 or 1; an integer stays."""
    if not a.is_truth:
        return a
    if a.value is not None:
        return const(a.value)
    if a.op == Op.NOT:
        return sub(const(1), int_(a.args[0]))
    if a.op == Op.EQ and a.args[0].lo >= 0 and a.args[0].hi <= 1:
        return sub(const(1), a.args[0])
    return make(Op.INT, (a,), 0, 1)


def bool_(a: Term) -> Term:
    """Whether an integer is not 0; a Boolean stays."""
    return a if a.is_truth else not_(eq(a, const(0)))


# -- comparisons -----------------------------------------------------------------------------------------
@memoized
def eq(a: Term, b: Term) -> Term:
    """Make the term that two integers are equal; decided by intervals and congruences where possible."""
    if a is b:
        return TRUE
    if a.hi < b.lo or b.hi < a.lo:
        return FALSE
    for x, y in ((a, b), (b, a)):
        if x.op == Op.WRAP and y.op == Op.WRAP and x.args[1:] == y.args[1:]:
            return congruent(sub(x.args[0], y.args[0]), x.args[1])
        if x.op == Op.LOW and x.args[0].op == Op.SUM and y.lo >= 0 and y.hi < 1 << x.args[1]:
            inner = y.args[0] if y.op == Op.LOW and y.args[1] == x.args[1] else y
            return congruent(sub(x.args[0], inner), x.args[1])
        if x.op == Op.WRAP and x.lo <= y.lo and y.hi <= x.hi:
            return congruent(sub(x.args[0], y), x.args[1])
        if x.op == Op.ITE and y.value is not None:
            return choose(x.args[0], eq(x.args[1], y), eq(x.args[2], y))
    return _zero(_positive(sub(a, b)))


def _positive(a: Term) -> Term:
    """a or -a, so that a == b and b == a give the same term."""
    if a.op == Op.SUM and a.args[1][0][1] < 0:
        return times(a, -1)
    return a


def _zero(a: Term) -> Term:
    """Make the term that an integer is 0."""
    if a.value is not None:
        return truth(a.value == 0)
    if a.lo > 0 or a.hi < 0:
        return FALSE
    if a.op == Op.INT:
        return not_(a.args[0])
    if a.op == Op.OR:
        return all_(_zero(a.args[0]), _zero(a.args[1]))
    if a.op == Op.XOR:
        return eq(a.args[0], a.args[1])
    constant, products = as_sum(a)
    if len(products) == 1 and constant in (0, -1):
        ((monomial, factor),) = products.items()
        if factor == 1 and len(monomial) == 1 and monomial[0].op == Op.INT:
            return not_(monomial[0].args[0]) if constant == 0 else monomial[0].args[0]
        if constant == 0 and abs(factor) != 1:
            return _zero(from_sum(0, {monomial: 1}))
    return make(Op.EQ, (a,), 0, 1)


def congruent(a: Term, bits: int) -> Term:
    """Whether a is a multiple of 2^bits."""
    a = modulo(a, bits)
    if a.value is not None:
        return truth(a.value % (1 << bits) == 0)
    if -(1 << bits) < a.lo and a.hi < 1 << bits:
        return _zero(_positive(a))
    return make(Op.CONGRUENT, (_positive(a), bits), 0, 1)


@memoized
def le(a: Term, b: Term) -> Term:
    """Make the term that an integer is at most another."""
    if a.hi <= b.lo:
        return TRUE
    if a.lo > b.hi:
        return FALSE
    if a.op == Op.ITE and b.value is not None:
        return choose(a.args[0], *(le(side, b) for side in a.args[1:]))
    if b.op == Op.ITE and a.value is not None:
        return choose(b.args[0], *(le(a, side) for side in b.args[1:]))
    difference = sub(a, b)
    if difference.hi <= 0:
        return TRUE
    if difference.lo > 0:
        return FALSE
    return make(Op.LE, (difference,), 0, 1)


def lt(a: Term, b: Term) -> Term:
    """Make the term that an integer is less than another."""
    return le(add(a, const(1)), b)


# -- bits and widths -------------------------------------------------------------------------------------
def _divided(a: Term, bits: int) -> tuple[Term, Term]:
    """(multiple, rest) with a = multiple * 2^bits + rest, by the factors of the products alone."""
    unit = 1 << bits
    constant, products = as_sum(a)
    whole = {monomial: factor // unit for monomial, factor in products.items() if factor % unit == 0}
    part = {monomial: factor for monomial, factor in products.items() if factor % unit}
    return from_sum(constant // unit, whole), from_sum(constant % unit, part)


def modulo(a: Term, bits: int) -> Term:
    """A term that is congruent to a modulo 2^bits, without multiples of 2^bits and without wider wraps inside."""
    constant, products = as_sum(a)
    result = const(_signed(constant, bits))
    plain: dict[tuple[Term, ...], int] = {}
    for monomial, given in products.items():
        factor = _signed(given, bits)
        inner = next((atom for atom in monomial if atom.op in (Op.WRAP, Op.LOW) and atom.args[1] >= bits), None)
        if factor and inner is not None:
            others = list(monomial)
            others.remove(inner)
            rest = from_sum(0, {tuple(others): factor}) if others else const(factor)
            result = add(result, modulo(mul(inner.args[0], rest), bits))
        else:
            plain[monomial] = factor
    whole = add(result, from_sum(0, plain))
    constant, products = as_sum(whole)
    return from_sum(_signed(constant, bits), {monomial: _signed(factor, bits) for monomial, factor in products.items()})


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


@memoized
def wrap(a: Term, bits: int, signed: bool = True) -> Term:
    """a as a field of this width holds it."""
    lo = -(1 << (bits - 1)) if signed else 0
    hi = lo + (1 << bits) - 1
    if lo <= a.lo and a.hi <= hi:
        return a
    if a.op == Op.ITE:
        return choose(a.args[0], wrap(a.args[1], bits, signed), wrap(a.args[2], bits, signed))
    inner = modulo(a, bits)
    if lo <= inner.lo and inner.hi <= hi:
        return inner
    if inner.op == Op.ITE:
        return wrap(inner, bits, signed)
    return _number(Op.WRAP, (inner, bits, signed), lo, hi)


@memoized
def low(a: Term, bits: int) -> Term:
    """a modulo 2^bits, 0 or more."""
    if bits <= 0:
        return const(0)
    top = (1 << bits) - 1
    if a.lo >= 0 and a.hi <= top:
        return a
    if a.op in BITWISE:
        return BITWISE[a.op](*(arg if arg.is_truth else low(arg, bits) for arg in a.args))
    if a.op == Op.LOW and a.args[1] >= bits:
        return low(a.args[0], bits)
    if a.op == Op.SHR and a.args[0].op == Op.WRAP and a.args[1] + bits <= a.args[0].args[1]:
        return low(shr(low(a.args[0].args[0], a.args[0].args[1]), a.args[1]), bits)
    for equal in (a, modulo(a, bits)):
        _, rest = _divided(equal, bits)
        if rest.lo >= 0 and rest.hi <= top:
            return rest
    for at in _splits(a, bits):
        multiple, below = _divided(a, at)
        if below.lo >= 0 and below.hi < 1 << at:
            return add(times(low(multiple, bits - at), 1 << at), below)
    constant, products = as_sum(rest)
    rest = from_sum(constant, {monomial: factor & top for monomial, factor in products.items()})
    return low(rest, bits) if rest.op != Op.SUM and rest is not a else _number(Op.LOW, (rest, bits), 0, top)


def _splits(a: Term, bits: int) -> list[int]:
    """Bit numbers below `bits` at which a sum may split into a multiple and a rest, the highest first."""
    _, products = as_sum(a)
    zeros = {(factor & -factor).bit_length() - 1 for factor in products.values()}
    return sorted((at for at in zeros if 0 < at < bits), reverse=True)


@memoized
def shr(a: Term, bits: int) -> Term:
    """a divided by 2^bits, rounded down."""
    if bits <= 0:
        return times(a, 1 << -bits)
    if a.value is not None:
        return const(a.value >> bits)
    if a.lo >> bits == a.hi >> bits:
        return const(a.lo >> bits)
    if a.op in BITWISE:
        return BITWISE[a.op](*(arg if arg.is_truth else shr(arg, bits) for arg in a.args))
    if a.op == Op.SHR:
        return shr(a.args[0], a.args[1] + bits)
    if a.op == Op.LOW:
        return low(shr(a.args[0], bits), a.args[1] - bits)
    multiple, rest = _divided(a, bits)
    if rest.lo >= 0 and rest.hi < 1 << bits:
        return multiple
    if multiple.value != 0:
        return add(multiple, shr(rest, bits))
    for at in _splits(a, bits):
        above, below = _divided(a, at)
        if below.lo >= 0 and below.hi < 1 << at:
            return shr(above, bits - at)
    if rest.op != Op.SUM and rest is not a:
        return shr(rest, bits)
    return _number(Op.SHR, (rest, bits), rest.lo >> bits, rest.hi >> bits)


def bit(a: Term, number: int) -> Term:
    """A bit of a, as 0 or 1."""
    return low(shr(a, number), 1)


def and_(a: Term, b: Term) -> Term:
    """a & b: bitwise for integers, logical for Booleans."""
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
        return add(*(times(low(shr(a, at), length), 1 << at) for at, length in _runs(mask)))
    if a.is_bit and b.is_bit:
        return mul(a, b)
    if a.lo < 0 or b.lo < 0:
        return _number(Op.AND, (a, b), *_signed_interval(a, b))
    return _number(Op.AND, (a, b), 0, min(a.hi, b.hi))


def _runs(mask: int) -> Iterator[tuple[int, int]]:
    """The runs of ones in a mask: (lowest bit, length)."""
    while mask:
        at = (mask & -mask).bit_length() - 1
        ones = mask >> at
        length = (~ones & (ones + 1)).bit_length() - 1
        yield at, length
        mask &= -1 << (at + length)


def _signed_interval(a: Term, b: Term) -> tuple[int, int]:
    width = max(abs(end).bit_length() for end in (a.lo, a.hi, b.lo, b.hi))
    return -(1 << width), (1 << width) - 1


def _zeros(a: Term) -> int:
    """The number of lowest bits that are always 0."""
    constant, products = as_sum(a)
    every = constant
    for factor in products.values():
        every |= factor
    return (every & -every).bit_length() - 1 if every else 0


def _disjoint(a: Term, b: Term) -> bool:
    """Whether all bits of b are among the lowest bits of a that are always 0."""
    return b.lo >= 0 and b.hi < 1 << _zeros(a)


@memoized
def or_(a: Term, b: Term) -> Term:
    """a | b: bitwise for integers, logical for Booleans."""
    if a.is_truth and b.is_truth:
        return any_(a, b)
    a, b = int_(a), int_(b)
    if a.value is not None:
        a, b = b, a
    if b.value is not None:
        return add(b, and_(a, const(~b.value))) if b.value else a
    if _disjoint(a, b) or _disjoint(b, a):
        return add(a, b)
    if a.is_bit and b.is_bit:
        return sub(add(a, b), mul(a, b))
    for x, y in ((a, b), (b, a)):
        at = _zeros(y)
        above, below = _divided(x, at)
        if at and below.lo >= 0 and below.hi < 1 << at:
            return add(times(or_(above, shr(y, at)), 1 << at), below)
    if a is b:
        return a
    for x, y in ((a, b), (b, a)):
        if x.op == Op.ITE and any(side.value is not None for side in x.args[1:]):
            return choose(x.args[0], *(or_(side, y) for side in x.args[1:]))
    return _number(Op.OR, (a, b), *_signed_interval(a, b))


def xor_(a: Term, b: Term) -> Term:
    """Make the bitwise exclusive-or of two integers."""
    if a is b:
        return FALSE if a.is_truth else const(0)
    a, b = int_(a), int_(b)
    if a.value is not None:
        a, b = b, a
    if b.value is not None:
        if b.value < 0:
            return sub(const(-1), xor_(a, const(~b.value)))
        return sub(add(a, b), times(and_(a, b), 2)) if b.value else a
    if a.is_bit and b.is_bit:
        return sub(add(a, b), times(mul(a, b), 2))
    first, second = sorted((a, b), key=lambda term: term.number)
    return _number(Op.XOR, (first, second), *_signed_interval(a, b))


# -- if-then-else ------------------------------------------------------------------------------------------
@memoized
def choose(condition: Term, a: Term, b: Term) -> Term:
    """a if the condition holds, else b."""
    if condition.value is not None:
        return a if condition.value else b
    if a is b:
        return a
    if condition.op == Op.NOT:
        return choose(condition.args[0], b, a)
    if a.is_truth and b.is_truth:
        return not_(all_(not_(all_(condition, a)), not_(all_(not_(condition), b))))
    a, b = int_(a), int_(b)
    if a.op == Op.ITE and a.args[0] is condition:
        a = a.args[1]
    if b.op == Op.ITE and b.args[0] is condition:
        b = b.args[2]
    if a is b or assume(b, condition) is a:
        return b
    if a.value is not None and b.value is not None and abs(a.value - b.value) == 1:
        return add(b, times(int_(condition), a.value - b.value))
    return _number(Op.ITE, (condition, a, b), min(a.lo, b.lo), max(a.hi, b.hi))


BITWISE: Final[dict[str, Callable[..., Term]]] = {Op.ITE: choose, Op.AND: and_, Op.OR: or_, Op.XOR: xor_}
"""Operations that treat each bit by itself."""


def assume(a: Term, condition: Term) -> Term:
    """a where the condition holds: if it says that some bits of a variable are 0, these bits become 0 in a."""
    zero = bit_range(condition.args[0]) if condition.op == Op.EQ else None
    if zero is None:
        return a
    variable, start, width = zero

    def vanish(part: Term) -> Term | None:
        found = bit_range(part)
        inside = found is not None and found[0] is variable and start <= found[1] <= sum(found[1:]) <= start + width
        return const(0) if inside else None

    return substitute(a, vanish)


def bit_range(a: Term) -> tuple[Term, int, int] | None:
    """(variable, lowest bit, number of bits) if a is a range of the bits of a variable that is not negative."""
    at, width = 0, 1 << 30
    if a.op == Op.LOW:
        width, a = a.args[1], a.args[0]
    if a.op == Op.SHR:
        at, a = a.args[1], a.args[0]
    if a.op != Op.VAR or a.lo < 0:
        return None
    return a, at, min(width, max(a.hi.bit_length() - at, 0))


def substitute(a: Term, change: Callable[[Term], Term | None]) -> Term:
    """A term with subterms replaced: `change` returns the replacement of a subterm, or None."""
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
    if op == Op.SUM:
        products: Term = const(args[0])
        for monomial, factor in args[1]:
            product = const(factor)
            for atom in monomial:
                product = mul(product, visit(atom))
            products = add(products, product)
        return products
    if op in (Op.CONST, Op.VAR) or term.value is not None:
        return term
    if op == Op.ALL:
        return all_(*(visit(part) for part in args[0]))
    parts = [visit(arg) if isinstance(arg, Term) else arg for arg in args]
    return _BUILDERS[op](*parts)


_BUILDERS: Final[dict[str, Callable[..., Term]]] = {
    Op.ITE: choose,
    Op.LOW: low,
    Op.SHR: shr,
    Op.WRAP: wrap,
    Op.AND: and_,
    Op.OR: or_,
    Op.XOR: xor_,
    Op.INT: int_,
    Op.NOT: not_,
    Op.EQ: lambda a: eq(a, const(0)),
    Op.LE: lambda a: le(a, const(0)),
    Op.CONGRUENT: congruent,
}
