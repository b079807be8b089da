"""The history of notices: what was said, and when; a notice that has closed can be read again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDialog, QPlainTextEdit, QTreeWidget, QTreeWidgetItem, QWidget

from foliolab.framework.escaping import visible
from foliolab.gui.window.building import column, label, named
from foliolab.gui.window.notices import SIGNS, Said

HEADINGS: Final = ("time", "", "notice")


class NoticeHistory(QDialog):
    """The notices of this session, the newest first, with the details of the chosen one.

    Args:
        said: the notices, the oldest first.
        parent: the window.
    """

    def __init__(self, said: Sequence[Said], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("History of notices")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._said = list(reversed(said))
        self.rows = named(QTreeWidget(), "Notices, the newest first")
        self.rows.setHeaderLabels(list(HEADINGS))
        self.rows.setRootIsDecorated(False)
        self.rows.setAllColumnsShowFocus(True)
        self.details = named(QPlainTextEdit(readOnly=True), "The chosen notice with its details")
        self.details.setMaximumHeight(160)
        self.rows.currentItemChanged.connect(self._show)
        column((self.rows, 1), self.details, label("Only of this session.", "quiet"), of=self)
        items = [
            QTreeWidgetItem([f"{one.time:%H:%M:%S}", SIGNS[one.severity], visible(one.text.partition("\n")[0])])
            for one in self._said
        ]
        self.rows.addTopLevelItems(items)
        for at in range(2):
            self.rows.resizeColumnToContents(at)
        if items:
            self.rows.setCurrentItem(items[0])

    def sizeHint(self) -> QSize:
        return QSize(640, 420)

    def _show(self) -> None:
        at = self.rows.indexOfTopLevelItem(self.rows.currentItem())
        one = self._said[at]
        self.details.setPlainText(visible("\n".join(part for part in (one.text, one.details) if part)))
