"""A small curve of how the states of an attack grow."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QPointF, QSize
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from foliolab.gui.window.theme import Theme

MOST: Final = 400


class Growth(QWidget):
    """States over time as an area, depth as a line on a scale of its own."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._points: list[tuple[float, float, float]] = []
        self.setMinimumHeight(34)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("States and depth over time")
        self.setToolTip("States (area) and depth (line) over time, each on a scale of its own")

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(160, 40)

    def clear(self) -> None:
        """Nothing yet."""
        self._points.clear()
        self.update()

    def add(self, seconds: float, states: float, depth: float) -> None:
        """A point."""
        self._points.append((seconds, states, depth))
        if len(self._points) > MOST:
            self._points = self._points[::2]
        self.update()

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        self._theme = theme
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
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
