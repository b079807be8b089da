"""The value of a term for given variables, computed by Python alone: what the tests hold terms against."""

from math import prod

from foliolab.framework.verify.symbolic import term as t


def value(one, values):
    """A term's value; variables by name."""
    done: dict[t.Term, int] = {}
    for part in t.subterms([one]):
        done[part] = _value(part, values, done)
    return done[one]


def _value(part, values, done):
    op, args = part.op, part.args
    if op == t.Op.VAR:
        return values[args[0]]
    if op in (t.Op.CONST, t.Op.TRUTH):
        return int(args[0])
    if op in (t.Op.SUM, t.Op.ITE, t.Op.ALL):
        return _of_many(op, args, done)
    x = done[args[0]]
    simple = {
        t.Op.WRAP: lambda: _wrapped(x, args[1], args[2]),
        t.Op.LOW: lambda: x % (1 << args[1]),
        t.Op.SHR: lambda: x >> args[1],
        t.Op.CONGRUENT: lambda: int(x % (1 << args[1]) == 0),
        t.Op.INT: lambda: x,
        t.Op.NOT: lambda: 1 - x,
        t.Op.EQ: lambda: int(x == 0),
        t.Op.LE: lambda: int(x <= 0),
        t.Op.AND: lambda: x & done[args[1]],
        t.Op.OR: lambda: x | done[args[1]],
        t.Op.XOR: lambda: x ^ done[args[1]],
    }
    return simple[op]()


def _of_many(op, args, done):
    if op == t.Op.SUM:
        return args[0] + sum(factor * prod(done[atom] for atom in monomial) for monomial, factor in args[1])
    if op == t.Op.ITE:
        return done[args[1] if done[args[0]] else args[2]]
    return int(all(done[one] for one in args[0]))


def _wrapped(x, bits, signed):
    x %= 1 << bits
    return x - (1 << bits) if signed and x >> (bits - 1) else x
