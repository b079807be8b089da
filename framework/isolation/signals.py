"""SIGINT, SIGTERM and SIGHUP in the program's own process: each raises KeyboardInterrupt, so that results are kept.

Python raises the exception wherever the main thread happens to be. In some code that does harm:

- While a module is imported: Cython's modules ignore exceptions there, and importlib's own callbacks do. The program
  would go on as if nothing had happened.
- While `eval` or `exec` runs a string, as typer does with annotations: CPython then ends the process as if SIGINT had
  killed it, whatever the program does with the exception. In both the handler waits until that is over, at most
  IMPORT_SECONDS, and then raises.
- In a finalizer or a weak reference's callback: Python prints the exception and forgets it. It is raised again.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOPS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
"""The signals that ask a process to stop."""
IMPORT_SECONDS: Final = 2.0
"""A plugin's import can hang; a signal ends it, or what is evaluated, after this time."""
RETRY_SECONDS: Final = 0.02

_blocks: list[list[int]] = []
"""For each open `stops_kept`: the signals that raised KeyboardInterrupt in it, or that were noted in it."""


def received() -> int:
    """The first signal that raised KeyboardInterrupt in the open `stops_kept`, or was noted in it; 0: none."""
    return _blocks[-1][0] if _blocks and _blocks[-1] else 0


def note(number: int) -> None:
    """Remember a signal that another handler has taken, until the open `stops_kept` ends."""
    if _blocks:
        _blocks[-1].append(number)


@contextmanager
def stops_kept() -> Iterator[None]:
    """Make sure that SIGINT, SIGTERM and SIGHUP in the block raise KeyboardInterrupt in the main thread.

    In another thread nothing changes. A signal that is ignored, as by nohup, or handled already stays so. What was
    received is forgotten where the block ends: a later block of the same process must not take it for its own.
    """
    in_main = threading.current_thread() is threading.main_thread()
    taken = {
        number: before
        for number in STOPS
        if (before := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler)
    }
    if not in_main or not taken:
        yield
        return
    hook = sys.unraisablehook
    block = sys._getframe(2)  # whose `with` it is: the program itself may have been started as a string, by python -c
    first = 0.0  # when the signal that waits arrived
    raised: list[int] = []
    _blocks.append(raised)

    def on_stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        first = first or now
        if _is_importing_or_evaluating(frame, block) and now - first < IMPORT_SECONDS:
            _send_again(number)
            return
        first = 0.0
        raised.append(number)
        raise KeyboardInterrupt

    def on_unraisable(args: UnraisableHookArgs, /) -> None:
        if issubclass(args.exc_type, KeyboardInterrupt):
            _send_again(raised.pop() if raised else signal.SIGINT)
        else:
            hook(args)

    for number in taken:
        signal.signal(number, on_stop)
    sys.unraisablehook = on_unraisable
    try:
        yield
    finally:
        _blocks.pop()
        sys.unraisablehook = hook
        for number, before in taken.items():
            signal.signal(number, before)


def _is_importing_or_evaluating(frame: FrameType | None, block: FrameType | None) -> bool:
    """Whether `frame`, or one that called it up to `block`, is importlib's, or of a string that Python evaluates."""
    while frame is not None and frame is not block:
        if frame.f_code.co_filename.startswith(("<frozen importlib.", "<string>")):
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> None:
    # threading.Thread takes a lock that the interrupted code may hold.
    _thread.start_new_thread(_send_later, (number,))


def _send_later(number: int) -> None:
    time.sleep(RETRY_SECONDS)
    os.kill(os.getpid(), number)
