"""What a start does: the window, where there is one and a display for it, else the headless comparison."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

FrontEnd = Callable[[Sequence[str]], int]


def main(arguments: Sequence[str]) -> int:
    """Start the front end for this machine with the arguments of `foliolab compare`; return its exit code."""
    return choose()(arguments)


def choose() -> FrontEnd:
    """The front end for this machine: so far always the headless comparison, as there is no window yet."""
    return headless


def headless(arguments: Sequence[str]) -> int:
    """Run `foliolab compare` with the arguments in this process; return its exit code."""
    # Imported here: the window, once it exists, must not pay for the command line.
    from foliolab.framework.cli import main as command_line

    sys.argv = ["foliolab", "compare", *arguments]
    command_line()
    return 0
