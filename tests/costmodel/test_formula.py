"""The interval of a ratio: it has every ratio that constants within their ranges give, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.costmodel.formula import Span, Unpredicted, lacking, plus, ratio, widths
from foliolab.framework.costmodel.processors import TERMS, Constant, Processor

numbers = st.floats(0.01, 1000)
counts = st.fixed_dictionaries(dict.fromkeys(TERMS, numbers))
ranges = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


def processor(bounds: dict[str, tuple[float, float]]) -> Processor:
    constants = {term: Constant(range=one, unit="cycles", source="a test") for term, one in bounds.items()}
    return Processor(name="a", described="A", cpu="a 1 1", constants=constants)


def span(ours: dict[str, float], base: dict[str, float], on: Processor) -> Span:
    found = ratio(ours, base, on)
    assert isinstance(found, Span)
    return found


@given(ours=counts, base=counts, bounds=st.fixed_dictionaries(dict.fromkeys(TERMS, ranges)), data=st.data())
def test_any_constants_within_their_ranges_give_a_ratio_inside(ours: Any, base: Any, bounds: Any, data: Any) -> None:
    found = span(ours, base, processor(bounds))
    at = {term: data.draw(st.floats(low, high)) for term, (low, high) in bounds.items()}
    over, under = (sum(side[term] * at[term] for term in TERMS) for side in (ours, base))
    assert found.low * (1 - 1e-9) <= over / under <= found.high * (1 + 1e-9)
    assert found.low <= found.middle <= found.high or found.middle == pytest.approx(found.low)


@given(ours=counts, base=counts, bounds=st.fixed_dictionaries(dict.fromkeys(TERMS, ranges)))
def test_narrower_ranges_give_a_narrower_interval_and_both_ends_are_reached(ours: Any, base: Any, bounds: Any) -> None:
    found = span(ours, base, processor(bounds))
    inner = {term: ((3 * low + high) / 4, (low + 3 * high) / 4) for term, (low, high) in bounds.items()}
    less = span(ours, base, processor(inner))
    assert less.low >= found.low * (1 - 1e-9) and less.high <= found.high * (1 + 1e-9)
    assert less.middle == pytest.approx(found.middle)
    points = {term: (low, low) for term, (low, _) in bounds.items()}
    exact = span(ours, base, processor(points))
    assert exact.width == 0
    back = span(base, ours, processor(bounds))
    assert back.low == pytest.approx(1 / found.high) and back.high == pytest.approx(1 / found.low)


@given(ours=counts, more=st.fixed_dictionaries(dict.fromkeys(TERMS, numbers)))
def test_equal_counts_do_not_vary_and_common_work_brings_a_ratio_nearer_to_1(ours: Any, more: Any) -> None:
    on = processor(dict.fromkeys(TERMS, (1.0, 2.0)))
    same = span(ours, ours, on)
    assert (same.low, same.middle, same.high) == (1, 1, 1)
    twice = {term: 2 * count for term, count in ours.items()}
    diluted = span(plus(twice, more), plus(ours, more), on)
    assert 1 < diluted.middle < 2
    assert plus(plus(ours, more), more, -1) == pytest.approx(ours)


def test_a_worked_example() -> None:
    on = processor({"instruction": (0.25, 0.5), "locked": (18.0, 18.0)})
    ours, base = {"instruction": 40.0, "locked": 1.0}, {"instruction": 40.0, "locked": 2.0}
    found = span(ours, base, on)
    assert found.low == pytest.approx(28 / 46) and found.high == pytest.approx(38 / 56)
    assert found.middle == pytest.approx(33 / 51)
    assert found.width == pytest.approx((38 / 56 - 28 / 46) * 100)
    assert widths(ours, base, on) == {"instruction": found.width, "locked": 0}
    assert lacking(ours, base, on, 0.7) == pytest.approx(0.7 * 51 - 33)
    assert lacking(ours, base, on, found.middle) == pytest.approx(0)


@pytest.mark.parametrize(
    ("ours", "base", "why"),
    [
        ({"line": 1.0}, {"instruction": 1.0}, "no published constant of A for lines of 64 bytes that L1 does not have"),
        ({}, {}, "nothing was counted"),
        ({"instruction": -1.0, "locked": 0.1}, {"instruction": 1.0}, "the counted time is 0 or less"),
        ({"instruction": 1.0}, {}, "the counted time is 0 or less"),
    ],
)
def test_what_cannot_be_predicted_says_why(ours: dict[str, float], base: dict[str, float], why: str) -> None:
    on = processor({"instruction": (0.25, 0.5), "locked": (1.0, 2.0)})
    assert ratio(ours, base, on) == Unpredicted(why)
