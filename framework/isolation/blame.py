"""Name the plugin code that is to blame: the location of an exception, or of code that does not end."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import foliolab.framework
from foliolab.framework.errors import PluginError
from foliolab.framework.isolation.limits import TooSlow, limited

FRAMEWORK: Final = str(Path(foliolab.framework.__file__).parent) + os.sep
"""The folder of the framework's own code."""


PLUGIN_MODULE: Final = "foliolab_file_"
"""How the names of modules begin that plugin files become."""
_LIBRARY: Final = str(Path(os.__file__).parent) + os.sep


def _is_authors(file: str) -> bool:
    """Whether a file is the code of neither FolioLab nor Python's library, which plugins call."""
    in_library = file.startswith(_LIBRARY) and "site-packages" not in file
    return not (file.startswith((FRAMEWORK, "<frozen ")) or in_library)


def location_outside(fault: BaseException) -> str:
    """FILE:LINE of the innermost frame outside the framework and Python's library; empty if there is none."""
    for frame in reversed(traceback.extract_tb(fault.__traceback__)):
        if _is_authors(frame.filename):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def location_in_plugin(fault: BaseException) -> str:
    """FILE:LINE of the innermost frame in a plugin file; empty if there is none."""
    for frame, line in reversed(list(traceback.walk_tb(fault.__traceback__))):
        if frame.f_globals.get("__name__", "").startswith(PLUGIN_MODULE):
            return f"{frame.f_code.co_filename}:{line}"
    return ""


def location_of_frame(frame: FrameType | None) -> str:
    """FILE:LINE of the innermost such frame among a frame and its callers."""
    while frame is not None and not _is_authors(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown location"


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
