"""Time limits inside a process: an exception ends Python code that takes too long."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooSlow(BaseException):
    """The time limit is over. Not an Exception, so that a plugin's `except Exception` does not catch it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block once `seconds` have passed.

    The limit is a timer signal. Python delivers signals to the main thread of a POSIX process, between two bytecodes:
    in another thread, or elsewhere, there is no limit, and native code is not interrupted (see `process`).
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, stop)
    # The timer repeats, since the block may swallow the first TooSlow. A timer that was running before (such as
    # pytest-timeout's) continues afterwards.
    due, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler if handler is not None else signal.SIG_DFL)
        if due:
            signal.setitimer(signal.ITIMER_REAL, max(due - (time.monotonic() - began), 0.001), interval)
