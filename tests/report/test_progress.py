"""Progress tells early that a run goes on, also while its first step lasts."""

from __future__ import annotations

import io
import time

import pytest

from foliolab.framework.report import progress
from foliolab.framework.verify.attack import Progress as News


class Terminal(io.StringIO):
    """A stream that is a terminal, or says so."""

    def isatty(self) -> bool:
        return True


def wait_for(stream: io.StringIO, text: str) -> None:
    end = time.monotonic() + 30
    while text not in stream.getvalue():
        assert time.monotonic() < end, stream.getvalue()
        time.sleep(0.01)


def test_one_line_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "LONG", 0.01)
    with progress.Progress() as tell:
        tell("counting", 3, 1200)
        wait_for(stream, "\n")
        tell("measuring", 1, 2)
    assert stream.getvalue() == "counting: 3 of 1,200 …\n"


def test_a_long_run_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "LONG", 0.01)
    monkeypatch.setattr(progress, "AGAIN", 0.01)
    with progress.Progress() as tell:
        tell("MiB read", 700, 0)
        wait_for(stream, "MiB read: 700 …\n")
        tell("MiB read", 900, 0)
        wait_for(stream, "MiB read: 900 …\n")


def test_a_bar_in_a_terminal_before_the_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "QUIET", 0.01)
    with progress.Progress() as tell:
        tell("counting", 0, 5)
        wait_for(stream, "counting")


def test_a_short_run_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with progress.Progress() as tell:
        tell("counting", 0, 5)
    assert not stream.getvalue()


def test_each_attack_has_a_first_line_and_then_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "LONG", 0.0)
    with progress.Attacks("mm-id", 60.0) as tell:
        for states in (1, 2):
            for attack in ("explored", "random"):
                tell(News(attack, "some MMs", states=states))
    assert stream.getvalue() == "mm-id: 0 s: explored: some MMs: 1 states\nmm-id: 0 s: random: some MMs: 1 states\n"
