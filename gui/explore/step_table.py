"""The table of the steps of the shown part of a run; sentences are asked for where they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from foliolab.framework.escaping import visible
from foliolab.gui.explore.step_times import StepTimes
from foliolab.gui.widgets.columns import Columns
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.range_drag import ZOOM

if TYPE_CHECKING:
    from foliolab.gui.explore.run import Run
    from foliolab.gui.window.settings import Settings

Index = QModelIndex | QPersistentModelIndex
COLUMNS: Final = ("Step", "Time", "What it does")
TEXT: Final = COLUMNS.index("What it does")
MOST_ROWS: Final = 100_000
"""Rows of the table; a longer part shows its first steps."""
ASKED: Final = 200
"""Steps that one question asks for."""
KEPT: Final = 20_000
"""Sentences that are kept."""


class StepRows(QAbstractTableModel):
    """The steps of the part.

    Signals:
        lacking: a row without its sentence was looked at.
    """

    lacking = Signal(int)

    def __init__(self, part: Interval) -> None:
        super().__init__()
        self._part = part
        self._last_first = False
        self.times = StepTimes()
        self._texts: dict[int, str] = {}
        part.changed.connect(self._reset)

    def begin(self, times: StepTimes) -> None:
        """The table forgets its rows, and lists the steps of another run."""
        self.times = times
        self._texts.clear()
        self._reset()

    def turn(self, last_first: bool) -> None:
        """Have the last step first, or the first one."""
        if last_first != self._last_first:
            self._last_first = last_first
            self._reset()

    def step(self, row: int) -> int:
        """The step of a row, numbered from 0."""
        return self._part.high - 1 - row if self._last_first else self._part.low + row

    def row(self, step: int) -> int:
        """The row of a step; there may be no such row."""
        return self._part.high - 1 - step if self._last_first else step - self._part.low

    def _reset(self) -> None:
        self.beginResetModel()
        self.endResetModel()

    def learn(self, begin: int, texts: Sequence[str]) -> None:
        """Take the sentences of steps from `begin` on."""
        if len(self._texts) > KEPT:
            self._texts.clear()
        self._texts.update(enumerate(texts, begin))
        first, last = sorted((self.row(begin), self.row(begin + len(texts) - 1)))
        first, last = max(first, 0), min(last, self.rowCount() - 1)
        if first <= last:
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(COLUMNS) - 1))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else min(self._part.high - self._part.low, MOST_ROWS)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A step's number, its time, and its sentence, "…" until it is known."""
        if role != Qt.ItemDataRole.DisplayRole or not index.isValid():
            return None
        step = self.step(index.row())
        if index.column() == 0:
            return f"{step + 1:,}"
        if index.column() == 1:
            return self.times.text(step + 1)
        if step not in self._texts:
            self.lacking.emit(step)
        return visible(self._texts.get(step, "…"))


class StepTable(QTableView):
    """The table. A drag over rows shows their part alone; Ctrl and the wheel zoom around the row under the mouse.

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
        self.columns.sorted.connect(self._sort)
        self.activated.connect(self._activated)
        part.changed.connect(self._follow)

    def remember(self, settings: Settings) -> None:
        """The table keeps its order and widths under a name, as `Columns.remember` does."""
        self.columns.remember(settings)
        self._sort()

    def _sort(self) -> None:
        """Have the last step first if number or time are sorted so; what steps do is known only of those in sight."""
        self.rows.turn(self.columns.descending and self.columns.at != TEXT)
        self._follow()

    def begin(self, times: StepTimes) -> None:
        """Begin with another run, of which these times are known."""
        self._lacking.clear()
        self.rows.begin(times)
        self.setColumnHidden(1, not times.known)

    def show_position(self, position: int) -> None:
        """Select the step that was done last."""
        self._position = position
        row = self.rows.row(position - 1)
        if 0 <= row < self.rows.rowCount():
            self.selectRow(row)
        else:
            self.clearSelection()

    def _follow(self) -> None:
        """Show the beginning of another part, or the step that was done last if it is in it."""
        self.scrollToTop()
        self.show_position(self._position)

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
        self.wanted.emit(self.rows.step(index.row()) + 1)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Show the part of the chosen rows, or the state after the one that was clicked."""
        super().mouseReleaseEvent(event)
        rows = [index.row() for index in self.selectionModel().selectedRows()]
        if event.button() != Qt.MouseButton.LeftButton or not rows:
            return
        steps = [self.rows.step(row) for row in rows]
        if len(steps) > 1:
            self._part.see(min(steps), max(steps) + 1)
        else:
            self.wanted.emit(steps[0] + 1)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and event.angleDelta().y():
            row = max(self.rowAt(round(event.position().y())), 0)
            self._part.zoom(ZOOM ** (event.angleDelta().y() / 120), self.rows.step(row))
            event.accept()
        else:
            super().wheelEvent(event)
