"""The rows of the matrix, and their answers, which are collected one cell per pass of the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer, Signal

from foliolab.gui.compare.answer import QUESTIONS
from foliolab.gui.compare.measure import Cell

if TYPE_CHECKING:
    from foliolab.gui.compare.collector import Collector
    from foliolab.gui.compare.home import More
    from foliolab.gui.compare.matrix import Matrix
    from foliolab.gui.compare.scatter import Scatter
    from foliolab.gui.compare.table import MatrixView
    from foliolab.gui.window.settings import Settings

UNFOLDED: Final = "compare/unfolded"


class Rows(QObject):
    """The rows: the first ones, all, or those of the part of the scatter that is shown.

    Args:
        collector: has the policies and their answers.
        matrix, view: show them.
        scatter: whose part decides.
        more: says how many are not shown.

    Signals:
        filled: the answers of all policies are collected.

    Attributes:
        unfolded: whether all rows are shown.
        pending: the cells whose answers are still to be collected.
    """

    filled = Signal()

    def __init__(
        self, collector: Collector, matrix: Matrix, view: MatrixView, scatter: Scatter, more: More, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._collector, self._matrix, self._view, self._scatter, self._more = collector, matrix, view, scatter, more
        self.unfolded = False
        self.pending: list[Cell] = []
        self._stale = True
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._fill_one)

    def keep(self, settings: Settings) -> None:
        """Store whether all rows are shown."""
        settings.keep(UNFOLDED, self.unfolded)

    def remember(self, settings: Settings) -> None:
        """Show as many rows as in the last session."""
        self.unfolded = settings.flag(UNFOLDED)

    def unfold(self, unfolded: bool) -> None:
        """Show the rows of all policies, or only the first ones."""
        self.unfolded = unfolded
        self._scatter.part.fit()
        self.fill()

    def toggle(self) -> None:
        """Show the rows of all policies, or only the first ones, whichever is not shown."""
        self.unfold(not self.unfolded)

    def outdate(self) -> None:
        """The rows themselves are to be made anew by the next `fill`: policies or their texts have changed."""
        self._stale = True

    def fill(self) -> None:
        """Begin to collect all answers; first the quick questions."""
        self._collector.begin()
        every, first = self._collector.policies(), self._collector.first()
        policies = [*first, *(policy for policy in every if policy not in first)] if self.unfolded else first
        scatter = self._scatter
        partly = scatter.part.seen is not None and bool(scatter.inside)
        if partly:  # the rows follow the part; a part without a point leaves them
            policies = [scatter.spots[number].policy for number in scatter.inside]
        hidden = len(every) - len(policies if partly else first)
        self._more.show_rows(hidden, self.unfolded and not partly, bool(self._collector.own()))
        if policies != self._matrix.own or self._stale:
            chosen = self._view.chosen
            self._matrix.set_policies(policies, {policy: self._collector.summary(policy) for policy in policies})
            self._view.choose(chosen)
        self._view.fit(not self.unfolded and policies != every)
        self._stale = False
        quick = [question.name for question in QUESTIONS if not question.takes_time]
        rows = [*policies, *(policy for policy in every if policy not in policies)]
        cells = [Cell(question.name, policy) for policy in rows for question in QUESTIONS]
        self.pending = sorted(cells, key=lambda cell: (cell.policy not in policies, cell.question not in quick))
        self._timer.start()

    def fill_now(self) -> None:
        """Collect all remaining answers before returning."""
        while self.pending:
            self._fill_one()
        self.filled.emit()

    def stop(self) -> None:
        """Stop collecting answers."""
        self._stale = self._stale or bool(self.pending)
        self._timer.stop()

    def _fill_one(self) -> None:
        if not self.pending:
            self._timer.stop()
            self.filled.emit()
            return
        cell = self.pending.pop(0)
        self._matrix.set_answer(cell, self._collector.answer(cell))
