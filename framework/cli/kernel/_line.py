"""The line of stderr that says how far a check is. It is overwritten, and only a terminal has one."""

from __future__ import annotations

import sys

CLEARED = "\r\x1b[K"


def show(text: str) -> None:
    """Write a text in place of the one that the line shows."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{CLEARED}{text}")
        sys.stderr.flush()


def clear() -> None:
    """Remove the line, before anything else is written."""
    if sys.stderr.isatty():
        sys.stderr.write(CLEARED)
