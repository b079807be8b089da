"""Ctrl-C in the program's own process.

Python raises KeyboardInterrupt wherever the main thread happens to be. In two kinds of code the exception is lost, and
the program goes on as if Ctrl-C had not been pressed:

- While a module is imported: Cython's modules ignore exceptions there, and importlib's own callbacks do. The handler
  therefore waits until the import is over, at most IMPORT_SECONDS, and then raises.
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

IMPORT_SECONDS: Final = 2.0
"""A plugin's import can hang; Ctrl-C ends it after this time."""
RETRY_SECONDS: Final = 0.02


@contextmanager
def ctrl_c_kept() -> Iterator[None]:
    """Make sure that Ctrl-C during the block raises KeyboardInterrupt in the main thread, and is not lost.

    In another thread, or where SIGINT is ignored or handled already, nothing changes.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    hook = sys.unraisablehook
    first = 0.0  # when the signal that waits arrived

    def on_sigint(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        first = first or now
        if _is_importing(frame) and now - first < IMPORT_SECONDS:
            _send_again()
            return
        first = 0.0
        raise KeyboardInterrupt

    def on_unraisable(args: UnraisableHookArgs, /) -> None:
        if issubclass(args.exc_type, KeyboardInterrupt):
            _send_again()
        else:
            hook(args)

    signal.signal(signal.SIGINT, on_sigint)
    sys.unraisablehook = on_unraisable
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        frame = frame.f_back
    return False


def _send_again() -> None:
    # threading.Thread takes a lock that the interrupted code may hold.
    _thread.start_new_thread(_send_later, ())


def _send_later() -> None:
    time.sleep(RETRY_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)
