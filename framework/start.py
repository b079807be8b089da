"""The start of the program: until it handles Ctrl-C itself, Ctrl-C ends it at once, without a traceback."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line. `pyproject.toml` names this function."""
    end_quietly()
    from foliolab.framework.cli import main as run

    run()


def end_quietly() -> None:
    """Let Ctrl-C end this process as it ends a program in C; `isolation.signals` takes it over later.

    Python would raise KeyboardInterrupt wherever an import is. A process that ignores Ctrl-C goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
