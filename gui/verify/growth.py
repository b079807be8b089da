"""A small curve of the states and the depth of an attack over time."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy

from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.painted import Painted
from foliolab.gui.widgets.range_drag import RangeDrag
from foliolab.gui.window.theme import Theme

MOST: Final = 400
"""Points above which every second point is dropped."""


class Growth(Painted):
    """States over time as an area, depth over time as a line; each has its own scale.

    Args:
        theme: the colours.
        part: the milliseconds that are shown, the same for all attacks; the mouse changes it.
    """

    def __init__(self, theme: Theme, part: Interval) -> None:
        super().__init__(theme)
        self._points: list[tuple[float, float, float]] = []
        self._part = part
        part.changed.connect(self.update)
        self.drag = RangeDrag(self, part, lambda x: part.low + x / max(self.width() - 2, 1) * part.length)
        self.setMinimumHeight(24)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("States and depth over time")
        self.setToolTip("States (area) and depth (line) over time, each with its own scale; a drag shows a part")

    def sizeHint(self) -> QSize:
        return QSize(160, 40)

    def clear(self) -> None:
        self._points.clear()
        self._part.cover(0, 0)
        self.update()

    def add(self, seconds: float, states: float, depth: float) -> None:
        self._points.append((seconds, states, depth))
        if len(self._points) > MOST:
            self._points = self._points[::2]
        self._part.extend(round(1000 * seconds))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(0, 0, self.width() - 2, self.height() - 3)
        painter.fillRect(0, self.height() - 2, self.width(), 1, self._theme.colour("edge"))
        painter.setClipRect(area)
        shown = self._shown()
        if len(shown) > 1:
            self._draw(painter, area, shown, 1)
            self._draw(painter, area, shown, 2)
        if not self._part.whole:
            painter.setPen(self._theme.colour("quiet"))
            text = f"{self._part.low / 1000:.2f} … {self._part.high / 1000:.2f} s"
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop, text)
        painter.end()

    def _shown(self) -> list[tuple[float, float, float]]:
        """The points of the part, with one before and one after it, to which the lines go on."""
        low, high = self._part.low / 1000, self._part.high / 1000
        inside = [at for at, point in enumerate(self._points) if low <= point[0] <= high]
        return self._points[max(inside[0] - 1, 0) : inside[-1] + 2] if inside else []

    def _draw(self, painter: QPainter, area: QRectF, points: list[tuple[float, float, float]], column: int) -> None:
        """Draw the states (column 1) or the depth (column 2)."""
        filled, low, length = column == 1, self._part.low / 1000, self._part.length / 1000
        top = max(point[column] for point in points) or 1.0
        places = [
            QPointF(area.width() * (point[0] - low) / length, area.height() * (1 - 0.92 * point[column] / top))
            for point in points
        ]
        path = QPainterPath(QPointF(places[0].x(), area.height()) if filled else places[0])
        for place in places:
            path.lineTo(place)
        colour = QColor(self._theme.colour("accent") if filled else self._theme.colour("doubtful"))
        if filled:
            below = QPainterPath(path)
            below.lineTo(places[-1].x(), area.height())
            wash = QColor(colour)
            wash.setAlpha(60)
            painter.fillPath(below, wash)
        painter.setPen(QPen(colour, 1.2))
        painter.drawPath(path)
