"""Ranges by mouse: drag over a chart or over lines, turn the wheel over it, click twice for the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QRubberBand, QWidget

from foliolab.gui.widgets.interval import Interval

ZOOM: Final = 1.25
"""Zoom factor of one step of the wheel; that of the memory maps."""
NEAR: Final = 4
"""Pixels that the mouse may move between press and release of a click."""
PANNED: Final = 0.1
"""Part of the interval that one step of the wheel with Shift moves it."""
Numbers = Callable[[float], float]


class RangeDrag(QObject):
    """Lets the mouse choose the shown part of an interval on a widget one of whose axes shows that part.

    Args:
        widget: gets the mouse; of a scroll area its viewport.
        interval: is changed.
        number_at: the number that the axis shows at an x of the widget; of a vertical axis at a y.
        vertical: which axis it is. Over a vertical one the wheel scrolls, and zooms with Ctrl.

    Signals:
        clicked: (x, or y): a click that was no drag.
    """

    clicked = Signal(float)

    def __init__(self, widget: QWidget, interval: Interval, number_at: Numbers, vertical: bool = False) -> None:
        super().__init__(widget)
        self._widget, self._interval, self._number_at, self._vertical = widget, interval, number_at, vertical
        self._from: QPoint | None = None
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, widget)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """See Qt; what chooses a part does not reach the widget."""
        if isinstance(event, QWheelEvent):
            return self._turned(event)
        if isinstance(event, QMouseEvent):
            return self._moved(event)
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return event.key() == Qt.Key.Key_Escape and self._escaped()
        return False

    def _along(self, point: QPointF | QPoint) -> float:
        """The coordinate of a point along the axis."""
        return float(point.y() if self._vertical else point.x())

    def _between(self, one: QPoint, other: QPoint) -> QRect:
        """The band from one point to another, across the whole widget."""
        first, last = sorted((int(self._along(one)), int(self._along(other))))
        if self._vertical:
            return QRect(QPoint(0, first), QSize(self._widget.width(), max(last - first, 1)))
        return QRect(QPoint(first, 0), QSize(max(last - first, 1), self._widget.height()))

    def _turned(self, event: QWheelEvent) -> bool:
        if self._vertical and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return False
        delta = event.angleDelta()
        turns = (delta.y() or delta.x()) / 120
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier or not delta.y():
            self._interval.pan(-turns * max(PANNED * self._interval.length, 1))
        elif turns:
            self._interval.zoom(ZOOM**turns, self._number_at(self._along(event.position())))
        return True

    def _moved(self, event: QMouseEvent) -> bool:
        kind, here = event.type(), event.position().toPoint()
        if kind == QEvent.Type.MouseButtonDblClick:
            self._interval.fit()
            return True
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
            self._from = here
            return True
        if self._from is None:
            return False
        if kind == QEvent.Type.MouseMove:
            if abs(self._along(here) - self._along(self._from)) > NEAR or self._band.isVisible():
                self._band.setGeometry(self._between(self._from, here))
                self._band.show()
            return True
        if kind == QEvent.Type.MouseButtonRelease:
            start, self._from = self._from, None
            if self._band.isVisible():
                self._band.hide()
                self._interval.see(self._number_at(self._along(start)), self._number_at(self._along(here)))
            else:
                self.clicked.emit(self._along(event.position()))
            return True
        return False

    def _escaped(self) -> bool:
        """Give up a drag, else show the whole."""
        if self._from is not None:
            self._from = None
            self._band.hide()
        else:
            self._interval.fit()
        return True
