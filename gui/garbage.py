"""Runs Python's cyclic garbage collector only in the GUI thread.

Python collects cyclic garbage in whichever thread allocates the object that crosses a threshold. Widgets are part of
reference cycles (a parent refers to its child and the child to its parent), so a worker thread may be the one that
frees a widget. Qt allows that only in the GUI thread; elsewhere the process crashes. The automatic collector is
therefore disabled while the window is open, and a timer of the GUI thread does its work.
"""

from __future__ import annotations

import gc
from typing import Final

from PySide6.QtCore import QObject, QTimer

EVERY: Final = 250
"""Milliseconds between two checks whether a generation is due."""


class Collector(QObject):
    """Disables the automatic collector, and collects from a timer by the same thresholds."""

    def __init__(self) -> None:
        super().__init__()
        gc.disable()
        self._timer = QTimer(self, interval=EVERY)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    def collect(self) -> None:
        """Collect the oldest generation that is due, and with it the younger ones."""
        counts, limits = gc.get_count(), gc.get_threshold()
        for generation in (2, 1, 0):
            if counts[generation] > limits[generation] > 0:
                gc.collect(generation)
                return

    def stop(self) -> None:
        """Collect everything, and enable the automatic collector again."""
        self._timer.stop()
        gc.collect()
        gc.enable()
