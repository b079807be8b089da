"""The plot of precision: the part of exclusive folios that each policy calls shared, over the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyqtgraph
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QWidget

from foliolab.framework.escaping import visible
from foliolab.framework.explore.history import SERIES
from foliolab.framework.explore.view import HistoryView
from foliolab.gui.explore.step_times import StepTimes, seconds_text
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.key import Key
from foliolab.gui.widgets.range_drag import RangeDrag
from foliolab.gui.window.building import FLUSH, column
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.theme import DASHES, Theme, Themed

SHARE: Final = SERIES.index("false_share")
SIGN: Final = 22
"""Pixels of a piece of a line in the key."""


class RunAxis(pyqtgraph.AxisItem):  # type: ignore[misc]
    """The axis of a run: its steps, or the time of a trace, with the unit at each number.

    Attributes:
        timed: whether it has time.
    """

    def __init__(self) -> None:
        super().__init__("bottom")
        self.timed = False
        self.enableAutoSIPrefix(False)

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        if self.timed:
            return [seconds_text(value, spacing) for value in values]
        return [f"{value:,.0f}" if spacing >= 1 else "" for value in values]


def pen_of(theme: Theme, number: int) -> QPen:
    """The pen of a policy's curve."""
    pen = QPen(theme.of_series(number), 1.6)
    pen.setCosmetic(True)
    if dash := DASHES[number % len(DASHES)]:
        pen.setStyle(Qt.PenStyle.CustomDashLine)
        pen.setDashPattern(dash)
    return pen


