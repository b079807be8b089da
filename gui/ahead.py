"""Imports in a thread, once the window is shown, what views import at their first use, which then takes no time."""

from __future__ import annotations

import gc
import importlib
import threading
import time
from contextlib import suppress
from typing import Final

LATER: Final = ("foliolab.framework.run.cases",)
"""The modules. None imports Qt: where two threads make PySide's types at once, the process ends with SIGSEGV."""
PAUSE: Final = 0.005
"""Seconds between two of them, in which the window's thread gets the interpreter."""


class Ahead:
    """The imports; `begin` starts them, once for the process."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def begin(self) -> None:
        """Start to import, if nobody has yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=prepare, args=(self._over,), name="ahead", daemon=True)
            self._thread.start()

    def shut(self) -> None:
        """Import no further module, and wait for the end of the one that is being imported."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def done(self) -> bool:
        """Whether no import is under way."""
        return self._thread is None or not self._thread.is_alive()


AHEAD: Final = Ahead()


def prepare(over: threading.Event) -> None:
    """Import the modules, and compute what they keep for the process: the verifier's digest.

    What exists afterwards is hardly ever garbage. It is left out of later collections, which would visit all of it in
    the window's thread, for some fifty milliseconds each time.

    Args:
        over: is set when nothing more is to be imported.
    """
    from foliolab.framework.verify.version import verifier_digest

    verifier_digest()
    for name in LATER:
        if over.is_set():
            return
        with suppress(Exception):  # the view that needs it says what is wrong, at its first use
            importlib.import_module(name)
        time.sleep(PAUSE)
    gc.freeze()
