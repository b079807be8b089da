"""A table of texts in colours of the theme: counters, claims, verdicts, differences, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from foliolab.framework.escaping import visible
from foliolab.gui.widgets.columns import Columns
from foliolab.gui.widgets.sorting import sort_key
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.plain import tip
from foliolab.gui.window.theme import Theme, Themed

if TYPE_CHECKING:
    from foliolab.gui.window.settings import Settings

NUMBER = Qt.ItemDataRole.UserRole


class Cell(NamedTuple):
    """A cell of a table.

    Args:
        text: its text.
        role: its colour, by the name of the theme's attribute.
        tip: its tool tip.
        right: whether the text is aligned to the right.
        number: the column is sorted by these numbers; None if it is sorted by its texts.
    """

    text: str
    role: str = "text"
    tip: str = ""
    right: bool = False
    number: float | None = None


class CellTable(QTableWidget, Themed):
    """A table whose rows can be selected, but not edited.

    A click on a heading sorts the rows, the next one in the opposite order; a third one brings back their own order.

    Args:
        name: read by screen readers.
        columns: the headings.
        theme: the colours; `paint` changes them.

    Attributes:
        headings: of the columns.
        columns: their order and widths, which the user chooses.
    """

    def __init__(self, name: str, columns: Sequence[str], theme: Theme) -> None:
        super().__init__(0, len(columns))
        self._theme = theme
        self.headings = list(columns)
        self._rows: list[list[Cell]] = []
        self.setAccessibleName(name)
        self.setHorizontalHeaderLabels(self.headings)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        self.columns = Columns(self.horizontalHeader(), name)
        self.columns.sorted.connect(self._sort)
        self._show_order()

    def show_rows(self, rows: Sequence[Sequence[Cell]], columns: Sequence[str] | None = None) -> None:
        """Replace the rows; with `columns`, the headings, too."""
        self.setSortingEnabled(False)  # otherwise a row would move while its cells are set
        if columns is not None:
            self.headings = list(columns)
            self.setColumnCount(len(columns))
            self.setHorizontalHeaderLabels(self.headings)
        self._rows = [list(row) for row in rows]
        self.setRowCount(len(rows))
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                self.setItem(at, column, self._item(cell))
        self._show_order()
        self.fit()

    # -- order -----------------------------------------------------------------------------------------
    def sort_by(self, heading: str, descending: bool = False) -> None:
        """Sort the rows, until the user sorts them otherwise."""
        self.columns.order = heading, descending
        self._show_order()

    def _show_order(self) -> None:
        self.columns.show(self.headings)
        self.setSortingEnabled(True)

    def _sort(self) -> None:
        """Bring back the rows' own order when no column sorts any more; Qt does the rest."""
        if self.columns.order is None:
            self.show_rows(self._rows)

    # -- widths ----------------------------------------------------------------------------------------
    def fit(self) -> None:
        """Make the columns as wide as their contents, except those whose width the user has set."""
        self.columns.fit(self.resizeColumnsToContents)

    def remember(self, settings: Settings) -> None:
        """The table keeps its order and widths under a name, as `Columns.remember` does."""
        self.columns.remember(settings)
        self._show_order()

    def _item(self, cell: Cell) -> QTableWidgetItem:
        item = _Item(visible(cell.text))
        item.setToolTip(tip(cell.tip))
        item.setForeground(self._theme.colour(cell.role))
        if cell.right:
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        item.setData(NUMBER, cell.number)
        return item

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self.show_rows(self._rows)

    def table(self) -> tuple[Sequence[str], Sequence[Row]]:
        """Headings and rows, for export."""
        return self.headings, [[cell.text for cell in row] for row in self._rows]


class _Item(QTableWidgetItem):
    """Sorts by its number if it has one, else by its text."""

    def __lt__(self, other: QTableWidgetItem) -> bool:
        own, others = self.data(NUMBER), other.data(NUMBER)
        if own is not None and others is not None:
            return bool(own < others)
        return sort_key(self.text()) < sort_key(other.text())
