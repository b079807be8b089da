"""A watchdog over one operation: a policy's function that does not come to its end is ended, and named.

A function that goes on touching memory is counted; one that touches none is ended once it has used a second of
processor time. Neither depends on how busy the host is.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from foliolab.framework.engine.guard import author_place
from foliolab.framework.errors import PluginError
from foliolab.framework.machine.memory import Memory, Observer
from foliolab.framework.machine.ref import Ref

ACCESSES: Final = 100_000
"""Accesses that one call of a hook may do, and how many more for each page of the largest folio."""
ACCESSES_A_PAGE: Final = 200
PATIENCE: Final = 1.0
"""Seconds of processor time that a hook may use between two accesses."""
TICK: Final = 0.2
LOOK: Final = 1024
"""After how many accesses one looks again whether to stop."""


class Endless(PluginError):
    """A hook does more accesses than any that ends."""


class Stuck(BaseException):
    """A hook is in a loop that touches no memory; raised there from outside."""


class Stopped(BaseException):
    """Whoever wanted the operation wants its end: the budget is over, or Ctrl-C."""


def _never() -> bool:
    return False


class Watchdog:
    """Looks after the operations on one memory: use it as a context around each.

    Args:
        memory: where the operations run, interpreted; who observes it goes on doing so.
        pages: of the largest folio.
        stopped: whether to give up the operation that runs.
    """

    def __init__(self, memory: Memory, pages: int, stopped: Callable[[], bool] = _never) -> None:
        self.memory = memory
        self.limit = ACCESSES + ACCESSES_A_PAGE * pages
        self.stopped = stopped
        self.accesses = 0
        self.thread = 0
        self.bitten = False
        self._hook: Any = None
        self._count = 0
        self._before: Observer | None = None
        self._last: tuple[int, Any] = (-1, None)
        self._since = 0.0

    def __enter__(self) -> Watchdog:
        self._before, self.memory.observer = self.memory.observer, self
        self._hook = None
        self.bitten = False
        self.thread = threading.get_ident()
        _KENNEL.watch(self)
        return self

    def __exit__(self, *cause: object) -> None:
        _KENNEL.forget(self)
        self.memory.observer = self._before

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """One access (see `machine.memory.Observer`).

        Raises:
            Endless: the hook has done too many.
            Stopped: the operation is to be given up.
        """
        hook = self.memory.guard  # each call of a hook has a guard of its own
        if hook is not None:
            if hook is not self._hook:
                self._hook, self._count = hook, 0
            self._count += 1
            if self._count > self.limit:
                raise Endless(
                    f"does not end: {self._count:,} accesses in one call, the last at {author_place()}",
                    "bound the loop",
                )
        self.accesses += 1
        if not self.accesses % LOOK and self.stopped():
            raise Stopped
        if self._before is not None:
            self._before.access(op, ref, old, new)

    def look(self) -> None:
        """Whether the hook that runs has got on since the last look; if not for long, end it."""
        now = (self.accesses, self.memory.guard)
        clock = time.clock_gettime(time.pthread_getcpuclockid(self.thread))
        if now[1] is None or now[0] != self._last[0] or now[1] is not self._last[1]:
            self._last, self._since = now, clock
        elif clock - self._since > PATIENCE:
            self.bitten = True
            _raise_in(self.thread, Stuck)
            self._since = clock


def _raise_in(thread: int, what: type[BaseException] | None) -> None:
    """Raise an exception in another thread; None: take back one that is not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if what is None else ctypes.py_object(what))


class _Kennel:
    """One thread that lets every watchdog look, several times a second."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.dogs: dict[int, Watchdog] = {}
        self.thread: threading.Thread | None = None

    def watch(self, dog: Watchdog) -> None:
        with self.lock:
            self.dogs[dog.thread] = dog
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self.thread.start()

    def forget(self, dog: Watchdog) -> None:
        with self.lock:
            self.dogs.pop(dog.thread, None)
            if dog.bitten:  # perhaps too late; without need it would leave CPython's flag for pending calls set
                _raise_in(dog.thread, None)

    def renew(self) -> None:
        """Start anew in a forked process, which has none of its parent's threads."""
        self.lock = threading.Lock()
        self.dogs.clear()
        self.thread = None

    def _run(self) -> None:
        while True:
            time.sleep(TICK)
            with self.lock:
                for dog in list(self.dogs.values()):
                    dog.look()


_KENNEL = _Kennel()

os.register_at_fork(after_in_child=_KENNEL.renew)
