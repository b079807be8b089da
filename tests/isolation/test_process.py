"""Child processes: messages arrive in order, the last one says how the child ended, and no process is left."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from foliolab.framework.errors import FolioLabError, PluginError, UsageError
from foliolab.framework.isolation import process
from foliolab.framework.isolation.process import Answer, Child, Crash, Failure, call_in_child, can_fork, ready

LONG = 120.0
"""Seconds after which a test gives up; a process starts within one on an idle machine."""
METHODS = ["spawn", *(["fork"] if can_fork() else [])]
needs_fork = pytest.mark.skipif(not can_fork(), reason="needs fork")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not multiprocessing.active_children()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the functions, importable in spawned processes, too."""
    folder = Path(__file__).parent
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("children", folder / "children.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "children", module)
    spec.loader.exec_module(module)
    return module


def all_of(child: Child) -> list[object]:
    found = []
    while not child.over:
        message = child.receive(LONG)
        assert message is not None, "no message came"
        found.append(message)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_messages_arrive_before_the_answer(work: Any, method: Literal["fork", "spawn"]) -> None:
    with Child(work.count, 3, method=method) as child:
        assert all_of(child) == [0, 1, 2, Answer("done")]
        assert child.receive(LONG) is None
    assert child.process.exitcode == 0


def test_messages_go_both_ways(work: Any) -> None:
    with Child(work.echo) as child:
        assert child.send("a") and child.receive(LONG) == "a"
        assert list(child.arrived()) == []
        child.send("end")
        assert child.receive(LONG) == Answer("ended")
    assert not child.send("b")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("crash", "ended with signal SIGSEGV"),
        ("crash_nameless", f"ended with signal {signal.SIGRTMIN + 1}"),
        ("leave", "ended with exit status 3"),
    ],
)
def test_a_crash_is_named_by_its_signal(work: Any, name: str, how: str) -> None:
    with Child(getattr(work, name)) as child:
        assert all_of(child)[-1] == Crash(how)


@pytest.mark.parametrize(
    ("name", "kind", "what"),
    [
        ("refuse", UsageError, "there is no such thing"),
        ("slip", FolioLabError, "ZeroDivisionError: on purpose"),
        ("devour", FolioLabError, "it needs more memory than there is"),
    ],
)
def test_an_exception_arrives_as_an_error(work: Any, name: str, kind: type[FolioLabError], what: str) -> None:
    with Child(getattr(work, name)) as child:
        (last,) = all_of(child)
    assert isinstance(last, Failure)
    assert type(last.error) is kind and last.error.what == what
    assert ("Traceback" in last.details) is (name == "slip")


def test_a_child_that_hangs_sends_nothing_and_is_killed(work: Any) -> None:
    with Child(work.hang) as child:
        assert child.receive(LONG) == "started"
        assert child.receive(0.3) is None
    assert child.process.exitcode == -signal.SIGKILL


def test_an_interruptible_child_answers_with_what_it_has(work: Any) -> None:
    with Child(work.polite, interruptible=True) as child:
        assert child.receive(LONG) == "started"
        child.interrupt()
        assert child.receive(LONG) == Answer("what is known so far")


def test_an_interrupt_during_the_start_is_raised_afterwards_and_leaves_nothing(
    work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context: Any = multiprocessing.get_context("spawn")
    start = context.Process.start
    raised: list[str] = []

    def interrupted(self: Any) -> None:
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
        time.sleep(0.1)
        start(self)
        raised.append("not yet")

    monkeypatch.setattr(context.Process, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Child(work.hang)
    assert raised, "the start was cut off in the middle"


def test_a_group_is_killed_as_a_whole(work: Any) -> None:
    with Child(work.start_process, leads_group=True) as child:
        grandchild = child.receive(LONG)
        assert isinstance(grandchild, int)
    eventually(lambda: not alive(grandchild))


@needs_fork
def test_a_crash_is_seen_though_a_forked_grandchild_is_alive(work: Any) -> None:
    with Child(work.fork_process, leads_group=True) as child:
        grandchild = child.receive(LONG)
        assert isinstance(grandchild, int) and alive(grandchild)
        os.kill(child.process.pid, signal.SIGKILL)
        last = child.receive(LONG)
        assert isinstance(last, Crash) and last.killed and "from outside (SIGKILL)" in last.how
    eventually(lambda: not alive(grandchild))


def test_another_child_ignores_every_request_to_stop(work: Any) -> None:
    with Child(work.echo) as child:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child.send(number.name)
            assert child.receive(LONG) == number.name
            os.kill(child.process.pid, number)
        child.send("still here")
        assert child.receive(LONG) == "still here"


@needs_fork
def test_the_out_of_memory_killer_is_named(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter([7, 8])
    monkeypatch.setattr(process, "oom_kills", lambda: next(kills))
    with Child(work.hang, method="fork") as child:
        assert child.receive(LONG) == "started"
        os.kill(child.process.pid, signal.SIGKILL)
        assert child.receive(LONG) == Crash("was ended by the kernel's out-of-memory killer", killed=True)


def test_ready_names_those_with_messages(work: Any) -> None:
    with Child(work.hang) as talks, Child(work.echo) as waits:
        assert ready([talks, waits], LONG) == [talks]
        assert talks.receive(0) == "started"
        assert ready([talks, waits], 0.3) == []
        waits.send("a")
        assert ready([talks, waits], LONG) == [waits]


# -- call_in_child ---------------------------------------------------------------------------------------
def segfault() -> str:
    signal.raise_signal(signal.SIGSEGV)
    return ""


def endless() -> str:
    while True:
        time.sleep(0.01)


def wrong() -> str:
    raise PluginError("not like this", "but like that")


@needs_fork
@pytest.mark.parametrize(
    ("question", "says"), [(segfault, "SIGSEGV"), (endless, "did not end within 0.5 s"), (wrong, "not like this")]
)
def test_a_question_that_fails_is_one_line(question: Callable[[], str], says: str) -> None:
    with pytest.raises(PluginError) as found:
        call_in_child(question, 0.5 if question is endless else LONG)
    assert says in found.value.what and "\n" not in found.value.what


def test_without_fork_a_question_is_answered_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call_in_child(lambda: "four", LONG) == "four"
    monkeypatch.setattr(process, "can_fork", lambda: False)
    assert call_in_child(lambda: str(os.getpid()), LONG) == str(os.getpid())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(fits: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not fits():
        if time.monotonic() >= end:
            pytest.fail("the awaited state was not reached")
        time.sleep(0.02)
