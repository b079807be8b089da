"""Finds out why no window can open on this host, before Qt aborts the process."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

HEADLESS: Final = "without a window: foliolab compare"
NEEDED: Final = ("PySide6", "pyqtgraph")
PACKAGES: Final = "pip install 'foliolab[gui]'"
ANYWHERE: Final = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libxkbcommon.so.0": "libxkbcommon0",
}
"""Libraries that Qt needs on any platform, and the Debian packages that contain them."""
ON_X: Final = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""Further libraries that Qt needs on X11."""
NO_SCREEN: Final = ("offscreen", "minimal", "vnc")
"""Platforms of Qt that need no display."""


def hindrance(environment: Mapping[str, str] = os.environ) -> str:
    """Why no window can open and what to install or use instead; empty if a window can open."""
    absent = [name for name in NEEDED if find_spec(name) is None]
    if absent:
        return f"the window needs {' and '.join(absent)}, not installed here: {PACKAGES}; {HEADLESS}"
    platform = environment.get("QT_QPA_PLATFORM", "")
    if sys.platform.startswith("linux"):
        on_x = not platform.startswith((*NO_SCREEN, "wayland"))
        absent = missing(ANYWHERE | ON_X if on_x else ANYWHERE)
        if absent:
            return f"the window needs libraries that are not installed: apt-get install {' '.join(absent)}; {HEADLESS}"
        if not platform.startswith(NO_SCREEN) and not (
            environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
        ):
            return f"there is no display here (DISPLAY is not set), so no window can open; {HEADLESS}"
    return ""


def missing(libraries: Mapping[str, str]) -> list[str]:
    """The packages of the libraries that cannot be loaded."""
    absent = []
    for library, package in libraries.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            absent.append(package)
    return absent
