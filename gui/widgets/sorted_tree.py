"""A tree whose rows are sorted by a click on a heading, within their groups, and have an order of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QTreeWidget, QTreeWidgetItem

from foliolab.gui.widgets.columns import Columns
from foliolab.gui.widgets.sorting import sort_key

if TYPE_CHECKING:
    from foliolab.gui.window.settings import Settings

NUMBER: Final = Qt.ItemDataRole.UserRole + 7
"""The number of an item in the own order of the rows."""


class SortedTree(QTreeWidget):
    """A tree. A click on a heading sorts, the next one in the opposite order; a third one brings back the own order.

    Items at the top that have no rows below them are rows, too; those that have some are groups, and stay in place.

    Args:
        name: read by screen readers.
        headings: of the columns.

    Attributes:
        columns: their order and widths, which the user chooses.
    """

    def __init__(self, name: str, headings: Sequence[str]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setHeaderLabels(list(headings))
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.columns = Columns(self.header(), name)
        self.columns.show(headings)
        self.columns.sorted.connect(self.sort)
        self._tops: list[SortedItem] = []

    def remember(self, settings: Settings) -> None:
        """The tree keeps its order and widths under a name, as `Columns.remember` does."""
        self.columns.remember(settings)
        self.sort()

    def show_items(self, items: Sequence[SortedItem]) -> None:
        """Replace the items at the top, which have those below them; the own order is the one they come in."""
        self.clear()
        self._tops = []
        self.add_items(items)

    def add_items(self, items: Sequence[SortedItem]) -> None:
        """Add items at the top; in the own order they come last."""
        for number, item in enumerate(items, len(self._tops)):
            item.setData(0, NUMBER, number)
            for below in range(item.childCount()):
                item.child(below).setData(0, NUMBER, below)
        self._tops += items
        self.addTopLevelItems(items)
        if self.columns.at >= 0:
            self.sort()

    def numbered(self, number: int) -> SortedItem | None:
        """The item at the top with a number in the own order; None if there is none."""
        return self._tops[number] if 0 <= number < len(self._tops) else None

    def sort(self) -> None:
        """Sort the rows as the user has chosen."""
        order = Qt.SortOrder.DescendingOrder if self.columns.descending else Qt.SortOrder.AscendingOrder
        self.model().sort(max(self.columns.at, 0), order)


class SortedItem(QTreeWidgetItem):
    """A row or a group of a `SortedTree`."""

    @property
    def number(self) -> int:
        """The place in the own order."""
        return int(self.data(0, NUMBER))

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        tree = self.treeWidget()
        assert isinstance(tree, SortedTree) and isinstance(other, SortedItem)
        at, first = tree.columns.at, self.number < other.number
        if at >= 0 and not self.childCount() and not other.childCount():
            key, others = sort_key(self.text(at)), sort_key(other.text(at))
            if key != others:
                return key < others
        return first != tree.columns.descending
