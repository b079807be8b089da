"""Cyclic garbage is collected in the window's thread alone: a widget that another thread collected would end Qt."""

from __future__ import annotations

import gc
from typing import Final

from PySide6.QtCore import QObject, QTimer

EVERY: Final = 250
"""Milliseconds between two looks at how much there is."""


class Collector(QObject):
    """Does what the interpreter would do by itself, from a timer; the interpreter's own is off meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> None:
        """Collect the generations that are due."""
        counts, limits = gc.get_count(), gc.get_threshold()
        for generation in (2, 1, 0):
            if counts[generation] > limits[generation] > 0:
                gc.collect(generation)
                return

    def stop(self) -> None:
        """Collect all; from now on the interpreter does it again."""
        self._timer.stop()
        gc.collect()
        gc.enable()
