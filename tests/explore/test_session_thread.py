"""A session in a thread: commands, consistent views, and its end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
from sources import EXACT, MM_ID, mixed

from foliolab.framework.explore.commands import FLAT_OUT
from foliolab.framework.explore.folio_detail import folio_detail
from foliolab.framework.explore.history import SERIES
from foliolab.framework.explore.page_detail import page_detail
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.session_thread import SessionThread
from foliolab.framework.explore.view import View

MEMORY = 1 << 29
PATIENCE = 120.0
"""Seconds to wait for an event; beside other load everything is slower."""


@pytest.fixture
def thread() -> Iterator[SessionThread]:
    made = SessionThread(lambda: Session(mixed(mms=4), (MM_ID, EXACT), MEMORY))
    assert made.wait_ready(PATIENCE), made.failed
    yield made
    assert made.close(PATIENCE)
    assert not [other for other in threading.enumerate() if other.name == "explore"]


def until(thread: SessionThread, fits: Callable[[View], bool]) -> View:
    """Pull views, as a window does, until one fits."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        view = thread.view()
        if view is not None and fits(view):
            return view
        time.sleep(0.004)
    raise AssertionError(f"no such view came; the last is {thread.view()}")


def test_plays_to_the_end(thread: SessionThread) -> None:
    thread.show([(0, 0), (1, 0), (0, 1)])
    thread.play(FLAT_OUT)
    last = until(thread, lambda view: view.at_end and not view.playing)
    assert last.position == last.nr_steps and last.farthest == last.nr_steps
    assert last.description and set(last.maps) == {(0, 0), (1, 0), (0, 1)}
    assert last.history.positions[-1] == last.nr_steps
    assert last.history.high.shape == (2, len(SERIES), len(last.history.positions))
    assert [lane.name for lane in last.lanes] == [MM_ID.name, EXACT.name]


def test_steps_and_back(thread: SessionThread) -> None:
    thread.step(100)
    until(thread, lambda view: view.position == 100)
    thread.back()
    view = until(thread, lambda view: view.position == 99)
    thread.step()
    thread.goto(50)
    view = until(thread, lambda view: view.position == 50)
    assert not view.playing and view.error is None
    wanted = Session(mixed(mms=4), (MM_ID, EXACT), MEMORY)
    wanted.goto(50)
    assert [lane.totals for lane in view.lanes] == [lane.totals() for lane in wanted.lanes]
    thread.show([(0, 0)])
    thread.goto(51)
    thread.goto(50)
    view = until(thread, lambda view: view.position == 50 and bool(view.maps))
    np.testing.assert_array_equal(view.maps[0, 0], wanted.lanes[0].cells(0))


def test_views_stay_as_they_are(thread: SessionThread) -> None:
    thread.show([(0, 0)])
    thread.play(2000)
    view = until(thread, lambda view: view.position > 20 and bool(view.maps))
    kept = view.maps[0, 0].copy()
    time.sleep(0.1)
    np.testing.assert_array_equal(view.maps[0, 0], kept)
    wanted = Session(mixed(mms=4), (MM_ID,), MEMORY)
    wanted.goto(view.position)
    np.testing.assert_array_equal(kept, wanted.lanes[0].cells(0))
    assert view.lanes[0].totals == wanted.lanes[0].totals()


def test_speed_and_pause(thread: SessionThread) -> None:
    thread.play(50)
    view = until(thread, lambda view: view.position >= 3)
    assert view.playing and view.position < view.nr_steps
    thread.pause()
    stopped = until(thread, lambda view: not view.playing)
    time.sleep(0.1)
    again = thread.view()
    assert again is not None and again.position == stopped.position


def test_to_wrong_answers(thread: SessionThread) -> None:
    thread.next_wrong()
    first = until(thread, lambda view: view.position > 0 and not view.busy)
    thread.next_wrong()
    second = until(thread, lambda view: view.position > first.position)
    thread.previous_wrong()
    until(thread, lambda view: view.position == first.position and view.number > second.number)
    thread.next_wrong(1)  # the exact one is never wrong
    view = until(thread, lambda view: view.error is not None)
    assert "no further wrong answer" in str(view.error)
    thread.goto(0)
    until(thread, lambda view: view.position == 0 and view.error is None)


def test_questions(thread: SessionThread) -> None:
    thread.step(60)
    answer = thread.ask(lambda session: page_detail(session.lanes[0], 0, 0))
    assert answer.result(60).description.startswith("Page 0 of MM 1")
    folio = thread.ask(lambda session: folio_detail(session.lanes[0], page_detail(session.lanes[0], 0, 0).head)).result(
        60
    )
    assert folio.fields
    with pytest.raises(ZeroDivisionError):
        thread.ask(lambda session: 1 // 0).result(60)
    assert len(thread.ask(lambda session: session.accesses(0)).result(60))
    assert thread.ask(lambda session: session.position).result(60) == 60


def test_closing_ends_the_thread_and_cancels_questions() -> None:
    thread = SessionThread(lambda: Session(mixed(mms=4), (MM_ID, EXACT), MEMORY))
    assert thread.wait_ready(PATIENCE)
    thread.play()
    slow = thread.ask(lambda session: time.sleep(0.2))
    late: Any = thread.ask(lambda session: session.position)
    assert thread.close(PATIENCE)
    assert slow.done()
    if late.cancelled():
        with pytest.raises(CancelledError):
            late.result(0)
    assert thread.ask(lambda session: session.position).cancelled()


def test_dots_are_the_heaviest_of_four_pages(thread: SessionThread) -> None:
    weights = np.random.default_rng(3).integers(0, 128, 256)
    thread.show([(0, 0), (1, 1), (0, 2)], weights)
    thread.goto(120)
    view = until(thread, lambda view: view.position == 120 and len(view.dots) == 3)
    for key, cells in view.maps.items():
        wanted = np.zeros(-(-cells.size // 4) * 4, np.int64)
        wanted[: cells.size] = weights[cells]
        np.testing.assert_array_equal(view.dots[key], wanted.reshape(-1, 4).max(axis=1))
    assert any(np.unique(dots).size > 1 for dots in view.dots.values())
    thread.show([(0, 0)])
    view = until(thread, lambda view: set(view.maps) == {(0, 0)})
    assert not view.dots, "no weights were given"


def whole_asked(session: Session) -> int:
    """How often the recording of a step's accesses asks whether another thread waits."""
    asked = itertools.count()
    session.awaited = lambda: next(asked) < 0
    session.accesses(0)
    return next(asked)


def test_recording_accesses_ends_when_another_thread_waits() -> None:
    session = Session(mixed(mms=4), (MM_ID,), MEMORY)
    session.goto(session.nr_steps)
    while len(session.accesses(0)) < 600:
        session.back()
    whole = session.accesses(0)
    assert not whole.stopped
    before = session.lanes[0].snapshot()
    asked = iter([False] * (whole_asked(session) // 2))
    session.awaited = lambda: next(asked, True)
    part = session.accesses(0)
    assert 0 < len(part) < len(whole) and "these are the first" in part.stopped
    assert part.accesses == whole.accesses[: len(part)]
    assert session.lanes[0].snapshot() == before
    session.close()
