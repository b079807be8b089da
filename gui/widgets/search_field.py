"""A field above a list or tree: as one types, it hides the rows that do not say what was typed."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QTableWidget, QTreeWidget, QTreeWidgetItem

from foliolab.gui.window.building import named
from foliolab.gui.window.matching import says

View = QListWidget | QTreeWidget | QTableWidget


class SearchField(QLineEdit):
    """The field. Texts and tool tips of rows are searched; rows that come later are hidden or shown likewise.

    Down or Enter goes to the first row that is shown, Escape empties the field. A group of a tree stays while one of
    its rows does.

    Args:
        view: the list, tree or table.
        what: what its rows are, such as "policies".
    """

    def __init__(self, view: View, what: str) -> None:
        super().__init__(placeholderText=f"Search {what}", clearButtonEnabled=True)
        named(self, f"Search {what}", "Only rows with all typed words stay")
        self._view = view
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self.search)
        self.textChanged.connect(self.search)
        view.model().rowsInserted.connect(self._later.start)

    def search(self) -> None:
        """Hide and show the rows."""
        wanted, view = self.text(), self._view
        if isinstance(view, QTreeWidget):
            for item in _top(view):
                _search(item, wanted)
        elif isinstance(view, QListWidget):
            for row in range(view.count()):
                one = view.item(row)
                one.setHidden(not says(wanted, f"{one.text()} {one.toolTip()}"))
        else:
            for row in range(view.rowCount()):
                cells = (view.item(row, at) for at in range(view.columnCount()))
                text = " ".join(f"{cell.text()} {cell.toolTip()}" for cell in cells if cell is not None)
                view.setRowHidden(row, not says(wanted, text))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._enter()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)

    def _enter(self) -> None:
        """Go to the first row that is shown, or to the current one if it is."""
        view = self._view
        view.setFocus()
        if isinstance(view, QTreeWidget):
            rows = [item for item in _shown(view) if item.flags() & Qt.ItemFlag.ItemIsSelectable]
            if rows and view.currentItem() not in rows:
                view.setCurrentItem(rows[0])
        elif isinstance(view, QListWidget):
            shown = [row for row in range(view.count()) if not view.item(row).isHidden()]
            if shown and view.currentRow() not in shown:
                view.setCurrentRow(shown[0])
        else:
            shown = [row for row in range(view.rowCount()) if not view.isRowHidden(row)]
            if shown and view.currentRow() not in shown:
                view.setCurrentCell(shown[0], 0)


def _top(view: QTreeWidget) -> list[QTreeWidgetItem]:
    items = (view.topLevelItem(at) for at in range(view.topLevelItemCount()))
    return [item for item in items if item is not None]


def _search(item: QTreeWidgetItem, wanted: str) -> bool:
    """Hide or show an item and those below it; returns whether it is shown."""
    if item.childCount():
        shown = any([_search(item.child(at), wanted) for at in range(item.childCount())])
    else:
        texts = (f"{item.text(at)} {item.toolTip(at)}" for at in range(item.columnCount()))
        shown = says(wanted, " ".join(texts))
    item.setHidden(not shown)
    return shown


def _shown(view: QTreeWidget) -> Iterator[QTreeWidgetItem]:
    """The items that are shown, from top to bottom."""
    open_ = _top(view)[::-1]
    while open_:
        item = open_.pop()
        if not item.isHidden():
            yield item
            open_ += [item.child(at) for at in range(item.childCount())][::-1]
