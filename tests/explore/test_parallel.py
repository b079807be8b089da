"""Parallel calls: each exactly once, errors are raised, and no thread is left."""

from __future__ import annotations

import os
import threading
import time

import pytest

from foliolab.framework.explore.parallel import Parallel


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Parallel:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    return Parallel(4)


def test_each_once_and_on_two_threads(two: Parallel) -> None:
    seen: list[tuple[int, str]] = []
    before = set(threading.enumerate())

    def note(item: int) -> None:
        time.sleep(0.01)
        seen.append((item, threading.current_thread().name))

    two.each(note, range(20))
    assert sorted(item for item, _ in seen) == list(range(20))
    assert len({name for _, name in seen}) == 2
    two.close()
    assert set(threading.enumerate()) <= before


def test_an_error_comes_out_when_the_others_are_done(two: Parallel) -> None:
    done = []

    def odd(item: int) -> None:
        if item == 1:
            raise KeyError("one")
        time.sleep(0.02)
        done.append(item)

    with pytest.raises(KeyError, match="one"):
        two.each(odd, range(6))
    assert sorted(done) == [0, 2, 3, 4, 5]
    two.close()


def test_one_thing_or_one_processor_needs_no_thread() -> None:
    alone: Parallel = Parallel(1)
    seen: list[str] = []
    alone.each(lambda _: seen.append(threading.current_thread().name), range(3))
    assert seen == [threading.current_thread().name] * 3
    alone.close()


def test_rounds_come_in_order_and_never_two_of_one_thing(two: Parallel) -> None:
    seen: list[tuple[int, int]] = []
    inside: set[int] = set()

    def note(item: int, number: int) -> None:
        assert item not in inside
        inside.add(item)
        time.sleep(0.001 * (1 + item))
        inside.remove(item)
        seen.append((item, number))

    two.rounds(note, range(4), 5)
    for item in range(4):
        assert [number for one, number in seen if one == item] == list(range(5))
    two.close()


def test_a_slow_item_does_not_delay_the_rounds_of_others(two: Parallel) -> None:
    seen: list[tuple[int, int]] = []
    rest = threading.Event()

    def note(item: int, number: int) -> None:
        if item == 0 and number == 0:
            assert rest.wait(10), "the others have been done meanwhile"
        seen.append((item, number))
        if seen.count((1, 2)) and seen.count((2, 2)):
            rest.set()

    two.rounds(note, range(3), 3)
    assert seen[-3:] == [(0, 0), (0, 1), (0, 2)] and len(seen) == 9
    two.close()