class CurveKey(Key):
    """The key of the curves: a piece of each line, and the policy's name."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, SIGN)
        self.setAccessibleName("Key of the curves")

    def show_names(self, names: Sequence[str]) -> None:
        self.names = [visible(name) for name in names]
        self.updateGeometry()
        self.update()

    def draw_sign(self, painter: QPainter, number: int, box: QRectF) -> None:
        painter.setPen(pen_of(self._theme, number))
        painter.drawLine(QLineF(box.left(), box.center().y(), box.right(), box.center().y()))


class PrecisionPlot(QWidget, Themed):
    """A band for each policy: a point of a long run stands for several steps, from their minimum to their maximum.

    The axis has steps, or the time of a trace that has times.

    Args:
        theme: the colours.
        part: the part of the run that is shown; the mouse changes it.
    """

    def __init__(self, theme: Theme, part: Interval) -> None:
        super().__init__()
        self._part = part
        self._times = StepTimes()
        self.timed = False
        self.setObjectName("explore.precision_plot")
        self.setAccessibleName("Share of exclusive folios called shared, over the run")
        self._theme = theme
        self._names: list[str] = []
        self._history: HistoryView | None = None
        self._position = 0
        self._axis = RunAxis()
        self.plot = pyqtgraph.PlotWidget(axisItems={"bottom": self._axis})
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setMouseEnabled(False, False)
        self.plot.setMinimumHeight(48)
        self.plot.getPlotItem().disableAutoRange()
        self.key = CurveKey(theme)
        self._here = pyqtgraph.InfiniteLine(angle=90)
        self.plot.addItem(self._here)
        self._curves: list[pyqtgraph.PlotDataItem] = []
        self._lows: list[pyqtgraph.PlotDataItem] = []
        self._bands: list[pyqtgraph.FillBetweenItem] = []
        column(self.key, (self.plot, 1), of=self, margins=FLUSH, spacing=0)
        self.drag = RangeDrag(self.plot.viewport(), part, self._position_at)
        part.changed.connect(self._show_part)
        self.paint(theme)

    def begin(self, names: Sequence[str], times: StepTimes) -> None:
        """Begin with another run, of which these times are known."""
        self._names, self._history = list(names), None
        self._times, self.timed = times, times.known
        for curve in (*self._curves, *self._lows, *self._bands):
            self.plot.removeItem(curve)
        self.key.show_names(self._names)
        self._curves = [self.plot.plot() for _ in self._names]
        self._lows = [self.plot.plot() for _ in self._names]
        bounds = zip(self._lows, self._curves, strict=True)
        self._bands = [pyqtgraph.FillBetweenItem(low, high) for low, high in bounds]
        for band in self._bands:
            self.plot.addItem(band)
        self.plot.setYRange(0, 5, padding=0.02)
        self._show_part()
        self.paint(self._theme)

    # -- the axis --------------------------------------------------------------------------------------
    def show_times(self, timed: bool) -> None:
        """Have time as the axis, if the run has times; otherwise steps."""
        self.timed = timed and self._times.known
        history, self._history = self._history, None
        self._show_part()
        if history is not None:
            self.show_history(history, self._position)

    def _x(self, positions: NDArray[np.int64] | float) -> NDArray[np.float64]:
        return self._times.at(positions) if self.timed else np.asarray(positions, np.float64)

    def _position_at(self, pixel: float) -> float:
        """The position that is shown at an x of the plot's viewport."""
        x = self.plot.getViewBox().mapSceneToView(self.plot.mapToScene(round(pixel), 0)).x()
        return self._times.position(x) if self.timed else float(x)

    def _show_part(self) -> None:
        self._axis.timed = self.timed
        self._axis.picture = None  # the same numbers may stand for others now
        low, high = float(self._x(self._part.low)), float(self._x(self._part.high))
        self.plot.setXRange(low, high if high > low else low + (1e-9 if self.timed else 1), padding=0.005)
        self._show_top()

    def show_history(self, history: HistoryView, position: int) -> None:
        """Show the history up to now, and the position."""
        self._position = position
        self._here.setValue(float(self._x(position)))
        if history is self._history or history.high.shape[0] != len(self._curves):
            return
        self._history = history
        x = self._x(history.positions)
        for lane, curve in enumerate(self._curves):
            curve.setData(x, 100 * history.high[lane, SHARE])
            self._lows[lane].setData(x, 100 * history.low[lane, SHARE])
        self._show_top()
        ends = ", ".join(f"{name} {100 * history.high[lane, SHARE, -1]:.1f} %" for lane, name in enumerate(self._names))
        self.setAccessibleDescription(f"now: {ends}")

    def _show_top(self) -> None:
        """Make the highest value of the part fit."""
        history = self._history
        if history is None or not len(self._curves):
            return
        shown = (history.positions >= self._part.low) & (history.positions <= self._part.high)
        top = max(1.0, 100 * float(history.high[:, SHARE][:, shown].max(initial=0)))
        self.plot.setYRange(0, min(1.15 * top, 104), padding=0)

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self.plot.setBackground(theme.panel)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(theme.edge)
            axis.setTextPen(theme.quiet)
        self.plot.getAxis("left").setLabel("called shared", units=None, color=theme.quiet, **{"font-size": "8pt"})
        self.plot.getAxis("left").setTickSpacing()
        self._here.setPen(pyqtgraph.mkPen(theme.accent, width=1))
        self.key.paint(theme)
        for number, curve in enumerate(self._curves):
            curve.setPen(pen_of(theme, number))
            shade = theme.of_series(number)
            shade.setAlpha(50)
            self._bands[number].setBrush(shade)
            self._lows[number].setPen(None)

    def table(self) -> tuple[Sequence[str], Sequence[Row]]:
        """Headings and rows of all series, for export."""
        ends = ("", ", lowest")
        headings = ["step", *(f"{name}: {one}{end}" for end in ends for name in self._names for one in SERIES)]
        if self._history is None:
            return headings, []
        lanes, series, nr = self._history.high.shape
        both = (self._history.high, self._history.low)
        values = np.concatenate([np.moveaxis(one, 2, 0).reshape(nr, lanes * series) for one in both], axis=1)
        return headings, [[int(at), *row] for at, row in zip(self._history.positions, values.tolist(), strict=True)]
