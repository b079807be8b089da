"""A frame around the widget that a stop of a tour speaks of."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget


class Spotlight(QWidget):
    """A frame around a widget, above all other widgets. It passes every click through."""

    WIDTH = 3

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._watched: QWidget | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()

    @property
    def watches(self) -> bool:
        """Whether a widget is framed."""
        return self._watched is not None

    def look(self, widget: QWidget | None) -> None:
        """Frame a widget; None removes the frame."""
        self.leave()
        if widget is not None and widget.isVisible():
            self._watched = widget
            widget.installEventFilter(self)
            self._follow()
            self.show()
            self.raise_()

    def leave(self) -> None:
        """Remove the frame."""
        if self._watched is not None:
            self._watched.removeEventFilter(self)
        self._watched = None
        self.hide()

    def _follow(self) -> None:
        if self._watched is not None:
            corner = self._watched.mapTo(self.window(), self._watched.rect().topLeft())
            self.setGeometry(QRect(corner, self._watched.size()))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the framed widget when it moves; leave it when it is hidden or deleted."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move):
            self._follow()
        elif event.type() in (QEvent.Type.Hide, QEvent.Type.DeferredDelete):
            self.leave()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        pen = QPen(QColor(self.palette().highlight().color()), self.WIDTH)
        painter.setPen(pen)
        inset = self.WIDTH // 2
        painter.drawRoundedRect(self.rect().adjusted(inset, inset, -inset - 1, -inset - 1), 4, 4)
        painter.end()
