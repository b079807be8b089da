"""The evidence of a cell: a sentence, a curve, a table, the command line, and buttons to other workspaces."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit, QSizePolicy, QWidget

from foliolab.gui.compare.answer import Answer, Question
from foliolab.gui.compare.pictures import Plot
from foliolab.gui.widgets.basics import button, set_role
from foliolab.gui.widgets.cell_table import Cell as Text
from foliolab.gui.widgets.cell_table import CellTable
from foliolab.gui.window.building import column, label, named, row
from foliolab.gui.window.exporting import Exportable

if TYPE_CHECKING:
    from foliolab.gui.compare.measure import Cell
    from foliolab.gui.window.theme import Theme

TITLES: Final = {"verify": "Verify", "benchmark": "Benchmark", "explore": "Explore", "policies": "Policies"}


class Evidence(QWidget):
    """The evidence of a cell.

    Signals:
        wanted: the cell is to be measured (again).
        leave: the policy is to be shown in another workspace, by its name.

    Attributes:
        cell: the cell; None at first.
        answer: its answer; None at first.
    """

    wanted = Signal(object)
    leave = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.cell: Cell | None = None
        self.answer: Answer | None = None
        self.setAccessibleName("Evidence")
        self.title = label(role="heading", wraps=True, selectable=True)
        self.verdict, self.sentence = (label(wraps=True, selectable=True) for _ in range(2))
        self.plot = Plot(theme)
        self.table = CellTable("Evidence, as a table", (), theme)
        self.line = named(QLineEdit(readOnly=True), "The command line that repeats this")
        self.copy = button("Copy", "Copy the command line", self._copy)
        self.measure = button("Measure", "Measure this cell", self._measure)
        self.workspaces = {name: button(title, f"Open in {title}", self._leave) for name, title in TITLES.items()}
        self._lay_out()
        self.clear()

    def _lay_out(self) -> None:
        self._open_in = label("Open in", "quiet")
        for opener in self.workspaces.values():
            opener.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        line = row((self.line, 1), self.copy)
        buttons = row(self.measure, 1, self._open_in, *self.workspaces.values())
        texts = (self.title, self.verdict, self.sentence)
        column(*texts, self.plot, (self.table, 1), 0, line, buttons, of=self)

    def clear(self) -> None:
        """Show that no cell is chosen."""
        self.cell = self.answer = None
        self.title.setText("Choose a cell")
        self.sentence.setText("Its evidence appears here: a sentence, a curve, a table, and the command line.")
        self._say_verdict("quiet", "")
        self.plot.hide()
        self.table.hide()
        for part in (self.line, self.copy, self.measure, self._open_in, *self.workspaces.values()):
            part.hide()

    def show_answer(self, cell: Cell, question: Question, answer: Answer, busy: bool) -> None:
        """Show an answer.

        Args:
            cell: the cell.
            question: its question.
            answer: its answer.
            busy: whether the cell is being measured.
        """
        self.cell, self.answer = cell, answer
        self.title.setText(f"{cell.policy} · {question.title}")
        parts = (answer.sign, answer.word, answer.figure, answer.old or answer.caption)
        self._say_verdict(answer.tone, " ".join(filter(None, parts)))
        self.sentence.setText(f"{question.asks}\n\n{answer.sentence}")
        self.plot.show_curve(answer.curve)
        self.table.setVisible(bool(answer.rows))
        self.table.show_rows([[Text(text, tip=text) for text in row] for row in answer.rows], answer.headings)
        command = shlex.join(answer.command)
        self.line.setText(command)
        self.line.setCursorPosition(0)
        for part in (self.line, self.copy):
            part.setVisible(bool(command))
        self.measure.setVisible(question.takes_time and bool(command))
        self.measure.setEnabled(not busy)
        self.measure.setText("Measuring…" if busy else "Measure again" if answer.known else "Measure")
        self._open_in.show()
        for name, opener in self.workspaces.items():
            opener.setVisible(name == question.workspace or name in ("explore", "verify"))

    def _say_verdict(self, tone: str, text: str) -> None:
        set_role(self.verdict, tone)
        self.verdict.setText(text)
        self.verdict.setVisible(bool(text))

    def exportables(self) -> Sequence[Exportable]:
        """The curve and the table, if they are shown."""
        picture = self.plot if self.plot.isVisible() else None
        table = self.table.table if self.answer is not None and self.answer.rows else None
        return [Exportable("evidence", "Evidence", picture, table)] if picture is not None or table is not None else ()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.line.text())

    def _measure(self) -> None:
        if self.cell is not None:
            self.wanted.emit(self.cell)

    def _leave(self) -> None:
        for name, pressed in self.workspaces.items():
            if pressed is self.sender():
                self.leave.emit(name)
