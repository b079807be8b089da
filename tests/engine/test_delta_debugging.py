"""Shrinking: what is left still fails, nothing more can be left out, and later parts go first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.engine.delta_debugging import shrink

Numbers = tuple[int, ...]


def without(case: Numbers, first: int, nr: int) -> Numbers:
    return case[:first] + case[first + nr :]


def simpler(case: Numbers) -> Iterator[Numbers]:
    for index, number in enumerate(case):
        if number:
            yield (*case[:index], number - 1, *case[index + 1 :])


def smallest(case: Numbers, fails: Callable[[Numbers], bool]) -> Numbers:
    for smaller in shrink(case, len, without, simpler, lambda one: one if fails(one) else None):
        assert fails(smaller)
        case = smaller
    return case


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12).map(tuple), st.integers(1, 12))
def test_nothing_more_can_be_left_out_or_simplified(case: Numbers, wanted: int) -> None:
    def fails(one: Numbers) -> bool:
        return sum(one) >= min(wanted, sum(case))

    left = smallest(case, fails)
    assert not any(fails(without(left, first, 1)) for first in range(len(left))) or not left[1:]
    assert not any(fails(one) for one in simpler(left))


def test_later_parts_are_left_out_first() -> None:
    assert smallest((3, 1, 3, 3), lambda case: 3 in case) == (3,)
    tried: list[Numbers] = []
    case: Numbers = (1, 2, 3, 4)
    list(shrink(case, len, without, lambda _: (), tried.append))
    assert tried == [(1, 2), (3, 4), (1, 2, 3), (1, 2, 4), (1, 3, 4), (2, 3, 4)]


def cut(case: Numbers) -> Numbers | None:
    return case[: case.index(9) + 1] if 9 in case else None


def test_a_case_may_be_cut_behind_its_failure() -> None:
    case: Numbers = (1, 9, 2, 2)
    found = list(shrink(case, len, without, lambda _: (), cut))
    assert found[-1] == (9,)
