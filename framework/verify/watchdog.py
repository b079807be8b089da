"""Ends a policy's function that does not return, and names the function.

A function that accesses memory is ended after a number of accesses. A function that accesses none is ended after a
quarter of a second of CPU time. Neither limit depends on the load of the host.

A loop without accesses cannot be interrupted from within, because the interpreted engine only gains control at an
access. A monitor thread therefore looks at every running operation several times a second, and raises `Stuck` in the
thread that makes no progress (`PyThreadState_SetAsyncExc`). CPython delivers such an exception at the next bytecode.
If the operation ends before that, the exception is taken back; otherwise it would hit unrelated code.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from foliolab.framework.engine.guard import author_location
from foliolab.framework.errors import PluginError
from foliolab.framework.machine.memory import Memory, Observer
from foliolab.framework.machine.ref import Ref

ACCESSES: Final = 30_000
"""Accesses that one call of a hook may do, beside `ACCESSES_A_PAGE` for each page of the largest folio."""
ACCESSES_A_PAGE: Final = 200
PATIENCE: Final = 0.25
"""Seconds of CPU time that a hook may use between two accesses."""
TICK: Final = 0.2
"""Seconds between two looks of the monitor thread."""
POLL: Final = 1024
"""Accesses between two calls of `stopped`."""


class Endless(PluginError):
    """A hook does more accesses than the limit."""


class Stuck(BaseException):
    """A hook runs in a loop without accesses. The monitor thread raises this in the hook's thread."""


class Stopped(BaseException):
    """The operation is abandoned: the budget is used up, or the user pressed Ctrl-C."""


def _never() -> bool:
    return False


class Watchdog:
    """Watches the operations on one memory; a context manager around each operation.

    Args:
        memory: the interpreted memory. An observer that it has stays informed.
        pages: of the largest folio.
        stopped: whether to abandon the running operation.
    """

    def __init__(self, memory: Memory, pages: int, stopped: Callable[[], bool] = _never) -> None:
        self.memory = memory
        self.limit = ACCESSES + ACCESSES_A_PAGE * pages
        self.stopped = stopped
        self.accesses = 0
        self.thread = 0
        self.raised = False
        self._hook: Any = None
        self._count = 0
        self._before: Observer | None = None
        self._last: tuple[int, Any] = (-1, None)
        self._since = 0.0

    def __enter__(self) -> Watchdog:
        self._before, self.memory.observer = self.memory.observer, self
        self._hook = None
        self.raised = False
        self.thread = threading.get_ident()
        _MONITOR.watch(self)
        return self

    def __exit__(self, *cause: object) -> None:
        _MONITOR.forget(self)
        self.memory.observer = self._before

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """One access (see `machine.memory.Observer`).

        Raises:
            Endless: the hook has done too many accesses.
            Stopped: the operation is abandoned.
        """
        hook = self.memory.guard  # each call of a hook has a guard of its own
        if hook is not None:
            if hook is not self._hook:
                self._hook, self._count = hook, 0
            self._count += 1
            if self._count > self.limit:
                raise Endless(
                    f"does not end: {self._count:,} accesses in one call, the last at {author_location()}",
                    "bound the loop",
                )
        self.accesses += 1
        if not self.accesses % POLL and self.stopped():
            raise Stopped
        if self._before is not None:
            self._before.access(op, ref, old, new)

    def look(self) -> None:
        """End the running hook if it has used CPU time for `PATIENCE` seconds without an access."""
        now = (self.accesses, self.memory.guard)
        clock = time.clock_gettime(time.pthread_getcpuclockid(self.thread))
        if now[1] is None or now[0] != self._last[0] or now[1] is not self._last[1]:
            self._last, self._since = now, clock
        elif clock - self._since > PATIENCE:
            self.raised = True
            _raise_in(self.thread, Stuck)
            self._since = clock


class _TakenBack(BaseException):
    """Takes the place of a `Stuck` that came too late."""


def _raise_in(thread: int, what: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(what))


def _take_back() -> None:
    """Take back an exception that was sent to this thread and that has perhaps not been raised.

    CPython sets a flag for it, and clears the flag only where an exception is raised; with the flag, a function that is
    traced (by coverage, hypothesis or a debugger) never gets beyond its first instruction. So another exception takes
    its place, and is raised and caught here.
    """
    try:
        _raise_in(threading.get_ident(), _TakenBack)
        while True:
            pass  # CPython raises it at the next jump
    except _TakenBack:
        pass


class _Monitor:
    """The thread that calls `Watchdog.look` of every running operation, several times a second."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.watching: dict[int, Watchdog] = {}
        self.thread: threading.Thread | None = None

    def watch(self, watchdog: Watchdog) -> None:
        with self.lock:
            self.watching[watchdog.thread] = watchdog
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self.thread.start()

    def forget(self, watchdog: Watchdog) -> None:
        """Watch no more; in the thread that was watched."""
        with self.lock:
            self.watching.pop(watchdog.thread, None)
        if watchdog.raised:
            _take_back()

    def renew(self) -> None:
        """Reset after a fork: a child process does not inherit the threads of its parent."""
        self.lock = threading.Lock()
        self.watching.clear()
        self.thread = None

    def _run(self) -> None:
        while True:
            time.sleep(TICK)
            with self.lock:
                for watchdog in list(self.watching.values()):
                    watchdog.look()


_MONITOR = _Monitor()

os.register_at_fork(after_in_child=_MONITOR.renew)
