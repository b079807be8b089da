"""What jobs of tests do: module-level functions, as a process of its own needs them."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import NoReturn

from foliolab.framework.errors import UsageError
from foliolab.gui.window.jobs import Step


def add(a: int, b: int, say: Callable[[object], None]) -> int:
    say(Step("adding", 1, 2))
    say("news")
    return a + b


def crash(say: Callable[[object], None]) -> NoReturn:
    say(Step("about to crash"))
    signal.raise_signal(signal.SIGSEGV)
    raise AssertionError


def refuse(say: Callable[[object], None]) -> NoReturn:
    raise UsageError("there is no such thing", "name another")


def slip(say: Callable[[object], None]) -> NoReturn:
    raise ZeroDivisionError("on purpose")


def hang(say: Callable[[object], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say(Step("hanging"))
    time.sleep(600)


def family(say: Callable[[object], None]) -> None:
    """Start a process that would outlive this one."""
    child = subprocess.Popen(["sleep", "600"])
    say(child.pid)
    time.sleep(600)


def polite(say: Callable[[object], None]) -> str:
    try:
        say(Step("working"))
        time.sleep(600)
    except KeyboardInterrupt:
        return "what is known so far"
    return "all"
