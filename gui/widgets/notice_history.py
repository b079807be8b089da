"""The history of notices: what was said, and when; a notice that has closed can be read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDialog, QPlainTextEdit, QWidget

from foliolab.framework.escaping import visible
from foliolab.gui.widgets.sorted_tree import SortedItem, SortedTree
from foliolab.gui.window.building import column, label, named
from foliolab.gui.window.notices import SIGNS, Said
from foliolab.gui.window.settings import Settings

HEADINGS: Final = ("time", "", "notice")


class NoticeHistory(QDialog):
    """The notices of this session, the newest first, with the details of the chosen one.

    Args:
        said: the notices, the oldest first.
        settings: keep order and widths of the columns.
        parent: the window.
    """

    def __init__(self, said: Sequence[Said], settings: Settings, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("History of notices")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._said = list(reversed(said))
        self.rows = SortedTree("Notices, the newest first", HEADINGS)
        self.rows.setAllColumnsShowFocus(True)
        self.details = named(QPlainTextEdit(readOnly=True), "The chosen notice with its details")
        self.details.setMaximumHeight(160)
        self.rows.currentItemChanged.connect(self._show)
        column((self.rows, 1), self.details, label("Only of this session.", "quiet"), of=self)
        items = [
            SortedItem([f"{one.time:%H:%M:%S}", SIGNS[one.severity], visible(one.text.partition("\n")[0])])
            for one in self._said
        ]
        self.rows.show_items(items)
        for at in range(2):
            self.rows.resizeColumnToContents(at)
        self.rows.remember(settings)
        if items:
            self.rows.setCurrentItem(items[0])

    def sizeHint(self) -> QSize:
        return QSize(640, 420)

    def _show(self) -> None:
        item = self.rows.currentItem()
        assert isinstance(item, SortedItem)
        one = self._said[item.number]
        self.details.setPlainText(visible("\n".join(part for part in (one.text, one.details) if part)))
