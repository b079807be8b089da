"""A session in a process: the same views as in a thread; crashes and endless loops stay there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from questions import Make, crash, hang, position, rest, unsendable, wrong
from sources import EXACT, MM_ID

from foliolab.framework.errors import UsageError
from foliolab.framework.explore import shared_arrays
from foliolab.framework.explore.commands import FLAT_OUT
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.session_process import SessionProcess
from foliolab.framework.explore.view import View

MEMORY = 1 << 29
PATIENCE = 120.0
"""Seconds to wait for an event; beside other load everything is slower."""
CRASHES = """
from dataclasses import replace
from foliolab.framework.api import atomic_read, nth_page
from foliolab.policies import total_mapped_pages

def maybe_mapped_shared(folio):
    many = atomic_read(folio._large_mapcount)
    if many > 60:  # no dry run maps so many pages
        return atomic_read(nth_page(folio, many << 30)._large_mapcount) > 0
    return many > 0

POLICY = replace(total_mapped_pages.POLICY, name="crashes", models=None, mutants=None,
                 hooks=replace(total_mapped_pages.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared))
"""


@pytest.fixture
def process() -> Iterator[SessionProcess]:
    made = SessionProcess(Make(MM_ID.name, EXACT.name))
    yield made
    made.close()
    assert not made.process.is_alive()
    assert not made._folder.path.exists()


def until(process: SessionProcess, fits: Callable[[View], bool]) -> View:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        view = process.view()
        if view is not None and fits(view):
            return view
        time.sleep(0.004)
    raise AssertionError(f"no such view came; the last is {process.view()}")


def answer(process: SessionProcess, question: Callable[[Session], Any]) -> Any:
    future = process.ask(question)
    end = time.monotonic() + PATIENCE
    while not future.done() and time.monotonic() < end:
        process.poll()
        time.sleep(0.002)
    return future.result(0)


def test_shows_what_a_session_here_shows(process: SessionProcess) -> None:
    assert process.wait_ready(PATIENCE)
    wanted = Make(MM_ID.name, EXACT.name)()
    weights = np.arange(256) % 128
    process.show([(0, 0), (1, 1)], weights)
    for target in (200, 120):
        process.goto(target)
        view = until(process, lambda view, at=target: view.position == at and len(view.dots) == 2 and not view.busy)  # type: ignore[misc]
        wanted.goto(target)
        assert [lane.totals for lane in view.lanes] == [lane.totals() for lane in wanted.lanes]
        np.testing.assert_array_equal(view.maps[1, 1], wanted.lanes[1].cells(1))
        assert view.dots[0, 0].max() == weights[view.maps[0, 0]].max()
    assert answer(process, position) == 120
    process.play(FLAT_OUT)
    last = until(process, lambda view: view.at_end)
    assert not last.playing and last.history.positions[-1] == last.nr_steps == wanted.nr_steps
    wanted.close()


def test_views_stay_as_they_are_until_the_next_is_taken(process: SessionProcess) -> None:
    assert process.wait_ready(PATIENCE)
    process.show([(0, 0)])
    process.play(3000)
    for _ in range(20):
        view = until(process, lambda view: bool(view.maps))
        kept = view.maps[0, 0].copy()
        time.sleep(0.02)
        np.testing.assert_array_equal(view.maps[0, 0], kept)


def test_errors_and_what_cannot_be_sent_come_back_as_sentences(process: SessionProcess) -> None:
    assert process.wait_ready(PATIENCE)
    with pytest.raises(UsageError, match="not like this"):
        answer(process, wrong)
    with pytest.raises(Exception, match="cannot be sent"):
        answer(process, unsendable)
    assert answer(process, position) == 0


def test_a_crash_is_reported_and_does_not_affect_this_process(process: SessionProcess) -> None:
    assert process.wait_ready(PATIENCE)
    waiting = process.ask(crash)
    end = time.monotonic() + PATIENCE
    while process.failed is None and time.monotonic() < end:
        process.poll()
        time.sleep(0.01)
    assert process.crashed and "SIGSEGV" in str(process.failed)
    assert waiting.cancelled() and process.ask(position).cancelled()
    process.play()
    process.step()
    process.view()
    assert process.close()


def test_what_never_ends_is_noticed_and_ended(process: SessionProcess) -> None:
    assert process.wait_ready(PATIENCE)
    process.ask(hang)
    end = time.monotonic() + PATIENCE
    while process.silent < 0.5 and time.monotonic() < end:
        process.poll()
        time.sleep(0.01)
    assert process.silent >= 0.5
    assert process.close()
    assert process.process.exitcode is not None


def test_a_process_that_waits_for_a_processor_does_not_hang(
    process: SessionProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foliolab.framework.explore import session_process
    from foliolab.framework.isolation.runqueue import longest_wait, waits_of

    assert longest_wait({"1": 2.0, "2": 5.0}, {"1": 2.5, "2": 5.25, "3": 0.1}) == 0.5 and longest_wait({}, {}) == 0
    if not waits_of(os.getpid()):
        pytest.skip("this kernel does not count how long threads wait for a processor")
    assert process.wait_ready(PATIENCE)
    process.ask(hang)
    looks = iter([{"1": 0.0}])
    monkeypatch.setattr(session_process, "waits_of", lambda pid: next(looks, {"1": 1e9}))
    while not process.silent:
        time.sleep(0.01)
    time.sleep(0.05)
    assert process.silent == 0, "a thread waited for a processor for longer than that"


def test_a_cancelled_question_is_not_waited_for(process: SessionProcess) -> None:
    assert process.wait_ready(PATIENCE)
    busy, cancelled = process.ask(rest), process.ask(position)
    cancelled.cancel()
    while not busy.done():
        process.poll()
        time.sleep(0.002)
    assert answer(process, position) == 0
    time.sleep(0.05)
    assert process.silent == 0, "an answer to the cancelled question is not expected"


def test_native_code_that_writes_elsewhere_is_named(tmp_path: Path) -> None:
    file = tmp_path / "crashes.py"
    file.write_text(CRASHES)
    process = SessionProcess(Make(EXACT.name, "crashes", file=str(file), pattern="snapshot", mms=8))
    assert process.wait_ready(PATIENCE), process.failed
    process.play()
    end = time.monotonic() + PATIENCE
    while process.failed is None and time.monotonic() < end:
        process.view()
        time.sleep(0.01)
    assert "crashes" in str(process.failed) and "SIGSEGV" in str(process.failed)
    process.close()


def test_what_cannot_be_made_says_why() -> None:
    process = SessionProcess(Make("no-such-policy"))
    assert not process.wait_ready(PATIENCE)
    assert "no-such-policy" in str(process.failed) and not process.crashed
    assert process.close()


def test_closing_at_once_leaves_nothing() -> None:
    process = SessionProcess(Make(MM_ID.name))
    assert process.close()
    assert not process._folder.path.exists() and process.view() is None


def test_another_process_finds_an_array_by_its_address() -> None:
    folder = shared_arrays.make_folder()
    made, seen_there = shared_arrays.SharedArrays(folder.path), shared_arrays.SharedArraysReader(folder.path)
    for size in (10, 100_000, shared_arrays.CHUNK + 5, 7):
        array = made.new(size)
        array[:] = size % 251
        assert (seen_there.at(made.address_of(array)) == size % 251).all() and array.size == size
        assert made.address_of(array[3:5]).size == 2
    with pytest.raises(LookupError):
        made.address_of(np.zeros(3, np.uint8))
    folder.remove()
    assert not folder.path.exists() and (array == 7).all()


def test_several_threads_make_arrays_at_the_same_time() -> None:
    folder = shared_arrays.make_folder()
    made, seen_there = shared_arrays.SharedArrays(folder.path), shared_arrays.SharedArraysReader(folder.path)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(made.new, [shared_arrays.CHUNK // 3] * 40))
    finally:
        sys.setswitchinterval(interval)
    for number, one in enumerate(taken):
        one[:] = number
    for number, one in enumerate(taken):
        seen = seen_there.at(made.address_of(one))
        assert seen.size == one.size and seen[0] == seen[-1] == number
    folder.remove()
