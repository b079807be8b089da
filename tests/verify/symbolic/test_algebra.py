"""Terms against plain integers: whatever normal form does to them, their value and interval stay right."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.verify.symbolic import algebra as a
from foliolab.framework.verify.symbolic import term as t
from foliolab.framework.verify.symbolic.diophantine import TooMany, solutions
from foliolab.framework.verify.symbolic.number import Number, Table, lift, term_of
from foliolab.framework.verify.symbolic.paths import Paths

_spec = importlib.util.spec_from_file_location("symbolic_evaluation", Path(__file__).with_name("evaluation.py"))
assert _spec is not None and _spec.loader is not None
evaluation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(evaluation)

NAMES = {"x": (0, 255), "y": (-40, 40), "z": (1, (1 << 24) - 1), "b": (0, 1)}
TWO: dict[str, Any] = {
    "add": (t.add, lambda x, y: x + y),
    "sub": (t.sub, lambda x, y: x - y),
    "mul": (t.mul, lambda x, y: x * y),
    "and": (a.and_, lambda x, y: x & y),
    "or": (a.or_, lambda x, y: x | y),
    "xor": (a.xor_, lambda x, y: x ^ y),
    "eq": (lambda x, y: a.int_(a.eq(x, y)), lambda x, y: int(x == y)),
    "le": (lambda x, y: a.int_(a.le(x, y)), lambda x, y: int(x <= y)),
    "if": (lambda x, y: a.choose(a.le(x, y), x, t.add(y, y)), lambda x, y: x if x <= y else y + y),
}


def signed(value, bits):
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


ONE: dict[str, Any] = {
    "low": (a.low, lambda x, k: x % (1 << k)),
    "shr": (a.shr, lambda x, k: x >> k),
    "wrap": (a.wrap, signed),
    "unsigned": (lambda x, k: a.wrap(x, k, False), lambda x, k: x % (1 << k)),
    "mask": (lambda x, k: a.and_(x, t.const(~(5 << k))), lambda x, k: x & ~(5 << k)),
    "shift": (lambda x, k: a.shr(x, -k), lambda x, k: x << k),
    "congruent": (lambda x, k: a.int_(a.congruent(x, k)), lambda x, k: int(x % (1 << k) == 0)),
}
LEAVES = st.sampled_from(sorted(NAMES)) | st.integers(-300, 300)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.tuples(st.sampled_from(sorted(TWO)), inner, inner)
        | st.tuples(st.sampled_from(sorted(ONE)), inner, st.integers(1, 12))
    ),
    max_leaves=12,
)


def both(expression, values):
    """(term, value) of an expression."""
    if isinstance(expression, int):
        return t.const(expression), expression
    if isinstance(expression, str):
        return t.var(expression, *NAMES[expression]), values[expression]
    name, left, right = expression
    x, mine = both(left, values)
    if name in ONE:
        build, plain = ONE[name]
        return build(x, right), plain(mine, right)
    y, other = both(right, values)
    build, plain = TWO[name]
    return build(x, y), plain(mine, other)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, st.fixed_dictionaries({name: st.integers(*ends) for name, ends in NAMES.items()}))
def test_a_term_has_the_value_that_integers_give(expression, values):
    term, expected = both(expression, values)
    assert evaluation.value(term, values) == expected
    assert term.lo <= expected <= term.hi


def test_a_table_is_its_polynomial():
    paths = Paths(lambda: False)
    table = Table([7, -3, 1 << 40, 5, 0, 0, 9, 11])
    found = table[Number(t.var("d", 0, 7), paths)]
    assert [evaluation.value(term_of(found), {"d": d}) for d in range(8)] == list(table)


def test_what_is_equal_by_the_laws_of_a_ring_is_one_term():
    x, y = t.var("x", 0, 9), t.var("y", 0, 9)
    assert t.mul(t.add(x, y), t.sub(x, y)) is t.sub(t.mul(x, x), t.mul(y, y))
    inner = a.wrap(t.times(x, 1 << 63), 64)
    assert a.wrap(t.add(inner, y), 64) is a.wrap(t.add(t.times(x, 1 << 63), y), 64)


def test_shared_parts_of_choices_are_visited_once():
    value = t.var("x", 0, 1 << 20)
    for i in range(60):  # without memory this is 2^60 visits
        flag = a.eq(t.var(f"flag{i}", 0, 1), t.const(1))
        value = a.choose(flag, t.add(value, t.const(1)), t.sub(value, t.const(1)))
        a.low(a.shr(value, 3), 5)
    assert lift(value, Paths(lambda: False)) is not None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_equation_solver_finds_all_solutions_and_no_others(data):
    count = data.draw(st.integers(1, 4))
    bits = data.draw(st.integers(3, 9))
    factors = data.draw(st.lists(st.integers(1, (1 << bits) - 1), min_size=count, max_size=count))
    boxes = []
    for _ in range(count):
        low = data.draw(st.integers(-3, 2))
        boxes.append((low, low + data.draw(st.integers(0, 4))))
    everything: list[tuple[int, ...]] = [()]
    for low, high in boxes:
        everything = [(*one, x) for one in everything for x in range(low, high + 1)]
    expected = {one for one in everything if sum(f * x for f, x in zip(factors, one, strict=True)) % (1 << bits) == 0}
    found = list(solutions(factors, boxes, 1 << bits, lambda: False))
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_too_many_branches_and_a_stop_are_said():
    with pytest.raises(TooMany):
        list(solutions([1] * 8, [(-50, 50)] * 8, 1 << 64, lambda: False, nodes=5000))
    with pytest.raises(InterruptedError):
        list(solutions([1] * 8, [(-50, 50)] * 8, 1 << 64, lambda: True))
