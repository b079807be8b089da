"""The rows of the table of steps, as a model; sentences are asked for where they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal

from foliolab.framework.escaping import visible
from foliolab.gui.explore.step_order import COLUMNS, KIND, STEP, TIME, WRONG, StepOrder
from foliolab.gui.explore.step_times import StepTimes
from foliolab.gui.widgets.interval import Interval

if TYPE_CHECKING:
    from foliolab.gui.explore.queries import Outline

Index = QModelIndex | QPersistentModelIndex
KEPT: Final = 20_000
"""Sentences that are kept."""


class StepRows(QAbstractTableModel):
    """The steps of the part.

    Signals:
        lacking: a row without its sentence was looked at.

    Attributes:
        order: which step stands in which row.
        times: of the steps.
    """

    lacking = Signal(int)

    def __init__(self, part: Interval) -> None:
        super().__init__()
        self._part = part
        self._column, self._descending = -1, False
        self._outline: Outline | None = None
        self.times = StepTimes()
        self._texts: dict[int, str] = {}
        self.order = self._ordered()
        part.changed.connect(self._reset)

    def begin(self, times: StepTimes) -> None:
        """The table forgets its rows, and lists the steps of another run."""
        self.times = times
        self._texts.clear()
        self._outline = None
        self._reset()

    def sort_by(self, column: int, descending: bool) -> None:
        """Sort the rows by a column, -1 for the order of time."""
        self._column, self._descending = column, descending
        self._arrange()

    def _ordered(self) -> StepOrder:
        return StepOrder(self._part.low, self._part.high, self._column, self._descending, self._outline)

    def _arrange(self) -> None:
        """Bring the rows into their order, if they are not in it."""
        order = self._ordered()
        if not order.same_as(self.order):
            self.beginResetModel()
            self.order = order
            self.endResetModel()

    def _reset(self) -> None:
        self.beginResetModel()
        self.order = self._ordered()
        self.endResetModel()

    def learn(self, begin: int, texts: Sequence[str]) -> None:
        """Take the sentences of steps from `begin` on."""
        if len(self._texts) > KEPT:
            self._texts.clear()
        self._texts.update(enumerate(texts, begin))
        rows = [row for step in range(begin, begin + len(texts)) if (row := self.order.row(step)) >= 0]
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), len(COLUMNS) - 1))

    def learn_outline(self, outline: Outline) -> None:
        """Take kinds and wrong answers."""
        self._outline = outline
        self._arrange()
        if self.rowCount():
            self.dataChanged.emit(self.index(0, KIND), self.index(self.rowCount() - 1, WRONG))

    # -- the model for Qt ------------------------------------------------------------------------------
    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self.order.nr

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A step's number, time, kind, the policies that became wrong, and its sentence, "…" until it is known."""
        if role != Qt.ItemDataRole.DisplayRole or not index.isValid():
            return None
        step, column = self.order.step(index.row()), index.column()
        if column == STEP:
            return f"{step + 1:,}"
        if column == TIME:
            return self.times.text(step + 1)
        if column in (KIND, WRONG):
            known = self._outline is not None and self._outline.covers(step, step + 1)
            return visible(self._outline.text(step, column == WRONG)) if known and self._outline is not None else ""
        if step not in self._texts:
            self.lacking.emit(step)
        return visible(self._texts.get(step, "…"))
