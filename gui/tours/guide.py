"""The guide of a tour: a bar with the text of the current stop, and a frame around the widget that it describes."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.tours.tour import Stop, Tour
from foliolab.gui.window.building import column, label, primary, row, tool_button
from foliolab.gui.window.desk import Desk


class Guide(QFrame):
    """Leads through the stops of a tour; hidden while no tour runs.

    Args:
        desk: opens workspaces and sends them what a stop shows.
        window: holds the workspaces; the frame is drawn over it.
    """

    def __init__(self, desk: Desk, window: QWidget) -> None:
        super().__init__()
        self._desk = desk
        self._window = window
        self._spotlight = Spotlight(window)
        self._stops: Sequence[Stop] = ()
        self._sent: set[int] = set()
        self.tour: Tour | None = None
        self.at = 0
        self.setProperty("role", "guide")
        self.setAccessibleName("Tour")
        self.title, self.text = label(role="heading"), label(wraps=True)
        self.back, self.next = QPushButton("&Back"), primary("&Next")
        self.close_ = tool_button("✕", "End the tour")
        self.back.clicked.connect(self.go_back)
        self.next.clicked.connect(self.go_on)
        self.close_.clicked.connect(self.end)
        buttons = (self.back, self.next, self.close_)
        line = row((column(self.title, self.text), 1), *buttons, of=self, margins=(14, 8, 10, 8))
        for button in buttons:
            line.setAlignment(button, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    def start(self, tour: Tour) -> None:
        """Start a tour. If no installed policy fits a stop, a notice says which one is missing."""
        try:
            stops = tour.stops(self._desk.library)
        except FolioLabError as fault:
            self._desk.notices.fault(fault)
            return
        self.tour, self._stops, self._sent = tour, stops, set()
        self._show(0)
        self.next.setFocus()

    def go_on(self) -> None:
        """Go to the next stop; after the last stop the tour ends."""
        if self.at + 1 < len(self._stops):
            self._show(self.at + 1)
        else:
            self.end()

    def go_back(self) -> None:
        if self.at:
            self._show(self.at - 1)

    def end(self) -> None:
        """End the tour; the workspaces keep what it opened."""
        self.tour, self._stops = None, ()
        self.hide()
        self._spotlight.leave()

    def _show(self, at: int) -> None:
        assert self.tour is not None
        self.at = at
        stop = self._stops[at]
        self.title.setText(f"{self.tour.title}  {at + 1} of {len(self._stops)}: {stop.title}")
        self.text.setText(stop.text)
        self.setAccessibleDescription(f"{stop.title}. {stop.text}")
        self.back.setEnabled(at > 0)
        self.next.setText("&Next" if at + 1 < len(self._stops) else "&Done")
        self.show()
        if stop.send is not None and (at not in self._sent or (isinstance(stop.send, dict) and "step" in stop.send)):
            self._sent.add(at)
            self._desk.send(stop.workspace, stop.send)
        else:
            self._desk.go(stop.workspace)
        self._spotlight.look(self._window.findChild(QWidget, stop.look) if stop.look else None)


class Spotlight(QWidget):
    """A frame around a widget, above all other widgets. It passes every click through."""

    WIDTH = 3

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._watched: QWidget | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()

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
