"""The table of verdicts: a row for each workload, size and policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QTableWidgetItem

from foliolab.gui.benchmark.series import SIGNS, sentence, size_name
from foliolab.gui.widgets.basics import ReadOnlyTable
from foliolab.gui.window.exporting import Row as TableRow
from foliolab.gui.window.theme import Theme

if TYPE_CHECKING:
    from foliolab.framework.results.comparison import Row

COLUMNS: Final = ("Workload", "Size", "Policy", "ns/page", "Change", "95 % interval", "Verdict", "Rounds", "Published")
ROLES: Final = {"faster": "good", "slower": "bad", "same": "text", "baseline": "quiet"}
SORT: Final = Qt.ItemDataRole.UserRole


class _Item(QTableWidgetItem):
    """Sorts by its number if it has one, else by its text."""

    def __lt__(self, other: QTableWidgetItem) -> bool:
        own, others = self.data(SORT), other.data(SORT)
        if own is not None and others is not None:
            return bool(own < others)
        return self.text() < other.text()


class VerdictTable(ReadOnlyTable):
    """The table that `foliolab compare` prints, for one workload or for all."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("Verdicts", COLUMNS)
        self._theme = theme
        self._rows: Sequence[Row] = ()
        self.setShowGrid(False)

    def show_rows(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.setSortingEnabled(False)
        self.setRowCount(len(rows))
        for at, row in enumerate(rows):
            for column, (text, number) in enumerate(_cells(row)):
                item = _Item(text)
                item.setToolTip(row.reason or sentence(row))
                if number is not None:
                    item.setData(SORT, number)
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if column == COLUMNS.index("Verdict"):
                    item.setForeground(self._theme.colour(ROLES.get(row.verdict, "doubtful")))
                self.setItem(at, column, item)
        self.setSortingEnabled(True)

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self.show_rows(self._rows)

    def table(self) -> tuple[Sequence[str], Sequence[TableRow]]:
        return COLUMNS, [[text for text, _ in _cells(row)] for row in self._rows]


def _cells(row: Row) -> list[tuple[str, float | None]]:
    """The text of each column and the number by which it is sorted; None if it is sorted by its text."""
    change = interval = ""
    if row.ratio is not None and row.ratio_low is not None and row.ratio_high is not None and row.verdict != "baseline":
        change = f"{100 * (row.ratio - 1):+.1f} %"
        interval = f"{100 * (row.ratio_low - 1):+.1f} … {100 * (row.ratio_high - 1):+.1f}"
    published = ", ".join(f"{figure.percent:+g} %" for figure in row.published)
    return [
        (row.workload, None),
        (size_name(row.size_kib), row.size_kib),
        (row.policy, None),
        ("" if row.ns_per_page is None else f"{row.ns_per_page:.2f}", row.ns_per_page),
        (change, row.ratio),
        (interval, None),
        (f"{SIGNS.get(row.verdict, '·')} {row.verdict}", None),
        (str(row.rounds), row.rounds),
        (published, None),
    ]
