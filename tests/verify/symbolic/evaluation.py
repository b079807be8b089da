"""The value of a term for given variables, computed by Python alone: what the tests hold terms against."""

from foliolab.framework.verify.symbolic import term as t


def value(one, values):
    """A term's value; variables by name."""
    done = {}
    for part in t.everything([one]):
        done[part] = _value(part, values, done)
    return done[one]


def _value(part, values, done):
    op, args = part.op, part.args
    if op in (t.CONST, t.TRUTH):
        return int(args[0])
    if op == t.VAR:
        return values[args[0]]
    if op == t.SUM:
        total = args[0]
        for monomial, factor in args[1]:
            for atom in monomial:
                factor *= done[atom]
            total += factor
        return total
    if op == t.ITE:
        return done[args[1] if done[args[0]] else args[2]]
    if op == t.ALL:
        return int(all(done[one] for one in args[0]))
    x = done[args[0]]
    if op == t.WRAP:
        x %= 1 << args[1]
        return x - (1 << args[1]) if args[2] and x >> (args[1] - 1) else x
    simple = {
        t.LOW: lambda: x % (1 << args[1]),
        t.SHR: lambda: x >> args[1],
        t.CONGRUENT: lambda: int(x % (1 << args[1]) == 0),
        t.INT: lambda: x,
        t.NOT: lambda: 1 - x,
        t.EQ: lambda: int(x == 0),
        t.LE: lambda: int(x <= 0),
        t.AND: lambda: x & done[args[1]],
        t.OR: lambda: x | done[args[1]],
        t.XOR: lambda: x ^ done[args[1]],
    }
    return simple[op]()
