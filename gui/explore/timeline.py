"""Where in the run one is: a slider, and below it marks where policies disagree."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QSlider, QStyle, QStyleOptionSlider, QVBoxLayout, QWidget

from foliolab.gui.window.theme import Theme

TALL: Final = 13


class Timeline(QWidget):
    """The slider with its marks.

    Signals:
        wanted: (position): go there.
    """

    wanted = Signal(int)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("explore.timeline")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Position in the run, in steps")
        self.slider.setTracking(True)
        self.slider.setRange(0, 0)
        self.slider.valueChanged.connect(self._moved)
        self.marks = Marks(self, theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.slider)
        layout.addWidget(self.marks)

    def begin(self, nr_steps: int) -> None:
        """A run of so many steps, at its start."""
        self.slider.blockSignals(True)
        self.slider.setRange(0, nr_steps)
        self.slider.setPageStep(max(nr_steps // 20, 1))
        self.slider.setValue(0)
        self.slider.blockSignals(False)
        self.marks.begin(nr_steps)

    def show_position(self, position: int, farthest: int) -> None:
        """Where the run is; nothing is emitted."""
        self.slider.blockSignals(True)
        if not self.slider.isSliderDown():
            self.slider.setValue(position)
        self.slider.blockSignals(False)
        self.marks.reach(farthest)

    def show_marks(self, positions: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Where policies disagree."""
        self.marks.show_marks(positions, counts)
        self.slider.setAccessibleDescription(f"policies disagree at {int(counts.sum()):,} steps so far")

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        self.marks.paint(theme)

    def _moved(self, position: int) -> None:
        self.wanted.emit(position)


class Marks(QWidget):
    """A triangle where policies disagree, taller where they do so often; how far the run has come is underlined."""

    def __init__(self, timeline: Timeline, theme: Theme) -> None:
        super().__init__()
        self._timeline = timeline
        self._theme = theme
        self._nr_steps = 0
        self._farthest = 0
        self._positions = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)
        self.setAccessibleName("Where policies disagree")
        self.setToolTip("▲ policies disagree; click to go there")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        """A line."""
        return QSize(200, TALL)

    def begin(self, nr_steps: int) -> None:
        """Another run."""
        self._nr_steps, self._farthest = nr_steps, 0
        self.show_marks(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def reach(self, farthest: int) -> None:
        """How far it has come."""
        if farthest != self._farthest:
            self._farthest = farthest
            self.update()

    def show_marks(self, positions: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Where policies disagree."""
        self._positions, self._counts = positions, counts
        self.update()

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        self._theme = theme
        self.update()

    def _groove(self) -> tuple[float, float]:
        """Where the slider's handle is at the start, and how far it goes."""
        slider = self._timeline.slider
        option = QStyleOptionSlider()
        slider.initStyleOption(option)
        style, control = slider.style(), QStyle.ComplexControl.CC_Slider
        groove = style.subControlRect(control, option, QStyle.SubControl.SC_SliderGroove, slider)
        handle = style.subControlRect(control, option, QStyle.SubControl.SC_SliderHandle, slider)
        return groove.left() + handle.width() / 2, float(max(groove.width() - handle.width(), 1))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left, long = self._groove()
        steps = max(self._nr_steps, 1)
        painter.fillRect(QRectF(left, TALL - 2, long, 1), self._theme.colour("edge"))
        painter.fillRect(QRectF(left, TALL - 2.5, long * self._farthest / steps, 2), self._theme.colour("accent"))
        if self._positions.size:
            pixels, which = np.unique((long * self._positions / steps / 2).astype(int), return_inverse=True)
            often = np.bincount(which, weights=self._counts)
            tall = 4 + (TALL - 7) * np.minimum(np.log1p(often) / np.log(1000), 1)
            painter.setBrush(self._theme.colour("doubtful"))
            painter.setPen(QPen(self._theme.colour("doubtful"), 0.5))
            for pixel, height in zip(pixels.tolist(), tall.tolist(), strict=True):
                x = left + 2 * pixel
                top = TALL - 4 - height
                painter.drawPolygon(
                    QPolygonF([QPointF(x - 2.2, TALL - 4), QPointF(x, top), QPointF(x + 2.2, TALL - 4)])
                )
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the mark that is nearest."""
        left, long = self._groove()
        position = (event.position().x() - left) / long * self._nr_steps
        if self._positions.size:
            position = self._positions[np.abs(self._positions - position).argmin()]
        self._timeline.wanted.emit(int(min(max(position, 0), self._nr_steps)))
