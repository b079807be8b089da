"""Text from outside in the window: names, messages and paths are shown as they are, and mean nothing to Qt."""

from __future__ import annotations

import html

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy

from foliolab.framework.escaping import visible


class PlainLabel(QLabel):
    """A label that shows control characters, and no HTML."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str, /) -> None:
        """Show a text."""
        super().setText(visible(text))


class OneLine(PlainLabel):
    """A label of one line that asks for no room: what does not fit is left out at its end; the tool tip has all."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def setText(self, text: str, /) -> None:
        super().setText(text)
        self.setToolTip(tip(text))

    def paintEvent(self, event: QPaintEvent) -> None:
        room = self.contentsRect()
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room.width())
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter = QPainter(self)
        self.style().drawItemText(painter, room, flags, self.palette(), self.isEnabled(), shown, self.foregroundRole())
        painter.end()


class Wrapped(PlainLabel):
    """A label that wraps its text and always has the height for it, also in a splitter, which does not ask."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setWordWrap(True)

    def setText(self, text: str, /) -> None:
        super().setText(text)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setMinimumHeight(self.heightForWidth(self.width()) if self.text() else 0)


def tip(text: str) -> str:
    """A text as a tool tip, which Qt takes for HTML if it looks like that."""
    return f"<p>{as_html(text).replace(chr(10), '<br>')}</p>" if "<" in text else visible(text)


def as_html(text: str) -> str:
    """A text for what takes HTML only."""
    return html.escape(visible(text))
