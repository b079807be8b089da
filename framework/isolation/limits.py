"""Limits inside a process: an exception ends Python code that takes too long; memory may be limited, too."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

OURS: Final = -math.inf
"""`Patience.waited` while FolioLab's own code runs, which may wait for a pipe or a disk."""


class TooSlow(BaseException):
    """The time limit is over. Not an Exception, so that a plugin's `except Exception` does not catch it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block once `seconds` have passed.

    The limit is a timer signal. Python delivers signals to the main thread of a POSIX process, between two bytecodes:
    in another thread, or elsewhere, there is no limit, and native code is not interrupted (see `process`).
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    # The timer repeats, since the block may swallow the first TooSlow.
    with _timer(seconds, 1.0, stop):
        yield


def limit_memory(above: int) -> None:
    """Let this process have at most `above` bytes of address space more than now, where the kernel can do that."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = pages * resource.getpagesize() + above
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


class Patience:
    """Ends code that makes no progress for too long, after a word about it.

    Args:
        seconds: without progress until TooSlow is raised, where `limited` would raise it.
        first: seconds without progress until `tell` is called.
        tell: called with the seconds, and the frame that is running.

    Attributes:
        waited: seconds since the last progress. Who makes progress assigns 0, or OURS while nobody has to.
    """

    def __init__(self, seconds: float, first: float, tell: Callable[[float, FrameType | None], None]) -> None:
        self.seconds = seconds
        self.first = first
        self.tell = tell
        self.waited: float = OURS

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look once a second in this block; a process that is stopped meanwhile waits for nothing."""
        with _timer(1.0, 1.0, self._look):
            yield

    def _look(self, number: int, frame: FrameType | None) -> None:
        before, self.waited = self.waited, self.waited + 1
        if before < self.first <= self.waited:
            self.tell(self.waited, frame)
        if self.waited >= self.seconds:  # again every second, since the code may swallow the first TooSlow
            raise TooSlow


@contextmanager
def _timer(seconds: float, interval: float, handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call a function after some seconds and then at intervals, where signals can be handled; else never."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, handle)
    # A timer that was running before (such as pytest-timeout's) continues afterwards.
    due, before = signal.setitimer(signal.ITIMER_REAL, seconds, interval)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler if handler is not None else signal.SIG_DFL)
        if due:
            signal.setitimer(signal.ITIMER_REAL, max(due - (time.monotonic() - began), 0.001), before)
