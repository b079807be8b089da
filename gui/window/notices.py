"""Notices: one-line messages above the status bar, with details on demand. They never block the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QPushButton, QToolButton, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window.building import column, label, named, row, tool_button

Severity = Literal["information", "warning", "error"]
SIGNS: Final = {"information": "ℹ", "warning": "▲", "error": "✖"}
SECONDS: Final = 8
"""How long a notice of severity information stays."""
Offer = tuple[str, Callable[[], None]]
MOST: Final = 4
"""Notices shown at a time; the oldest gives way."""


class Notice(QFrame):
    """One message with a sign for its severity.

    Args:
        severity: decides the sign and colour, and whether the notice closes by itself.
        text: one line.
        details: shown by the Details button and copied by the Copy button; empty if there are none.
        offer: the text of one more button, and what it does before the notice closes.

    Signals:
        closed: the notice is to be removed.
    """

    closed = Signal()

    def __init__(self, severity: Severity, text: str, details: str = "", offer: Offer | None = None) -> None:
        super().__init__()
        self.severity = severity
        self.text = text
        self.details = details
        self.setProperty("role", "notice")
        self.setAccessibleName(f"{severity}: {text}")
        role = {"information": "heading", "warning": "doubtful", "error": "bad"}[severity]
        self.more = named(QPushButton("Details"), "Details of this notice")
        self.more.setCheckable(True)
        self.copy = named(QPushButton("Copy"), "Copy the details of this notice")
        close = tool_button("✕", "Close this notice")
        close.clicked.connect(self.close_)
        self._body = named(QPlainTextEdit(details, readOnly=True), "Details")
        self._body.setMaximumHeight(160)
        self.more.toggled.connect(self._body.setVisible)
        self.copy.clicked.connect(self._copy)
        self.accept = named(QPushButton(offer[0] if offer else ""), offer[0] if offer else "Nothing")
        self.accept.setVisible(bool(offer))
        self._offer = offer
        self.accept.clicked.connect(self._accept)
        line = row(label(SIGNS[severity], role), (label(text, wraps=True), 1), self.accept, self.more, self.copy, close)
        column(line, self._body, of=self, margins=(10, 5, 8, 5))
        for part in (self.more, self.copy):
            part.setVisible(bool(details))
        self._body.hide()
        if severity == "information":
            QTimer.singleShot(SECONDS * 1000, self.close_)

    def close_(self) -> None:
        """Close the notice; a timer does not close it while its details are open."""
        if self.more.isChecked() and not isinstance(self.sender(), QToolButton):
            return
        self.closed.emit()

    def _accept(self) -> None:
        self.closed.emit()
        if self._offer is not None:
            self._offer[1]()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.text}\n{self.details}")


class Notices(QWidget):
    """The notices that are shown now, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Notices")
        self._layout = column(of=self, margins=(8, 0, 8, 4), spacing=4)
        self.hide()

    @property
    def all(self) -> list[Notice]:
        """All notices, the oldest first."""
        items = (self._layout.itemAt(i) for i in range(self._layout.count()))
        found = (item.widget() for item in items if item is not None)
        return [widget for widget in found if isinstance(widget, Notice)]

    def say(self, text: str, severity: Severity = "information", details: str = "", offer: Offer | None = None) -> None:
        """Show a notice, unless the same notice is already shown; see `Notice`."""
        for old in self.all:
            if (old.text, old.details) == (text, details):
                return
        notice = Notice(severity, text, details, offer)
        notice.closed.connect(self._closed)
        self._layout.addWidget(notice)
        for old in self.all[:-MOST]:
            self._remove(old)
        self.show()

    def fault(self, fault: FolioLabError, details: str = "") -> None:
        """Show an error; its hint is the first line of the details."""
        self.say(fault.what, "error", "\n".join(part for part in (fault.hint, details) if part))

    def clear(self) -> None:
        """Close all notices."""
        for notice in self.all:
            self._remove(notice)

    def _closed(self) -> None:
        notice = self.sender()
        if isinstance(notice, Notice):
            self._remove(notice)

    def _remove(self, notice: Notice) -> None:
        self._layout.removeWidget(notice)
        notice.deleteLater()
        notice.hide()
        self.setVisible(bool(self.all))
