"""Whose fault an exception is: the plugin's file and line, out of the traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from foliolab.framework.engine.answers import wrong_answer
from foliolab.framework.errors import PluginError
from foliolab.framework.plugins.discovery import TooSlow, limited, place_outside


def message(fault: BaseException) -> str:
    """One line: what happened, and where in the plugin."""
    text = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
    if not isinstance(fault, PluginError):
        text = f"{wrong_answer(fault) or type(fault).__name__}: {text}"
    place = place_outside(fault)
    return text if not place or place in text else f"{text} ({place})"


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """End what does not end by itself, in the main thread of a process.

    Raises:
        PluginError: the time is over; says where the code was.
    """
    try:
        with limited(seconds):
            yield
    except TooSlow as fault:
        place = place_outside(fault) or "an unknown place"
        raise PluginError(
            f"{what} did not end within {seconds:g} s; it was at {place}", "look for an endless loop there"
        ) from fault
