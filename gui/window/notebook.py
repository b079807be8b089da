"""The bookmarks and notes of the session, and the panel that shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QPlainTextEdit, QPushButton, QWidget

from foliolab.framework.escaping import visible
from foliolab.gui.window.building import column, label, named, row
from foliolab.gui.window.plain import tip
from foliolab.gui.window.session_file import Bookmark

if TYPE_CHECKING:
    from foliolab.gui.window.undo import Undo

LONGEST: Final = 100_000
"""Characters of a note."""


class Notebook(QWidget):
    """The panel: bookmarks with a line of text each, and free notes below.

    Args:
        undo: gets the removal of a bookmark.
        add: makes a bookmark of what is shown; the command of the window.

    Signals:
        wanted: a `Bookmark` whose place is to be shown.

    Attributes:
        bookmarks: in the order in which they were made.
    """

    wanted = Signal(object)

    def __init__(self, undo: Undo, add: Callable[[], object]) -> None:
        super().__init__()
        self.bookmarks: list[Bookmark] = []
        self._undo = undo
        self.list = named(QListWidget(), "Bookmarks")
        self.list.itemActivated.connect(self._open)
        self.list.currentRowChanged.connect(self._chosen)
        self.note = named(QLineEdit(placeholderText="A note about this bookmark"), "Note about the bookmark")
        self.note.setMaxLength(LONGEST)
        self.note.textEdited.connect(self._write)
        self.add = named(QPushButton("Bookmark this"), "Bookmark what is shown now (Ctrl+D)")
        self.go = named(QPushButton("Go there"), "Show what was bookmarked")
        self.remove = named(QPushButton("Remove"), "Remove the bookmark; Undo brings it back")
        self.add.clicked.connect(add)
        self.go.clicked.connect(self._open)
        self.remove.clicked.connect(self._remove)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        for one in (self.go, self.remove):
            self.list.addAction(one.text(), one.click)
        self.notes = named(QPlainTextEdit(placeholderText="Notes: saved with the session"), "Notes")
        parts = (self.list, 2), self.note, row(self.add, self.go, self.remove, 1), label("Notes", "heading")
        column(*parts, (self.notes, 3), of=self, margins=(8, 6, 8, 8))
        self.setMinimumWidth(260)
        self.show_bookmarks([])

    def show_bookmarks(self, bookmarks: Sequence[Bookmark], chosen: int = -1) -> None:
        """Replace the bookmarks, and choose one."""
        self.bookmarks = list(bookmarks)
        with QSignalBlocker(self.list):
            self.list.clear()
            for one in self.bookmarks:
                item = QListWidgetItem(visible(f"{one.title} — {one.note}" if one.note else one.title))
                item.setToolTip(tip(f"{one.workspace}, {one.made[:16].replace('T', ' ')}"))
                self.list.addItem(item)
            self.list.setCurrentRow(min(chosen, len(self.bookmarks) - 1))
        self._chosen()

    def put(self, bookmark: Bookmark) -> None:
        """Add a bookmark, and choose it."""
        self.show_bookmarks([*self.bookmarks, bookmark], len(self.bookmarks))

    def _at(self) -> int:
        row = self.list.currentRow()
        return row if row < len(self.bookmarks) else -1

    def _chosen(self) -> None:
        at = self._at()
        self.note.setText(self.bookmarks[at].note if at >= 0 else "")
        for part in (self.note, self.go, self.remove):
            part.setEnabled(at >= 0)

    def _write(self, text: str) -> None:
        at = self._at()
        if at >= 0:
            one = self.bookmarks[at] = msgspec.structs.replace(self.bookmarks[at], note=text)
            self.list.item(at).setText(visible(f"{one.title} — {text}" if text else one.title))

    def _open(self) -> None:
        if (at := self._at()) >= 0:
            self.wanted.emit(self.bookmarks[at])

    def _remove(self) -> None:
        at = self._at()
        if at >= 0:
            before = list(self.bookmarks)
            after = before[:at] + before[at + 1 :]
            show = self.show_bookmarks
            self._undo.change("Remove a bookmark", partial(show, after, at), partial(show, before, at))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete removes the chosen bookmark."""
        if event.key() == Qt.Key.Key_Delete and self.list.hasFocus():
            self._remove()
        else:
            super().keyPressEvent(event)
