"""Name the plugin code that is to blame: the location of an exception, or of code that does not end."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import foliolab.framework
from foliolab.framework.errors import PluginError
from foliolab.framework.isolation.limits import TooSlow, limited

FRAMEWORK: Final = str(Path(foliolab.framework.__file__).parent) + os.sep
"""The folder of the framework's own code."""


def location_outside(fault: BaseException) -> str:
    """FILE:LINE of the innermost frame outside the framework; empty if all frames are the framework's."""
    for frame in reversed(traceback.extract_tb(fault.__traceback__)):
        if not frame.filename.startswith(FRAMEWORK):
            return f"{frame.filename}:{frame.lineno}"
    return ""


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Stop plugin code that does not end, and name the line that it was at; see `limited`.

    Args:
        seconds: that the block may take.
        what: the subject of the message.

    Raises:
        PluginError: the time is over.
    """
    try:
        with limited(seconds):
            yield
    except TooSlow as fault:
        location = location_outside(fault) or "an unknown location"
        raise PluginError(
            f"{what} did not end within {seconds:g} s; it was at {location}", "look for an endless loop there"
        ) from fault
