"""The part of the run that all views of Explore show: the timeline, the curves, both tables, and the maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDockWidget

from foliolab.gui.widgets.interval import Interval

if TYPE_CHECKING:
    from foliolab.gui.explore.counters import Counters
    from foliolab.gui.explore.map_grid import MapGrid
    from foliolab.gui.explore.queries import Facts
    from foliolab.gui.explore.run import Run

COUNTERS: Final = "Counters"


class Surroundings(Protocol):
    """The parts of the workspace that are needed; a protocol, because the workspace imports this module."""

    docks: dict[str, QDockWidget]
    maps: MapGrid
    run: Run | None
    facts: Facts | None
    counters: Counters | None


class ShownPart(QObject):
    """The part, and what follows it besides the timeline, the curves and the table of steps.

    Attributes:
        part: from one position of the run to another; at first the whole run.
    """

    def __init__(self, workspace: Surroundings, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self.part = Interval()
        self.part.changed.connect(self._follow)

    def begin(self, nr_steps: int) -> None:
        """Begin with another run, which is shown as a whole."""
        self.part.cover(0, nr_steps)
        self._follow()

    def zoom(self, factor: float) -> None:
        """Zoom around the position of the run."""
        run = self._workspace.run
        if run is not None and run.view is not None:
            self.part.zoom(factor, run.view.position)

    @property
    def steps(self) -> tuple[int, int] | None:
        """The first and last step of the part, numbered from 0; None for the whole run."""
        return None if self.part.whole or not self.part.high else (self.part.low, self.part.high - 1)

    def _follow(self) -> None:
        self.show_counters()
        self.mark_pages()

    def show_counters(self) -> None:
        """Show the counters of the part; the title of the table says which it is."""
        workspace = self._workspace
        run, counters, dock = workspace.run, workspace.counters, workspace.docks["counters"]
        if run is None or run.view is None or counters is None:
            return
        found = None if self.part.whole else run.view.history.between(self.part.low, self.part.high)
        dock.setWindowTitle(COUNTERS if found is None else f"{COUNTERS}, steps {found.low:,} to {found.high:,}")
        counters.show_lanes(run.view.lanes, found)

    def mark_pages(self) -> None:
        """Mark the pages that the part's steps act on, on the maps that their processes have now."""
        workspace = self._workspace
        if workspace.run is None or workspace.facts is None:
            return
        if self.part.whole:
            workspace.maps.show_part(None)
            return
        from foliolab.gui.explore.queries import touched

        workspace.run.ask("part", self._mark, touched, begin=self.part.low, end=self.part.high)

    def _mark(self, found: dict[int, NDArray[np.bool_]] | None) -> None:
        if not self.part.whole:
            self._workspace.maps.show_part(found)
