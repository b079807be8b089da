"""Functions that tests run in child processes. They stand in a module, so that a spawned process finds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from typing import NoReturn

from foliolab.framework.errors import UsageError
from foliolab.framework.isolation.process import Child


def count(pipe: Connection, numbers: int) -> str:
    for number in range(numbers):
        pipe.send(number)
    return "done"


def echo(pipe: Connection) -> str:
    while (message := pipe.recv()) != "end":
        pipe.send(message)
    return "ended"


def crash(pipe: Connection) -> None:
    pipe.send("started")
    signal.raise_signal(signal.SIGSEGV)


def crash_nameless(pipe: Connection) -> None:
    signal.raise_signal(signal.SIGRTMIN + 1)


def leave(pipe: Connection) -> NoReturn:
    os._exit(3)


def refuse(pipe: Connection) -> NoReturn:
    raise UsageError("there is no such thing", "name another")


def slip(pipe: Connection) -> NoReturn:
    raise ZeroDivisionError("on purpose")


def devour(pipe: Connection) -> NoReturn:
    raise MemoryError


def hang(pipe: Connection) -> None:
    pipe.send("started")
    while True:
        time.sleep(0.01)


def polite(pipe: Connection) -> str:
    try:
        hang(pipe)
    except KeyboardInterrupt:
        return "what is known so far"
    return "all"


def fork_process(pipe: Connection) -> None:
    with Child(hang, method="fork") as child:
        pipe.send(child.process.pid)
        time.sleep(600)


def start_process(pipe: Connection) -> None:
    """Start a process that outlives this one."""
    pipe.send(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
    time.sleep(600)
