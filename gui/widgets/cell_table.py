"""A table of texts in colours of the theme: counters, claims, verdicts, differences, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from foliolab.framework import intake
from foliolab.framework.escaping import visible
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.plain import tip
from foliolab.gui.window.theme import Theme, Themed

if TYPE_CHECKING:
    from foliolab.gui.window.settings import Settings

NUMBER = Qt.ItemDataRole.UserRole
NARROWEST: Final = 20
WIDEST: Final = 2000
"""Pixels of a column."""


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

    Args:
        name: read by screen readers.
        columns: the headings.
        theme: the colours; `paint` changes them.
    """

    def __init__(self, name: str, columns: Sequence[str], theme: Theme) -> None:
        super().__init__(0, len(columns))
        self._theme = theme
        self._columns = list(columns)
        self._rows: list[list[Cell]] = []
        self.setAccessibleName(name)
        self.setHorizontalHeaderLabels(self._columns)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        self._widths: dict[str, int] = {}  # that the user has set, by heading; others are as wide as their contents
        self._fitting = False
        self._settings: Settings | None = None
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setStretchLastSection(True)
        self.horizontalHeader().sectionResized.connect(self._resized)

    def show_rows(self, rows: Sequence[Sequence[Cell]], columns: Sequence[str] | None = None) -> None:
        """Replace the rows; with `columns`, the headings, too."""
        sorts = self.isSortingEnabled()
        self.setSortingEnabled(False)  # otherwise a row would move while its cells are set
        if columns is not None:
            self._columns = list(columns)
            self.setColumnCount(len(columns))
            self.setHorizontalHeaderLabels(self._columns)
        self._rows = [list(row) for row in rows]
        self.setRowCount(len(rows))
        for at, row in enumerate(rows):
            for column, cell in enumerate(row):
                self.setItem(at, column, self._item(cell))
        self.setSortingEnabled(sorts)
        self.fit()

    def sort_on_click(self) -> None:
        """Let a click on a heading sort the rows; until then they stay in their order."""
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)

    # -- widths ----------------------------------------------------------------------------------------
    def fit(self) -> None:
        """Make the columns as wide as their contents, except those whose width the user has set."""
        self._fitting = True
        self.resizeColumnsToContents()
        for at, heading in enumerate(self._columns):
            if heading in self._widths:
                self.setColumnWidth(at, self._widths[heading])
        self._fitting = False

    def remember(self, settings: Settings) -> None:
        """Take the widths that the user has set from the settings, and keep there what he sets."""
        self._settings = settings
        for text in settings.texts(self._key):
            heading, _, width = text.rpartition("=")
            number = intake.number(width)
            if number is not None and NARROWEST <= number <= WIDEST:
                self._widths[heading] = number
        self.fit()

    @property
    def _key(self) -> str:
        return f"columns/{self.accessibleName().replace(' ', '-')}"

    def _resized(self, at: int, before: int, now: int) -> None:
        """Keep a width that the user has set by the mouse; the last column takes what is left."""
        if self._fitting or not self._pressed() or at >= len(self._columns) - 1:
            return
        self._widths[self._columns[at]] = min(max(now, NARROWEST), WIDEST)
        if self._settings is not None:
            self._settings.keep(self._key, [f"{heading}={width}" for heading, width in self._widths.items()])

    def _pressed(self) -> bool:
        return bool(QGuiApplication.mouseButtons() & Qt.MouseButton.LeftButton)

    def set_cell(self, row: int, column: int, cell: Cell) -> None:
        """Replace one cell of a table that is not sorted."""
        self._rows[row][column] = cell
        self.setItem(row, column, self._item(cell))

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
        return self._columns, [[cell.text for cell in row] for row in self._rows]


class _Item(QTableWidgetItem):
    """Sorts by its number if it has one, else by its text."""

    def __lt__(self, other: QTableWidgetItem) -> bool:
        own, others = self.data(NUMBER), other.data(NUMBER)
        if own is not None and others is not None:
            return bool(own < others)
        return self.text() < other.text()
