"""The slider for the position in the run, with marks below it where policies disagree, and where one is wrong."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QSlider, QStyle, QStyleOptionSlider, QWidget

from foliolab.framework.explore.view import HistoryView
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.painted import Painted
from foliolab.gui.widgets.range_drag import RangeDrag
from foliolab.gui.window.building import FLUSH, column, named
from foliolab.gui.window.theme import Theme

HEIGHT: Final = 17
LINE: Final = 11
"""Where the line lies: triangles above it, bars below."""


class PositionSlider(QWidget):
    """The slider with its marks.

    Args:
        theme: the colours.
        part: the part of the run that the slider spans; the mouse changes it.

    Signals:
        wanted: (position): the user chose a position.
    """

    wanted = Signal(int)

    def __init__(self, theme: Theme, part: Interval) -> None:
        super().__init__()
        self.setObjectName("explore.timeline")
        self._part = part
        self._position = 0
        self.slider = named(_Slider(Qt.Orientation.Horizontal), "Position in the run, in steps")
        self.slider.setRange(0, 0)
        self.slider.valueChanged.connect(self.wanted)
        self.marks = Marks(self, theme, part)
        column(self.slider, self.marks, of=self, margins=FLUSH, spacing=0)
        part.changed.connect(self._show_part)

    def begin(self) -> None:
        """Begin with another run, at position 0."""
        self._position = 0
        self._show_part()
        self.marks.begin()

    def _show_part(self) -> None:
        """Span the part that is shown; a position outside of it is shown at its nearer end."""
        with QSignalBlocker(self.slider):
            self.slider.setRange(self._part.low, self._part.high)
            self.slider.setPageStep(max(self._part.length // 20, 1))
            self.slider.setValue(self._position)
        self.marks.update()

    def show_position(self, position: int, farthest: int) -> None:
        """Show the position of the run; `wanted` is not emitted."""
        self._position = position
        if not self.slider.isSliderDown():
            with QSignalBlocker(self.slider):
                self.slider.setValue(position)
        self.marks.reach(farthest)

    def show_marks(self, history: HistoryView) -> None:
        """Show where policies disagree, and where one is wrong."""
        self.marks.show_marks(history.marks, history.mark_counts, history.wrongs)
        apart = f"policies disagree at {int(history.mark_counts.sum()):,} steps so far"
        wrong = "a policy became wrong" if history.wrongs.size else "no policy became wrong"
        self.slider.setAccessibleDescription(f"{apart}; {wrong}")


class _Slider(QSlider):
    """A slider over which the wheel does not move the position: the marks below zoom."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class Marks(Painted):
    """A triangle where policies disagree, the taller the more often, and a bar below where a policy became wrong.

    Where all policies are wrong alike there is only the bar. A drag chooses the part of the run that is shown.
    """

    def __init__(self, owner: PositionSlider, theme: Theme, part: Interval) -> None:
        super().__init__(theme)
        self._owner = owner
        self._part = part
        self._farthest = 0
        self._positions = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)
        self._wrongs = np.zeros(0, np.int64)
        tip = "▲ policies disagree, ▮ below the line a policy became wrong; click to go there, drag to see a part alone"
        named(self, "Where policies disagree or are wrong", tip)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.drag = RangeDrag(self, part, self._number_at)
        self.drag.clicked.connect(self._clicked)

    def sizeHint(self) -> QSize:
        return QSize(200, HEIGHT)

    def begin(self) -> None:
        """The slider forgets its marks, and how far the last run was played."""
        self._farthest = 0
        nothing = np.zeros(0, np.int64)
        self.show_marks(nothing, nothing, nothing)

    def reach(self, farthest: int) -> None:
        """Show the farthest position."""
        if farthest != self._farthest:
            self._farthest = farthest
            self.update()

    def show_marks(self, positions: NDArray[np.int64], counts: NDArray[np.int64], wrongs: NDArray[np.int64]) -> None:
        """Show triangles at these positions, each of so many disagreements, and bars where a policy became wrong."""
        self._positions, self._counts, self._wrongs = positions, counts, wrongs
        self.update()

    def _groove(self) -> tuple[float, float]:
        """(x of the slider's handle at position 0, pixels from there to the end)."""
        slider = self._owner.slider
        option = QStyleOptionSlider()
        slider.initStyleOption(option)
        style, control = slider.style(), QStyle.ComplexControl.CC_Slider
        groove = style.subControlRect(control, option, QStyle.SubControl.SC_SliderGroove, slider)
        handle = style.subControlRect(control, option, QStyle.SubControl.SC_SliderHandle, slider)
        return groove.left() + handle.width() / 2, float(max(groove.width() - handle.width(), 1))

    def _number_at(self, x: float) -> float:
        """The position that is shown at an x."""
        left, length = self._groove()
        return self._part.low + (x - left) / length * self._part.length

    def _shown(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (positions >= self._part.low) & (positions <= self._part.high)

    def _pixels(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where positions are, in steps of two pixels from the left end."""
        length = self._groove()[1]
        return np.asarray((length * (positions - self._part.low) / self._part.length / 2).astype(np.int64))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left, length = self._groove()
        reached = min(max((self._farthest - self._part.low) / self._part.length, 0.0), 1.0)
        painter.fillRect(QRectF(left, LINE, length, 1), self._theme.colour("edge"))
        painter.fillRect(QRectF(left, LINE - 0.5, length * reached, 2), self._theme.colour("accent"))
        for pixel in np.unique(self._pixels(self._wrongs[self._shown(self._wrongs)])).tolist():
            painter.fillRect(
                QRectF(left + 2 * pixel - 0.75, LINE + 2, 1.5, HEIGHT - LINE - 2), self._theme.colour("bad")
            )
        shown = self._shown(self._positions)
        if shown.any():
            pixels, which = np.unique(self._pixels(self._positions[shown]), return_inverse=True)
            numbers = np.bincount(which, weights=self._counts[shown])
            heights = 4 + (LINE - 5) * np.minimum(np.log1p(numbers) / np.log(1000), 1)
            painter.setBrush(self._theme.colour("doubtful"))
            painter.setPen(QPen(self._theme.colour("doubtful"), 0.5))
            for pixel, height in zip(pixels.tolist(), heights.tolist(), strict=True):
                x = left + 2 * pixel
                foot = LINE - 2
                corners = [QPointF(x - 2.2, foot), QPointF(x, foot - height), QPointF(x + 2.2, foot)]
                painter.drawPolygon(QPolygonF(corners))
        painter.end()

    def _clicked(self, x: float) -> None:
        """Go to the nearest mark that is shown; without one, to the position under the mouse."""
        position = self._number_at(x)
        marks = np.concatenate([self._positions, self._wrongs])
        marks = marks[self._shown(marks)]
        if marks.size:
            position = marks[np.abs(marks - position).argmin()]
        self._owner.wanted.emit(int(min(max(position, self._part.low), self._part.high)))
