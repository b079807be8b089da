"""Follows the run: takes its views as they come, shows each, and says when none comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QStatusBar

if TYPE_CHECKING:
    from foliolab.gui.explore.access_stepper import AccessStepper
    from foliolab.gui.explore.close_up import CloseUp
    from foliolab.gui.explore.going import Going
    from foliolab.gui.explore.inspecting import Inspecting
    from foliolab.gui.explore.map_grid import MapGrid
    from foliolab.gui.explore.precision_plot import PrecisionPlot
    from foliolab.gui.explore.queries import Facts
    from foliolab.gui.explore.run import Run
    from foliolab.gui.explore.run_bar import RunBar
    from foliolab.gui.explore.shown_part import ShownPart
    from foliolab.gui.explore.step_table import StepTable
    from foliolab.gui.window.desk import Desk

PULL: Final = 8
"""Milliseconds from one look for a new view to the next. The session makes at most one view in 14 ms, and the screen
shows at most one in 16 ms: a shorter interval would find nothing, a longer one would show views late."""
COUNTERS_EVERY: Final = 12
"""Views from one update of curves and counters to the next, while playing: five updates a second."""
POSITION_EVERY: Final = 3
"""Views from one update of position and rate to the next, while playing."""
SILENT: Final = 5.0
"""Seconds without a message of the session, those left out in which it had no processor, after which the status bar
says so."""


class Surroundings(Protocol):
    """The parts of the workspace that are needed; a protocol, because the workspace imports this module."""

    desk: Desk
    run: Run | None
    facts: Facts | None
    maps: MapGrid
    close_up: CloseUp
    shown_part: ShownPart
    run_bar: RunBar
    steps: StepTable
    going: Going
    inspecting: Inspecting
    accesses: AccessStepper | None
    plot: PrecisionPlot | None

    def statusBar(self) -> QStatusBar: ...
    def isVisible(self) -> bool: ...


class Following(QObject):
    """The timer that follows the run.

    Signals:
        made: the `Facts` of the session, which is made.
        failed: the `FolioLabError` with which the session ended.

    Attributes:
        zoomed: whether the first zoom, to the part of the maps that is used, is done.
    """

    made = Signal(object)
    failed = Signal(object)

    def __init__(self, workspace: Surroundings, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._asked = False  # for the facts
        self._views = 0
        self._hangs = False  # whether the status bar says that a step may not end
        self.zoomed = False
        self._timer = QTimer(self, interval=PULL, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._pull)

    def start(self) -> None:
        """Follow the run."""
        self._timer.start()

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()

    def begin(self) -> None:
        """Start with another run, or with none."""
        self._asked = False

    def _pull(self) -> None:
        """Show a new view, if there is one."""
        workspace = self._workspace
        run, going = workspace.run, workspace.going
        if run is None:
            return
        if run.session.failed is not None:
            self.failed.emit(run.session.failed)
            return
        arrived = going.arrived
        new = run.pull()
        if arrived:
            going.begin()
        if not workspace.isVisible() and not run.is_open("steps"):
            self._timer.stop()
        if not self._asked and run.session.ready:
            from foliolab.gui.explore.queries import facts

            self._asked = True
            run.ask("facts", self.made.emit, facts)
        if workspace.facts is None or run.view is None:
            return
        if new:
            self._views += 1
            self._show(run)
            workspace.close_up.update()
            if self._hangs:
                self._hangs = False
                workspace.statusBar().clearMessage()
        elif (silent := run.session.silent) > SILENT:
            self._hangs = True
            text = f"No answer for {silent:.0f} s: a step may not end. To end the run, start another one."
            workspace.statusBar().showMessage(text)

    def _show(self, run: Run) -> None:
        """Show the run's newest view; while playing, parts of the window are updated less often."""
        workspace, view = self._workspace, run.view
        assert view is not None and workspace.plot is not None
        workspace.maps.show_view(view)
        if not self.zoomed:
            used = max((int(np.flatnonzero(cells)[-1]) + 1 for cells in view.maps.values() if cells.any()), default=0)
            self.zoomed = used > 0
            workspace.maps.zoom_to_used(used)
        if not view.playing or self._views % POSITION_EVERY == 0:
            workspace.run_bar.show_view(view)
        play, word = workspace.desk.commands.action("explore.play"), "Pause" if view.playing else "Play"
        if play.iconText() != word:
            play.setText(f"&{word}")
            play.setIconText(word)
        if view.error is not None:
            workspace.desk.notices.say(view.error.what, "warning", view.error.hint)
        if view.playing and self._views % COUNTERS_EVERY:
            return
        workspace.shown_part.show_counters()
        workspace.plot.show_history(view.history, view.position)
        workspace.run_bar.slider.show_marks(view.history)
        if not view.playing and workspace.accesses is not None:
            workspace.accesses.at = -1
            workspace.inspecting.after_step()
            workspace.steps.show_position(view.position)
            workspace.shown_part.mark_pages()
