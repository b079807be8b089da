"""Whose fault an exception is: the plugin's file and line, out of the traceback."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from foliolab.framework.errors import PluginError

FRAMEWORK: Final = "foliolab.framework"


def place_of(fault: BaseException) -> str:
    """File and line of the innermost frame outside the framework; empty if there is none."""
    found = ""
    for frame, line in traceback.walk_tb(fault.__traceback__):
        if _is_author(frame):
            found = f"{frame.f_code.co_filename}:{line}"
    return found


def _is_author(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return not name.startswith(FRAMEWORK) and not frame.f_code.co_filename.startswith("<")


def message(fault: BaseException) -> str:
    """One line: what happened, and where in the plugin."""
    text = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
    if not isinstance(fault, PluginError):
        text = f"{type(fault).__name__}: {text}"
    place = place_of(fault)
    return text if not place or place in text else f"{text} ({place})"


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """End what does not end by itself, in the main thread of a process that may use SIGALRM.

    Raises:
        PluginError: the time is over; says where the code was.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        at = frame
        while at is not None and not _is_author(at):
            at = at.f_back
        place = f"{at.f_code.co_filename}:{at.f_lineno}" if at else "an unknown place"
        raise PluginError(
            f"{what} did not end within {seconds:g} s; it was at {place}", "look for an endless loop there"
        )

    before: Any = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
