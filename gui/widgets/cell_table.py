"""A table of texts in colours of the theme: counters, claims, verdicts, differences, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from foliolab.framework import intake
from foliolab.framework.escaping import visible
from foliolab.gui.widgets.sorting import sort_key
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

    A click on a heading sorts the rows, the next one in the opposite order; a third one brings back their own order.

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
        self._sorted: tuple[str, bool] | None = None  # heading, and whether descending; None: in their own order
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setStretchLastSection(True)
        self.horizontalHeader().sectionResized.connect(self._resized)
        self.horizontalHeader().setSortIndicatorClearable(True)
        self._show_order()
        self.horizontalHeader().sortIndicatorChanged.connect(self._sort_changed)

    def show_rows(self, rows: Sequence[Sequence[Cell]], columns: Sequence[str] | None = None) -> None:
        """Replace the rows; with `columns`, the headings, too."""
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
        self._show_order()
        self.fit()

    # -- order -----------------------------------------------------------------------------------------
    def sort_by(self, heading: str, descending: bool = False) -> None:
        """Sort the rows, until the user sorts them otherwise."""
        self._sorted = heading, descending
        self._show_order()

    def _show_order(self) -> None:
        heading, descending = self._sorted or ("", False)
        at = self._columns.index(heading) if heading in self._columns else -1
        with QSignalBlocker(self.horizontalHeader()):
            order = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
            self.horizontalHeader().setSortIndicator(at, order)
        self.setSortingEnabled(True)

    def _sort_changed(self, at: int, order: Qt.SortOrder) -> None:
        """Keep the order that the user has chosen."""
        self._sorted = (self._columns[at], order == Qt.SortOrder.DescendingOrder) if at >= 0 else None
        if self._sorted is None:
            self.show_rows(self._rows)
        if self._settings is not None:
            heading, descending = self._sorted or ("", False)
            self._settings.keep(self._order_key, f"{'-' if descending else '+'}{heading}" if heading else "")

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
        """Take the widths and the order that the user has chosen from the settings, and keep there what he chooses."""
        self._settings = settings
        if order := settings.text(self._order_key):
            self.sort_by(order[1:], order.startswith("-"))
        for text in settings.texts(self._key):
            heading, _, width = text.rpartition("=")
            number = intake.number(width)
            if number is not None and NARROWEST <= number <= WIDEST:
                self._widths[heading] = number
        self.fit()

    @property
    def _key(self) -> str:
        return f"columns/{self.accessibleName().replace(' ', '-')}"

    @property
    def _order_key(self) -> str:
        return self._key.replace("columns/", "order/", 1)

    def _resized(self, at: int, before: int, now: int) -> None:
        """Keep a width that the user has set by the mouse; the last column takes what is left."""
        if self._fitting or not self._pressed() or at >= len(self._columns) - 1:
            return
        self._widths[self._columns[at]] = min(max(now, NARROWEST), WIDEST)
        if self._settings is not None:
            self._settings.keep(self._key, [f"{heading}={width}" for heading, width in self._widths.items()])

    def _pressed(self) -> bool:
        return bool(QGuiApplication.mouseButtons() & Qt.MouseButton.LeftButton)

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
        return sort_key(self.text()) < sort_key(other.text())
