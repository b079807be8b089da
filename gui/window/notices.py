"""Notices: one-line messages over the window's lower right corner, with details on demand. They block nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QPushButton, QToolButton, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window.building import FLUSH, column, label, named, row, tool_button

Severity = Literal["information", "warning", "error"]
SIGNS: Final = {"information": "ℹ", "warning": "▲", "error": "✖"}
SECONDS: Final = 8
"""How long a notice of severity information stays."""
Offer = tuple[str, Callable[[], None]]
REMEMBERED: Final = 500
"""Notices in the history."""
MOST: Final = 4
"""Notices shown at a time; the oldest gives way."""
WIDEST: Final = 620
MARGIN: Final = 8
"""Between the notices and the edges of the widget that they lie over."""


class Notice(QFrame):
    """One message with a sign for its severity.

    Args:
        severity: decides the sign and colour, and whether the notice closes by itself.
        text: one line.
        details: shown by the Details button and copied by the Copy button; empty if there are none.
        offer: the text of one more button, and what it does before the notice closes.
        about: what the notice is about, such as a file; `Notices.resolve` closes it when that is in order again.

    Signals:
        closed: the notice is to be removed.
    """

    closed = Signal()

    def __init__(
        self, severity: Severity, text: str, details: str = "", offer: Offer | None = None, about: str = ""
    ) -> None:
        super().__init__()
        self.about = about
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


@dataclass(frozen=True)
class Said:
    """A notice of the past.

    Args:
        time: when it was said, in local time.
        severity, text, details: of the notice.
    """

    time: datetime
    severity: Severity
    text: str
    details: str


class Notices(QWidget):
    """The notices that are shown now, the oldest first.

    They lie over a widget and are in no layout: a notice that comes, grows or ends by itself moves nothing that
    somebody may be about to click.

    Args:
        under: the widget that they lie over.

    Attributes:
        history: the newest notices, shown or not, the oldest first.
    """

    def __init__(self, under: QWidget) -> None:
        super().__init__(under)
        self._under = under
        self.history: deque[Said] = deque(maxlen=REMEMBERED)
        self.setAccessibleName("Notices")
        self._layout = column(of=self, margins=FLUSH, spacing=4)
        self.hide()
        under.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._under and event.type() == QEvent.Type.Resize:
            self._place()
        return super().eventFilter(watched, event)

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest:
            self._place()
        return done

    def _place(self) -> None:
        """Take the lower right corner, as high as the notices need at this width."""
        area = self._under.rect().adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        width = min(area.width(), WIDEST)
        height = min(self._layout.totalHeightForWidth(width), area.height())
        self.setGeometry(area.right() + 1 - width, area.bottom() + 1 - height, width, height)

    @property
    def all(self) -> list[Notice]:
        """All notices, the oldest first."""
        items = (self._layout.itemAt(i) for i in range(self._layout.count()))
        found = (item.widget() for item in items if item is not None)
        return [widget for widget in found if isinstance(widget, Notice)]

    def say(
        self,
        text: str,
        severity: Severity = "information",
        details: str = "",
        offer: Offer | None = None,
        about: str = "",
    ) -> None:
        """Show a notice, unless the same notice is already shown; see `Notice`."""
        for old in self.all:
            if (old.text, old.details) == (text, details):
                return
        self.history.append(Said(datetime.now(), severity, text, details))
        notice = Notice(severity, text, details, offer, about)
        notice.closed.connect(self._closed)
        self._layout.addWidget(notice)
        for old in self.all[:-MOST]:
            if old.accept.isHidden():  # what is offered waits for its answer
                self._remove(old)
        self._place()
        self.show()
        self.raise_()

    def fault(self, fault: FolioLabError, details: str = "") -> None:
        """Show an error; its hint is the first line of the details."""
        self.say(fault.what, "error", "\n".join(part for part in (fault.hint, details) if part))

    def resolve(self, about: str) -> None:
        """Close the notices about something that is in order again."""
        for notice in self.all:
            if notice.about == about:
                self._remove(notice)

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
