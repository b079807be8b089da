"""A small curve of the states and the depth of an attack over time."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QPointF, QSize
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy

from foliolab.gui.widgets.painted import Painted
from foliolab.gui.window.theme import Theme

MOST: Final = 400
"""Points above which every second point is dropped."""


class Growth(Painted):
    """States over time as an area, depth over time as a line; each has its own scale."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self._points: list[tuple[float, float, float]] = []
        self.setMinimumHeight(24)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("States and depth over time")
        self.setToolTip("States (area) and depth (line) over time, each with its own scale")

    def sizeHint(self) -> QSize:
        return QSize(160, 40)

    def clear(self) -> None:
        self._points.clear()
        self.update()

    def add(self, seconds: float, states: float, depth: float) -> None:
        self._points.append((seconds, states, depth))
        if len(self._points) > MOST:
            self._points = self._points[::2]
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width, height = self.width() - 2, self.height() - 3
        painter.fillRect(0, height + 1, width + 2, 1, self._theme.colour("edge"))
        if len(self._points) > 1:
            end = self._points[-1][0] or 1.0
            for column, filled in ((1, True), (2, False)):
                top = max(point[column] for point in self._points) or 1.0
                path = QPainterPath(QPointF(0, height))
                for point in self._points:
                    path.lineTo(width * point[0] / end, height - 0.92 * height * point[column] / top)
                colour = QColor(self._theme.colour("accent") if filled else self._theme.colour("doubtful"))
                if filled:
                    area = QPainterPath(path)
                    area.lineTo(width, height)
                    wash = QColor(colour)
                    wash.setAlpha(60)
                    painter.fillPath(area, wash)
                painter.setPen(QPen(colour, 1.2))
                painter.drawPath(path)
        painter.end()
