"""Long jobs: what they say arrives, and whatever they do to themselves, the window stays."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foliolab.gui.window.jobs import Job, Jobs

HERE = Path(__file__).parent
AT_MOST = 120_000
"""Milliseconds for a process to start on a busy machine; what is waited for comes within one otherwise."""


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of jobs, where a spawned process finds it, too."""
    monkeypatch.syspath_prepend(str(HERE))
    spec = importlib.util.spec_from_file_location("work", HERE / "work.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "work", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def jobs(qtbot: Any) -> Iterator[Jobs]:
    from PySide6.QtCore import QObject

    from foliolab.gui.window.jobs import Jobs

    parent = QObject()
    made = Jobs(parent)
    yield made
    made.shut()
    assert not made.running


class Heard:
    """What a job emitted, in its order."""

    def __init__(self, job: Job) -> None:
        self.all: list[tuple[str, Any]] = []
        job.reported.connect(self.said)
        job.answered.connect(self.answered)
        job.failed.connect(self.failed)
        job.ended.connect(self.ended)

    def said(self, news: object) -> None:
        self.all.append(("said", news))

    def answered(self, value: object) -> None:
        self.all.append(("answered", value))

    def failed(self, fault: object, details: str) -> None:
        self.all.append(("failed", (fault, details)))

    def ended(self) -> None:
        self.all.append(("ended", None))


def run(qtbot: Any, jobs: Jobs, function: Any, *arguments: Any) -> list[tuple[str, Any]]:
    job = jobs.start("test", function, *arguments)
    heard = Heard(job)
    with qtbot.waitSignal(job.ended, timeout=AT_MOST):
        pass
    return heard.all


def test_what_a_job_says_arrives_before_its_answer(qtbot: Any, jobs: Jobs, work: Any) -> None:
    from foliolab.gui.window.jobs import Step

    heard = run(qtbot, jobs, work.add, 2, 3)
    assert heard == [("said", Step("adding", 1, 2)), ("said", "news"), ("answered", 5), ("ended", None)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("crash", "ended with signal SIGSEGV"),
        ("refuse", "there is no such thing"),
        ("slip", "ZeroDivisionError: on purpose"),
    ],
)
def test_a_job_that_fails_says_how(qtbot: Any, jobs: Jobs, work: Any, name: str, says: str) -> None:
    heard = run(qtbot, jobs, getattr(work, name))
    fault, details = heard[-2][1]
    assert heard[-1] == ("ended", None)
    assert says in fault.what
    assert ("Traceback" in details) is (name == "slip")


def test_a_cancelled_job_answers_with_what_it_has(
    qtbot: Any, jobs: Jobs, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foliolab.gui.window.jobs.AT_ONCE", 20.0)  # a busy machine is no reason to end it
    job = jobs.start("test", work.polite)
    heard = Heard(job)
    with qtbot.waitSignal(job.reported, timeout=AT_MOST):
        pass
    job.cancel()
    with qtbot.waitSignal(job.ended, timeout=AT_MOST):
        pass
    assert ("answered", "what is known so far") in heard.all


def test_a_job_that_does_not_listen_is_ended(qtbot: Any, jobs: Jobs, work: Any) -> None:
    job = jobs.start("test", work.hang)
    heard = Heard(job)
    with qtbot.waitSignal(job.reported, timeout=AT_MOST):
        pass
    job.cancel()
    with qtbot.waitSignal(job.ended, timeout=AT_MOST):
        pass
    assert not job.process.is_alive()
    assert [kind for kind, _ in heard.all] == ["said", "ended"]


def test_processes_of_a_job_end_with_it(qtbot: Any, jobs: Jobs, work: Any) -> None:
    job = jobs.start("test", work.family)
    with qtbot.waitSignal(job.reported, timeout=AT_MOST) as said:
        pass
    (pid,) = said.args
    jobs.shut()
    qtbot.waitUntil(lambda: gone(pid), timeout=AT_MOST)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def test_the_status_bar_shows_and_cancels(qtbot: Any, jobs: Jobs, work: Any) -> None:
    from PySide6.QtCore import Qt

    from foliolab.gui.window.jobs import JobsChip

    chip = JobsChip(jobs)
    qtbot.addWidget(chip)
    assert not chip.isVisible()
    job = jobs.start("Measuring", work.hang)
    chip.show()
    with qtbot.waitSignal(job.reported, timeout=AT_MOST):
        pass
    assert chip.label.text() == "Measuring · hanging"
    with qtbot.waitSignal(job.ended, timeout=AT_MOST):
        qtbot.mouseClick(chip.stop, Qt.MouseButton.LeftButton)
    assert not chip.isVisible()
