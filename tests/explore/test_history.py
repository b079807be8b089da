"""Series of fixed size keep the maximum; checkpoints restore earlier states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.explore.checkpoints import MOST, Checkpoints
from foliolab.framework.explore.history import SERIES, History, Marks


def of(value: int) -> list[list[int]]:
    """One lane with the same value in every series."""
    return [[value] * len(SERIES)]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300), st.integers(1, 40))
def test_the_maximum_is_kept(values: list[int], stride: int) -> None:
    history = History(1, most=16)
    for number, value in enumerate(values):
        history.add(number * stride, of(value))
    assert history.nr <= 16
    assert history.last == (len(values) - 1) * stride
    assert history.high(0, "false_share").max() == max(values)
    assert history.low(0, "false_share").min() == min(values)
    positions = history.positions
    assert (np.diff(positions) > 0).all()
    # no value is above the maximum of its point
    for number, value in enumerate(values):
        at = int(np.searchsorted(positions, number * stride))
        assert history.low(0, "false_share")[at] <= value <= history.high(0, "false_share")[at]


def test_nothing_is_added_twice() -> None:
    history = History(1)
    history.add(5, of(1))
    history.add(5, of(2))
    history.add(3, of(2))
    assert history.nr == 1 and history.high(0, "unsafe").tolist() == [1]


@given(st.lists(st.integers(0, 9_999), unique=True), st.lists(st.integers(0, 9_999), unique=True))
def test_marks_stand_for_all(one: list[int], other: list[int]) -> None:
    marks = Marks(2, 10_000)
    rows = [np.array([[step, 1] for step in sorted(steps)], np.int64).reshape(-1, 2) for steps in (one, other)]
    for begin in range(0, 10_000, 1_300):
        marks.add(rows, begin, min(begin + 1_300, 10_000), [True, True])
    wrong = {int(position) - 1 for position in marks.wrongs()}
    assert wrong <= {*one, *other} and min(wrong, default=-1) == min([*one, *other], default=-1)
    positions, counts = marks.disagreements()
    assert counts.sum() == len(set(one) ^ set(other))
    assert {int(position) - 1 for position in positions} <= set(one) ^ set(other)
    for step in (0, 17, 5_000, 9_999):
        after, before = [s for s in one if s >= step], [s for s in one if s < step]
        for found, wanted in ((marks.after(step, 0), min(after, default=None)),
                              (marks.before(step, 0), max(before, default=None))):  # fmt: skip
            assert (found is None) == (wanted is None)
            if found is not None and wanted is not None:
                assert found[0] <= wanted <= found[1]


def plain(function: Callable[..., int], kinds: str) -> Callable[..., Any]:
    return function


def test_checkpoints_give_back_what_was_there() -> None:
    chance = np.random.default_rng(1)
    live = chance.integers(0, 255, 4096 * 12, np.uint8)
    kept: dict[int, bytes] = {}
    points = Checkpoints([(live, (4096 * 3, 4096 * 5))], plain, most_bytes=0)
    for position in range(60):
        points.add(position, position)
        kept[position] = live.tobytes()
        live[chance.integers(0, live.size, 3)] += 1
    assert len(points.positions) <= MOST and points.nbytes <= 2 * live.size
    assert points.positions[0] == 0
    while points.newest:
        wanted = max(at for at in points.positions if at < points.newest)
        found, extra = points.restore(points.newest - 1)
        assert found == extra == wanted
        same = np.frombuffer(kept[found], np.uint8)
        assert (live[: 4096 * 3] == same[: 4096 * 3]).all() and (live[4096 * 5 :] == same[4096 * 5 :]).all()


def test_what_is_not_kept_of_a_step_is_not_claimed() -> None:
    """Of the steps of a bin only the first and the last wrong one are kept."""
    marks = Marks(2, 10_000)
    wrong = [np.array([[step, 1] for step in steps], np.int64).reshape(-1, 2) for steps in ((20, 22, 24), (21,))]
    marks.add(wrong, 0, 100, [True, True])
    lanes, unsure = marks.of_steps(18, 26)
    assert lanes.tolist() == [0, 0, 1, 2, 0, 0, 1, 0]
    assert unsure.tolist() == [step in (21, 22, 23) for step in range(18, 26)], "one bin has five steps: 20 to 24"
