"""The evidence for one answer: a sentence, a larger curve, a table, the exact command, and where to see more."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from foliolab.gui.compare.answer import Answer, Question
from foliolab.gui.compare.pictures import Plot

if TYPE_CHECKING:
    from foliolab.gui.compare.measure import Cell
    from foliolab.gui.window.theme import Theme

TITLES: Final = {"verify": "Verify", "benchmark": "Benchmark", "explore": "Explore", "policies": "Policies"}


class Evidence(QWidget):
    """What stands behind a cell.

    Signals:
        wanted: measure the cell (again).
        leave: show it in another workspace, by name.

    Attributes:
        cell: what is shown; None at first.
    """

    wanted = Signal(object)
    leave = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.cell: Cell | None = None
        self.answer: Answer | None = None
        self.setAccessibleName("Evidence")
        self.title, self.verdict, self.sentence = QLabel(), QLabel(), QLabel()
        self.title.setProperty("role", "heading")
        for label in (self.title, self.verdict, self.sentence):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.plot = Plot()
        self.table = _table()
        self.line = QLineEdit()
        self.line.setReadOnly(True)
        self.line.setAccessibleName("The command that repeats this")
        self.copy = _button("Copy", "Copy the command", self._copy)
        self.measure = _button("Measure", "Measure this cell", self._measure)
        self.workspaces = {name: _button(title, f"Open in {title}", self._leave) for name, title in TITLES.items()}
        self._lay_out()
        self.clear()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        for part in (self.title, self.verdict, self.sentence, self.plot):
            layout.addWidget(part)
        layout.addWidget(self.table, 1)
        layout.addStretch(0)
        line = QHBoxLayout()
        line.addWidget(self.line, 1)
        line.addWidget(self.copy)
        layout.addLayout(line)
        buttons = QHBoxLayout()
        buttons.addWidget(self.measure)
        buttons.addStretch(1)
        self._open_in = QLabel("Open in")
        self._open_in.setProperty("role", "quiet")
        buttons.addWidget(self._open_in)
        for button in self.workspaces.values():
            button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
            buttons.addWidget(button)
        layout.addLayout(buttons)

    def clear(self) -> None:
        """Nothing is chosen."""
        self.cell = self.answer = None
        self.title.setText("Choose a cell")
        self.sentence.setText("Its evidence appears here: the sentence, the curve, the table, and the exact command.")
        self._role("quiet", "")
        self.plot.hide()
        self.table.hide()
        for part in (self.line, self.copy, self.measure, self._open_in, *self.workspaces.values()):
            part.hide()

    def show_answer(self, cell: Cell, question: Question, answer: Answer, busy: bool) -> None:
        """Show an answer.

        Args:
            cell: whose it is.
            question: the cell's.
            answer: what is known.
            busy: whether it is being measured now.
        """
        self.cell, self.answer = cell, answer
        self.title.setText(f"{cell.policy} · {question.title}")
        self._role(answer.tone, " ".join(filter(None, (answer.sign, answer.word, answer.figure, answer.caption))))
        self.sentence.setText(f"{question.asks}\n\n{answer.sentence}")
        self.plot.show_curve(answer.curve)
        _fill(self.table, answer)
        command = shlex.join(answer.command)
        self.line.setText(command)
        self.line.setCursorPosition(0)
        for part in (self.line, self.copy):
            part.setVisible(bool(command))
        self.measure.setVisible(question.takes_time and bool(command))
        self.measure.setEnabled(not busy)
        self.measure.setText("Measuring…" if busy else "Measure again" if answer.known else "Measure")
        self._open_in.show()
        for name, button in self.workspaces.items():
            button.setVisible(name == question.workspace or name in ("explore", "verify"))

    def _role(self, tone: str, text: str) -> None:
        self.verdict.setProperty("role", tone)
        self.verdict.style().unpolish(self.verdict)
        self.verdict.style().polish(self.verdict)
        self.verdict.setText(text)
        self.verdict.setVisible(bool(text))

    def paint_in(self, theme: Theme) -> None:
        """Use a theme."""
        self.plot.theme = theme
        self.plot.update()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.line.text())

    def _measure(self) -> None:
        if self.cell is not None:
            self.wanted.emit(self.cell)

    def _leave(self) -> None:
        button = self.sender()
        for name, one in self.workspaces.items():
            if one is button:
                self.leave.emit(name)


def _button(text: str, name: str, run: object) -> QPushButton:
    made = QPushButton(text)
    made.setAccessibleName(name)
    made.setToolTip(name)
    made.clicked.connect(run)
    return made


def _table() -> QTableWidget:
    made = QTableWidget()
    made.setAccessibleName("Evidence, as a table")
    made.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    made.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    made.verticalHeader().hide()
    made.verticalHeader().setDefaultSectionSize(24)
    made.setTabKeyNavigation(False)
    made.setWordWrap(False)
    made.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    made.horizontalHeader().setStretchLastSection(True)
    return made


def _fill(table: QTableWidget, answer: Answer) -> None:
    table.setVisible(bool(answer.rows))
    table.clear()
    table.setColumnCount(len(answer.headings))
    table.setHorizontalHeaderLabels(list(answer.headings))
    table.setRowCount(len(answer.rows))
    for row, values in enumerate(answer.rows):
        for column, text in enumerate(values):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(row, column, item)
