"""Whether the last window ended in order: the settings name the process of a window until it is closed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foliolab.gui.window.settings import Settings

PROCESS: Final = "window/process"


def begin(settings: Settings) -> bool:
    """Note this process. Returns whether the window before it was closed, or is still open."""
    before = settings.number(PROCESS)
    settings.keep(PROCESS, os.getpid())
    settings.write()
    return not before or _is_alive(before)


def end(settings: Settings) -> None:
    """Note that the window is closed."""
    if settings.number(PROCESS) == os.getpid():
        settings.keep(PROCESS, 0)


def _is_alive(process: int) -> bool:
    try:
        with suppress(PermissionError):  # it is somebody else's
            os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    return True
