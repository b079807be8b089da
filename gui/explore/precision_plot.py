"""The plot of precision: the part of exclusive folios that each policy calls shared, over the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtGui import QPen
from PySide6.QtWidgets import QWidget

from foliolab.framework.explore.history import SERIES
from foliolab.framework.explore.view import HistoryView
from foliolab.gui.window.building import FLUSH, column
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.plain import as_html
from foliolab.gui.window.theme import DASHES, Theme, Themed

SHARE: Final = SERIES.index("false_share")


class PrecisionPlot(QWidget, Themed):
    """A band for each policy: a point of a long run stands for several steps, from their minimum to their maximum."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("explore.precision_plot")
        self.setAccessibleName("Share of exclusive folios called shared, over the run")
        self._theme = theme
        self._names: list[str] = []
        self._history: HistoryView | None = None
        self.plot = pyqtgraph.PlotWidget()
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setMouseEnabled(False, False)
        self.plot.setMinimumHeight(70)
        self.plot.getPlotItem().disableAutoRange()
        self._legend = self.plot.addLegend(offset=(8, 2), colCount=4)
        self._here = pyqtgraph.InfiniteLine(angle=90)
        self.plot.addItem(self._here)
        self._curves: list[pyqtgraph.PlotDataItem] = []
        self._lows: list[pyqtgraph.PlotDataItem] = []
        self._bands: list[pyqtgraph.FillBetweenItem] = []
        column(self.plot, of=self, margins=FLUSH)
        self.paint(theme)

    def begin(self, names: Sequence[str], nr_steps: int) -> None:
        """Begin with another run."""
        self._names, self._history = list(names), None
        for curve in (*self._curves, *self._lows, *self._bands):
            self.plot.removeItem(curve)
        self._curves = [self.plot.plot(name=as_html(name)) for name in self._names]
        self._lows = [self.plot.plot() for _ in self._names]
        bounds = zip(self._lows, self._curves, strict=True)
        self._bands = [pyqtgraph.FillBetweenItem(low, high) for low, high in bounds]
        for band in self._bands:
            self.plot.addItem(band)
        self.plot.setXRange(0, max(nr_steps, 1), padding=0.005)
        self.plot.setYRange(0, 5, padding=0.02)
        self.paint(self._theme)

    def show_history(self, history: HistoryView, position: int) -> None:
        """Show the history up to now, and the position."""
        self._here.setValue(position)
        if history is self._history or history.high.shape[0] != len(self._curves):
            return
        self._history = history
        top = 1.0
        for lane, curve in enumerate(self._curves):
            values = 100 * history.high[lane, SHARE]
            curve.setData(history.positions, values)
            self._lows[lane].setData(history.positions, 100 * history.low[lane, SHARE])
            top = max(top, float(values.max(initial=0)))
        self.plot.setYRange(0, min(1.15 * top, 104), padding=0)
        ends = ", ".join(f"{name} {100 * history.high[lane, SHARE, -1]:.1f} %" for lane, name in enumerate(self._names))
        self.setAccessibleDescription(f"now: {ends}")

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
        self._legend.setLabelTextColor(theme.text)
        for number, curve in enumerate(self._curves):
            pen = QPen(theme.of_series(number), 1.6)
            pen.setCosmetic(True)
            if dash := DASHES[number % len(DASHES)]:
                pen.setStyle(Qt.PenStyle.CustomDashLine)
                pen.setDashPattern(dash)
            curve.setPen(pen)
            shade = theme.of_series(number)
            shade.setAlpha(50)
            self._bands[number].setBrush(shade)
            self._lows[number].setPen(None)
        for _, label in self._legend.items:
            label.setText(label.text, color=theme.text)

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
