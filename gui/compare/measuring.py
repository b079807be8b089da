"""What of the matrix is to be measured: a cell, a row, a column, or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QModelIndex

from foliolab.gui.compare import store
from foliolab.gui.compare.answer import QUESTIONS, question_named
from foliolab.gui.compare.collector import QUESTION_OF
from foliolab.gui.compare.measure import TOGETHER, Cell

if TYPE_CHECKING:
    from foliolab.gui.compare.collector import Collector
    from foliolab.gui.compare.matrix import Matrix
    from foliolab.gui.compare.queue import Queue
    from foliolab.gui.compare.rows import Rows
    from foliolab.gui.compare.table import MatrixView
    from foliolab.gui.window.commands import Command
    from foliolab.gui.window.notices import Notices

OWN: Final = "the matrix shows a result file: choose “Show my own results” to measure"


class Measuring:
    """Puts cells into the queue, or says why not.

    Args:
        queue: measures.
        collector: has the policies and the commands of cells.
        matrix, view: the answers, and which cell is chosen.
        rows: collects all answers, so that it is known which are lacking.
        notices: say why nothing is measured.
    """

    def __init__(
        self, queue: Queue, collector: Collector, matrix: Matrix, view: MatrixView, rows: Rows, notices: Notices
    ) -> None:
        self._queue, self._collector, self._matrix, self._view = queue, collector, matrix, view
        self._rows, self._notices = rows, notices

    def commands(self, make: Callable[..., Command]) -> list[Command]:
        """The commands; `make` is `Workspace.command`."""
        return [
            make("cell", "&Measure this cell", self.measure_chosen, menu="&Run", keys=("M",), icon="play", bar=True,
                 word="Measure", tip="Measure the chosen cell, in a few seconds"),
            make("row", "Measure this &policy", self.measure_row, menu="&Run", keys=("Shift+M",),
                 tip="Measure the cells of the chosen policy that have no answer"),
            make("column", "Measure this &question", self.measure_column, menu="&Run", keys=("Alt+M",),
                 tip="Measure the cells of the chosen question that have no answer"),
            make("all", "Measure &here", self.measure_all, menu="&Run", keys=("Ctrl+R",), icon="next",
                 tip="Measure all policies on this host, in about three minutes; Stop keeps what is measured"),
            make("stop", "&Stop measuring", self._queue.cancel, menu="&Run", keys=("Ctrl+.",), icon="stop", bar=True,
                 word="Stop", tip="Stop measuring; the answers so far stay"),
        ]  # fmt: skip

    def measure_chosen(self) -> None:
        """Measure the chosen cell, again if it has an answer; if a name is chosen, its row."""
        chosen = self._view.chosen
        if chosen is not None:
            self.measure(chosen)
        else:
            self.measure_row()

    def measure_row(self) -> None:
        """Measure the cells of the chosen policy that have no answer."""
        if policy := self._view.policy:
            self._measure_lacking([Cell(question.name, policy) for question in QUESTIONS])

    def measure_column(self, column: int = -1) -> None:
        """Measure the cells of a question that have no answer, by its column; by default of the chosen one."""
        question = self._matrix.question(column if column >= 0 else self._view.currentIndex().column())
        if question is not None:
            self._measure_lacking([Cell(question.name, policy) for policy in self._matrix.policies])

    def measure_all(self) -> None:
        """Measure what all policies cost and how precise they are on this host, and verify those without verdicts."""
        if self._collector.opened is not None:
            self._notices.say(OWN)
            return
        self._rows.fill_now()
        policies = self._collector.policies()
        lacking = [Cell("right", one) for one in policies if not self._matrix.answer(Cell("right", one)).known]
        self._queue.measure([*(Cell(question, store.EVERY) for question in TOGETHER), *lacking])

    def measure(self, cell: Cell) -> None:
        """Measure a cell, again if it has an answer."""
        question, opened = question_named(cell.question), self._collector.opened
        if not question.takes_time or not self._collector.command(cell):
            self._notices.say(f"{question.title} of {cell.policy} is not measured")
        elif opened is not None and QUESTION_OF[opened.kind] == cell.question:
            self._notices.say(OWN)
        else:
            self._queue.measure([cell])

    def measure_at(self, index: QModelIndex) -> None:
        """Choose the cell at an index, and measure it."""
        cell = self._matrix.cell(index)
        if cell is not None:
            self._view.setCurrentIndex(index)
            self.measure(cell)

    def _measure_lacking(self, cells: Sequence[Cell]) -> None:
        self._rows.fill_now()
        answers = {cell: self._matrix.answer(cell) for cell in cells}
        lacking = [cell for cell, answer in answers.items() if not answer.known or answer.old or answer.reference]
        takes = {question.name for question in QUESTIONS if question.takes_time}
        lacking = [cell for cell in lacking if cell.question in takes and answers[cell].command]
        if lacking:
            self._queue.measure(lacking)
        else:
            self._notices.say("all these cells have answers; M measures the chosen cell again")
