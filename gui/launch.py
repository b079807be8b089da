"""Opens the window if possible, else runs the headless comparison."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from foliolab.framework.start import end_quietly
from foliolab.gui.display import hindrance

NO_WINDOW: Final = 3


def main(arguments: Sequence[str]) -> int:
    """`python3 gui`: open the window; with options, or if no window can open, run `foliolab compare`.

    Args:
        arguments: files to open, or the options of `foliolab compare`.

    Returns:
        the exit code.
    """
    if any(word.startswith("-") for word in arguments):
        return headless(arguments)
    why = hindrance()
    if not why:
        return window([Path(word) for word in arguments], [])
    if arguments:  # only the window opens files
        return _cannot(why)
    sys.stderr.write(f"foliolab: {why}\nfoliolab: running foliolab compare instead\n")
    return headless(arguments)


def entry() -> int:
    """`foliolab-gui [FILE]...`: open the window."""
    end_quietly()
    return window([Path(word) for word in sys.argv[1:]], [])


def window(files: Sequence[Path], plugins: Sequence[Path]) -> int:
    """Open the window, or print why no window can open. Returns the exit code."""
    why = hindrance()
    if why:
        return _cannot(why)
    # Imported here because a start without a window must not need Qt.
    from foliolab.gui.application import start

    return start(files, plugins)


def headless(arguments: Sequence[str]) -> int:
    """Run `foliolab compare` with the arguments in this process; return its exit code."""
    # Imported here because the window does not need the command line.
    from foliolab.framework.cli import main as command_line

    sys.argv = ["foliolab", "compare", *arguments]
    command_line()
    return 0


def _cannot(why: str) -> int:
    sys.stderr.write(f"foliolab: {why}\n")
    return NO_WINDOW
