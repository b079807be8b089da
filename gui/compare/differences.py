"""The page that compares two result files: a table with a verdict for each case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QPushButton, QWidget

from foliolab.framework.report.words import change_text
from foliolab.gui.widgets.cell_table import Cell, CellTable
from foliolab.gui.window.building import column, label, row
from foliolab.gui.window.exporting import Row

if TYPE_CHECKING:
    from foliolab.framework.results.difference import Case, Difference
    from foliolab.gui.window.theme import Theme

ROLES: Final = {"faster": "good", "lower": "good", "slower": "bad", "higher": "bad", "undecided": "doubtful"}
SIGNS: Final = {"faster": "▼", "lower": "▼", "slower": "▲", "higher": "▲", "same": "=", "undecided": "?"}
WORDS: Final = ("slower", "higher", "faster", "lower", "undecided", "same", "only in the first", "only in the second")


class Differences(QWidget):
    """The page that compares two result files.

    Signals:
        closed: the user goes back to the matrix.
    """

    closed = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setAccessibleName("Difference of two results")
        self.difference: Difference | None = None
        self.title, self.summary = label(role="title", wraps=True), label(wraps=True)
        self.notes = label(role="quiet", wraps=True)
        self.only = QCheckBox("Only what differs")
        self.only.toggled.connect(self._fill)
        self.back = QPushButton("Back to the matrix")
        self.back.clicked.connect(self.closed)
        self.table = CellTable("Differences", (), theme)
        self.table.horizontalHeader().setStretchLastSection(False)
        first = row((self.title, 1), self.only, self.back)
        column(first, self.summary, self.notes, (self.table, 1), of=self, margins=(12, 10, 12, 10))

    def show_difference(self, first: Path, second: Path, difference: Difference) -> None:
        """Show the difference of two result files."""
        self.difference = difference
        self.title.setText(f"{second.name} against {first.name}")
        counts = [f"{difference.count(word)} {word}" for word in WORDS if difference.count(word)]
        self.summary.setText(f"{len(difference.cases)} cases in {difference.unit}: {', '.join(counts) or 'none'}.")
        notes = "; ".join(difference.notes)
        self.notes.setText(f"{notes[:1].upper()}{notes[1:]}." if notes else "")
        self.notes.setVisible(bool(notes))
        self._fill()

    @property
    def headings(self) -> list[str]:
        """The headings of the table."""
        keys = self.difference.headings if self.difference else ()
        return [*keys, "first", "second", "change", "95 % interval", "verdict"]

    def rows(self) -> list[list[str]]:
        """The rows of the table; the cases that differ come first."""
        return [_row(case) for case in self._shown()]

    def _shown(self) -> list[Case]:
        found = list(self.difference.cases) if self.difference else []
        if self.only.isChecked():
            found = [case for case in found if case.word not in ("same", "undecided")]
        return sorted(found, key=lambda case: WORDS.index(case.word))

    def _fill(self) -> None:
        self.table.show_rows([_cells(case) for case in self._shown()], self.headings)

    def export_table(self) -> tuple[Sequence[str], Sequence[Row]]:
        return self.headings, self.rows()


def _cells(case: Case) -> list[Cell]:
    texts = _row(case)[:-1]
    verdict = f"{SIGNS.get(case.word, '')} {case.word}".strip()
    cells = [Cell(text, right=at >= len(case.key)) for at, text in enumerate(texts)]
    return [*cells, Cell(verdict, ROLES.get(case.word, "quiet"))]


def _row(case: Case) -> list[str]:
    values = ["" if value is None else f"{value:.4g}" for value in (case.first, case.second)]
    change = "" if case.ratio is None else f"{change_text(case.ratio)} %"
    within = "" if case.low is None or case.high is None else f"{change_text(case.low)} … {change_text(case.high)} %"
    return [*case.key, *values, change, within, case.word]
