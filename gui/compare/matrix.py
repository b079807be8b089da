"""The matrix as a Qt model: a row for each policy, a column for each question, an answer in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from foliolab.framework.escaping import visible
from foliolab.gui.compare.answer import QUESTIONS, Answer, Question, unknown
from foliolab.gui.compare.measure import Cell
from foliolab.gui.widgets.sorting import sort_key
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.plain import tip

Index = QModelIndex | QPersistentModelIndex


class Role(IntEnum):
    """The data of a cell besides its text."""

    ANSWER = Qt.ItemDataRole.UserRole
    STATE = Qt.ItemDataRole.UserRole + 1
    PROGRESS = Qt.ItemDataRole.UserRole + 2
    SUMMARY = Qt.ItemDataRole.UserRole + 3


TONES: Final = ("good", "text", "quiet", "doubtful", "bad")
"""From the best to the worst."""
WAITING: Final = "waiting"
MEASURING: Final = "measuring"


class Matrix(QAbstractTableModel):
    """Answers by policy and question.

    Attributes:
        policies: the rows, as they are written on the command line, in the order that is shown.
        own: the rows in their own order.
        order: the column by which they are sorted, -1 for their own order, and whether descending.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.policies: list[str] = []
        self.own: list[str] = []
        self.order = (-1, False)
        self._summaries: dict[str, str] = {}
        self._answers: dict[Cell, Answer] = {}
        self._states: dict[Cell, str] = {}
        self._progress: dict[Cell, float] = {}

    # -- contents --------------------------------------------------------------------------------------
    def set_policies(self, policies: Sequence[str], summaries: dict[str, str]) -> None:
        """Replace the rows; the answers about policies that stay are kept."""
        self.beginResetModel()
        self.own = list(policies)
        self.policies = self._ordered()
        self._summaries = dict(summaries)
        self.endResetModel()

    def sort_by(self, column: int, descending: bool) -> None:
        """Sort the rows by a column, -1 for their own order; what has no answer comes last."""
        self.order = (column, descending)
        ordered = self._ordered()
        if ordered != self.policies:
            self.beginResetModel()
            self.policies = ordered
            self.endResetModel()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(QUESTIONS))

    def _ordered(self) -> list[str]:
        column, descending = self.order
        if column < 0:
            return list(self.own)
        question = self.question(column)
        if question is None:
            return sorted(self.own, key=sort_key, reverse=descending)
        answers = {policy: self.answer(Cell(question.name, policy)) for policy in self.own}
        known = [policy for policy in self.own if answers[policy].known]
        known.sort(key=lambda policy: _key(answers[policy]), reverse=descending)
        return known + [policy for policy in self.own if not answers[policy].known]

    def answer(self, cell: Cell) -> Answer:
        return self._answers.get(cell) or unknown()

    def set_answer(self, cell: Cell, answer: Answer) -> None:
        self._answers[cell] = answer
        self._emit_changed(cell)

    def state(self, cell: Cell) -> str:
        """WAITING, MEASURING, or empty."""
        return self._states.get(cell, "")

    def set_state(self, cell: Cell, state: str, progress: float = 0.0) -> None:
        """Set the state of a cell: WAITING, MEASURING, or empty."""
        self._states[cell] = state
        self._progress[cell] = progress
        self._emit_changed(cell)

    def busy(self) -> list[Cell]:
        """The cells that wait or are being measured."""
        return [cell for cell, state in self._states.items() if state]

    def cell(self, index: Index) -> Cell | None:
        """The cell at an index; None for the name of a policy and for an invalid index."""
        if not index.isValid() or not 0 < index.column() <= len(QUESTIONS):
            return None
        return Cell(QUESTIONS[index.column() - 1].name, self.policies[index.row()])

    def index_of(self, cell: Cell) -> QModelIndex:
        """The index of a cell; invalid if the cell is not shown."""
        if cell.policy not in self.policies:
            return QModelIndex()
        column = next(n for n, question in enumerate(QUESTIONS, 1) if question.name == cell.question)
        return self.index(self.policies.index(cell.policy), column)

    def question(self, column: int) -> Question | None:
        """The question of a column; None for the column of names."""
        return QUESTIONS[column - 1] if 0 < column <= len(QUESTIONS) else None

    def _emit_changed(self, cell: Cell) -> None:
        index = self.index_of(cell)
        if index.isValid():
            self.dataChanged.emit(index, index)
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, index.column(), index.column())

    def export_table(self) -> tuple[Sequence[str], Sequence[Row]]:
        """All answers, with a row for each policy."""
        parts = ("", " figure", " caption", " old")
        headings = ["policy", *(f"{question.title}{part}" for question in QUESTIONS for part in parts)]
        rows: list[Row] = []
        for policy in self.policies:
            row: list[object] = [policy]
            for question in QUESTIONS:
                answer = self.answer(Cell(question.name, policy))
                row += [answer.word, answer.figure, answer.caption, answer.old]
            rows.append(row)
        return headings, rows

    # -- the model for Qt ------------------------------------------------------------------------------
    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.policies)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 1 + len(QUESTIONS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and 0 <= section <= len(QUESTIONS):
            question = self.question(section)
            if role == Qt.ItemDataRole.DisplayRole:
                return question.title if question else "Policy"
            if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
                return question.asks if question else "The policies that are compared"
        if (
            orientation == Qt.Orientation.Vertical
            and role == Qt.ItemDataRole.DisplayRole
            and section < len(self.policies)
        ):
            return self.policies[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The texts of a cell, and what the delegate paints."""
        if not index.isValid() or index.row() >= len(self.policies):
            return None
        cell = self.cell(index)
        if cell is None:
            return self._name(self.policies[index.row()], role)
        answer, state = self.answer(cell), self.state(cell)
        title = QUESTIONS[index.column() - 1].title
        values: dict[int, object] = {
            Qt.ItemDataRole.DisplayRole: visible(answer.text),
            Qt.ItemDataRole.ToolTipRole: tip(answer.sentence),
            Qt.ItemDataRole.AccessibleDescriptionRole: answer.sentence,
            Qt.ItemDataRole.AccessibleTextRole: ", ".join(filter(None, (cell.policy, title, answer.text, state))),
            Role.ANSWER: answer,
            Role.STATE: state,
            Role.PROGRESS: self._progress.get(cell, 0.0),
        }
        return values.get(role)

    def _name(self, policy: str, role: int) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return policy
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(self._summaries.get(policy, ""))
        if role in (Role.SUMMARY, Qt.ItemDataRole.AccessibleDescriptionRole):
            return self._summaries.get(policy, "")
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable


def _key(answer: Answer) -> tuple[tuple[int, float, str], int]:
    """What a column is sorted by: the figure; without one, how good the verdict is."""
    return sort_key(answer.figure or f"{TONES.index(answer.tone)}"), TONES.index(answer.tone)
