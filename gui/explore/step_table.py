"""The table of the steps of the shown part of a run: when, of which kind, who became wrong, and in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent, QShowEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from foliolab.gui.explore.step_order import COLUMNS, TIME, WIDTHS
from foliolab.gui.explore.step_rows import StepRows
from foliolab.gui.explore.step_times import StepTimes
from foliolab.gui.widgets.columns import Columns
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.range_drag import ZOOM

if TYPE_CHECKING:
    from foliolab.gui.explore.queries import Outline
    from foliolab.gui.explore.run import Run
    from foliolab.gui.window.settings import Settings

ASKED: Final = 200
"""Steps that one question asks for."""


class StepTable(QTableView):
    """The table. A click on a heading sorts it by number, time, kind, or by the policies that became wrong.

    A drag over rows shows their part alone; Ctrl and the wheel zoom around the row under the mouse.

    Args:
        part: the part of the run that is shown.
        run: the run that is asked; None without one.

    Signals:
        wanted: (position): a click, or Enter, wants the state after a step.
    """

    wanted = Signal(int)

    def __init__(self, part: Interval, run: Callable[[], Run | None]) -> None:
        super().__init__()
        self._part, self._run = part, run
        self._lacking: set[int] = set()
        self._position = 0
        self._known: tuple[int, int, int] | None = None  # of which steps, how far run, kinds and verdicts are known
        self.rows = StepRows(part)
        self.rows.lacking.connect(self._note)
        self._asking = QTimer(self, singleShot=True, interval=0)
        self._asking.timeout.connect(self._ask)
        self.setModel(self.rows)
        self.setAccessibleName("Steps of the run")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(60)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(24)
        self.columns = Columns(self.horizontalHeader(), "Steps of the run")
        self.columns.show(COLUMNS)
        for column, width in enumerate(WIDTHS):
            self.horizontalHeader().resizeSection(column, width)
        self.columns.sorted.connect(self._sort)
        self.activated.connect(self._activated)
        part.changed.connect(self._follow)

    def remember(self, settings: Settings) -> None:
        """The table keeps its order and widths under a name, as `Columns.remember` does."""
        self.columns.remember(settings)
        self._sort()

    def _sort(self) -> None:
        self.rows.sort_by(self.columns.at, self.columns.descending)
        self._follow()

    def begin(self, times: StepTimes) -> None:
        """Begin with another run, of which these times are known."""
        self._lacking.clear()
        self._known = None
        self.rows.begin(times)
        self.setColumnHidden(TIME, not times.known)

    def show_position(self, position: int) -> None:
        """Select the step that was done last."""
        self._position = position
        row = self.rows.order.row(position - 1)
        if row >= 0:
            self.selectRow(row)
        else:
            self.clearSelection()
        self._ask_outline()

    def _follow(self) -> None:
        """Show the beginning of another part, or the step that was done last if it is in it."""
        self.scrollToTop()
        self.show_position(self._position)

    # -- kinds and wrong answers -----------------------------------------------------------------------
    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._ask_outline()

    def _ask_outline(self) -> None:
        """Ask for what is not known of the steps that have rows; only while they are shown."""
        run, order = self._run(), self.rows.order
        if run is None or run.view is None or not order.nr or not self.isVisible():
            return
        wanted = (order.first, order.first + order.nr, run.view.farthest)
        if wanted != self._known:
            from foliolab.gui.explore.queries import outline

            self._known = wanted
            run.ask("outline", self._learn, outline, begin=wanted[0], end=wanted[1])

    def _learn(self, outline: Outline) -> None:
        self.rows.learn_outline(outline)
        row = self.rows.order.row(self._position - 1)
        if row >= 0 and self.currentIndex().row() != row:  # the rows have moved
            self.selectRow(row)

    # -- sentences -------------------------------------------------------------------------------------
    def _note(self, step: int) -> None:
        self._lacking.add(step)
        if not self._asking.isActive():
            self._asking.start()

    def _ask(self) -> None:
        """Ask for the sentences that are lacking; one question at a time, the next one when its answer has come."""
        from foliolab.gui.explore.queries import sentences

        run = self._run()
        if run is None or not self._lacking or run.is_open("sentences"):
            return
        begin = min(self._lacking)
        end = min(max(self._lacking) + 1, begin + ASKED)
        run.ask("sentences", partial(self._came, begin, end), sentences, begin=begin, end=end)

    def _came(self, begin: int, end: int, texts: Sequence[str]) -> None:
        self._lacking -= set(range(begin, end))
        self.rows.learn(begin, texts)
        self._ask()

    # -- mouse and keyboard ----------------------------------------------------------------------------
    def _activated(self, index: QModelIndex) -> None:
        self.wanted.emit(self.rows.order.step(index.row()) + 1)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Show the part of the chosen rows, or the state after the one that was clicked."""
        super().mouseReleaseEvent(event)
        rows = [index.row() for index in self.selectionModel().selectedRows()]
        if event.button() != Qt.MouseButton.LeftButton or not rows:
            return
        steps = [self.rows.order.step(row) for row in rows]
        if len(steps) == 1:
            self.wanted.emit(steps[0] + 1)
        elif self.rows.order.in_time:
            self._part.see(min(steps), max(steps) + 1)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and event.angleDelta().y():
            row = max(self.rowAt(round(event.position().y())), 0)
            self._part.zoom(ZOOM ** (event.angleDelta().y() / 120), self.rows.order.step(row))
            event.accept()
        else:
            super().wheelEvent(event)
