"""Curves with error bars or bands, symbols and names at their ends; redrawn at most five times a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPen, QResizeEvent

from foliolab.framework.escaping import visible
from foliolab.framework.plugins.selection import size_text
from foliolab.gui.benchmark.series import Curve
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.range_drag import RangeDrag
from foliolab.gui.window.plain import tip
from foliolab.gui.window.theme import SYMBOLS, Theme, Themed

INTERVAL: Final = 200
"""Least milliseconds between two drawings."""
NEAR: Final = 18
"""Pixels from the mouse to a point, within which the point's text is shown."""
LINE: Final = 16
"""Height in pixels of a name at the end of a curve."""
OPAQUE: Final = 48
"""Of 255: how opaque the area of a prediction is, through which curves show."""
GLYPH: Final = 7.5
"""Approximate width in pixels of a letter of such a name."""


class SizeAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis of folio sizes, where x is log2 of the size in KiB."""

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """A tick for every size, or for every second one if the labels would overlap."""
        every = 1 if size / max(high - low, 1) > 42 else 2
        return [(every, [float(x) for x in range(math.ceil(low), math.floor(high) + 1) if x >= 2 and x % every == 0])]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [size_text(1024 << round(value)) for value in values]


@dataclass
class _Drawn:
    line: Any
    bars: Any
    name: Any
    edges: tuple[Any, Any]
    area: Any

    @property
    def items(self) -> tuple[Any, ...]:
        return self.area, *self.edges, self.bars, self.line, self.name


class CurvePlot(pg.PlotWidget, Themed):  # type: ignore[misc]
    """A plot of curves; x is log2 of a folio size in KiB.

    Args:
        theme: the colours.
        part: the sizes that are shown, as x; the mouse changes it.

    Signals:
        pointed: the text of the point under the mouse; empty for none.
    """

    pointed = Signal(str)

    def __init__(self, theme: Theme, part: Interval) -> None:
        super().__init__(axisItems={"bottom": SizeAxis("bottom")})
        self._theme = theme
        self._curves: tuple[Curve, ...] = ()
        self._drawn: dict[str, _Drawn] = {}
        self._level: float | None = None
        self._text = ""
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.getViewBox().disableAutoRange()
        self._rule = pg.InfiniteLine(angle=0)
        self._rule.setVisible(False)
        self.addItem(self._rule, ignoreBounds=True)
        self._timer = QTimer(self, singleShot=True, interval=INTERVAL)
        self._timer.timeout.connect(self.draw)
        self.setMouseTracking(True)
        self.scene().sigMouseMoved.connect(self._moved)
        self.setMinimumHeight(140)
        self.drag = RangeDrag(self.viewport(), part, self._x_at)
        self.paint(theme)

    # -- contents --------------------------------------------------------------------------------------
    @property
    def curves(self) -> tuple[Curve, ...]:
        """The curves that are shown or that the next drawing will show."""
        return self._curves

    def show_curves(self, curves: Sequence[Curve], *, level: float | None = None, at_once: bool = False) -> None:
        """Replace the curves.

        Args:
            curves: with unique names; curves without points are left out.
            level: the y of a horizontal rule, such as 1 for a ratio; None for no rule.
            at_once: draw now instead of when the next drawing is due.
        """
        self._curves = tuple(curve for curve in curves if len(curve.x))
        self._level = level
        if at_once:
            self._timer.stop()
            self.draw()
        elif not self._timer.isActive():
            self._timer.start()

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self.setBackground(theme.panel)
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(pg.mkPen(theme.edge))
            axis.setTextPen(pg.mkPen(theme.text))
            axis.label.setDefaultTextColor(theme.colour("text"))
        self._rule.setPen(pg.mkPen(theme.quiet, width=1, style=Qt.PenStyle.DotLine))
        self.draw()

    def shut(self) -> None:
        """Stop the timer of the drawing."""
        self._timer.stop()

    # -- drawing ---------------------------------------------------------------------------------------
    def draw(self) -> None:
        """Draw the curves now."""
        names = {curve.name for curve in self._curves}
        for name in [name for name in self._drawn if name not in names]:
            drawn = self._drawn.pop(name)
            for item in drawn.items:
                self.removeItem(item)
        for curve in self._curves:
            if curve.name not in self._drawn:
                self._drawn[curve.name] = self._new_items()
            self._set(self._drawn[curve.name], curve)
        self._rule.setVisible(self._level is not None)
        if self._level is not None:
            self._rule.setValue(self._level)
        self._fit()

    def _new_items(self) -> _Drawn:
        edges = pg.PlotDataItem(), pg.PlotDataItem()
        drawn = _Drawn(
            pg.PlotDataItem(), pg.ErrorBarItem(x=[0.0], y=[0.0], beam=0.08), pg.TextItem(anchor=(0, 0.5)), edges,
            pg.FillBetweenItem(*edges),
        )  # fmt: skip
        for item in drawn.items:
            self.addItem(item, ignoreBounds=True)
        return drawn

    def _set(self, drawn: _Drawn, curve: Curve) -> None:
        colour = self._theme.of_series(curve.number)
        symbol = SYMBOLS[curve.number % len(SYMBOLS)]
        drawn.line.setData(
            list(curve.x), list(curve.y), pen=_pen(colour, curve), symbol=None if curve.band else symbol, symbolSize=9,
            symbolPen=pg.mkPen(colour, width=1.5), symbolBrush=self._theme.panel if curve.dashed else colour,
        )  # fmt: skip
        for edge, ends in zip(drawn.edges, (curve.low, curve.high), strict=True):
            edge.setVisible(curve.band)
            edge.setData(list(curve.x), list(ends) if curve.band else list(curve.y), pen=pg.mkPen(colour, width=0.7))
        drawn.area.setVisible(curve.band)
        drawn.area.setBrush(QColor(colour.red(), colour.green(), colour.blue(), OPAQUE))
        barred = bool(len(curve.low)) and not curve.band
        drawn.bars.setVisible(barred)
        if barred:
            import numpy as np

            y = np.asarray(curve.y, float)
            drawn.bars.setData(
                x=np.asarray(curve.x, float), y=y, top=np.asarray(curve.high, float) - y,
                bottom=y - np.asarray(curve.low, float), pen=pg.mkPen(colour, width=1.3),
            )  # fmt: skip
        drawn.name.setText(visible(curve.name), color=colour)

    def _fit(self) -> None:
        """Show all points, with space for the names at the right."""
        points = [(x, y) for curve in self._curves for x, y in zip(curve.x, curve.y, strict=True)]
        if not points:
            return
        ends = [y for curve in self._curves for y in (*curve.low, *curve.high)]
        level = [] if self._level is None else [self._level]
        low, high = _span([y for _, y in points] + ends + level)
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        width = max(right - left, 1.0)
        pixels = max(self.getViewBox().width(), 200.0)
        names = min(max(len(curve.name) for curve in self._curves) * GLYPH + 16, pixels * 0.45)
        room = width * names / (pixels - names)
        self.getViewBox().setRange(xRange=(left - 0.04 * width, right + room), yRange=(low, high), padding=0)
        self._arrange_names((high - low) * LINE / max(self.getViewBox().height(), 100.0), width * 0.02, low)

    def _arrange_names(self, line: float, gap: float, low: float) -> None:
        """Put each name beside the end of its curve; if two would overlap, the upper one moves up."""
        above = low - line
        for curve in sorted(self._curves, key=lambda curve: curve.y[-1]):
            above = max(curve.y[-1], above + line)
            right = max(other.x[-1] for other in self._curves)
            self._drawn[curve.name].name.setPos(right + gap, above)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the distance of the names in pixels."""
        super().resizeEvent(event)
        if getattr(self, "_drawn", None):
            self._fit()

    # -- the mouse -------------------------------------------------------------------------------------
    def _x_at(self, pixel: float) -> float:
        return float(self.getViewBox().mapSceneToView(self.mapToScene(round(pixel), 0)).x())

    def text_at(self, position: QPointF) -> str:
        """The text of the point at a position of the scene; empty for none."""
        best, found = float(NEAR), ""
        for curve in self._curves:
            for x, y, text in zip(curve.x, curve.y, curve.texts, strict=False):
                point = self.getViewBox().mapViewToScene(QPointF(x, y))
                distance = math.hypot(point.x() - position.x(), point.y() - position.y())
                if distance < best:
                    best, found = distance, text
        return found

    def _moved(self, position: QPointF) -> None:
        text = self.text_at(position)
        if text != self._text:
            self._text = text
            self.setToolTip(tip(text))
            self.pointed.emit(text)


def _pen(colour: QColor, curve: Curve) -> QPen:
    styles = Qt.PenStyle
    style = styles.DotLine if curve.band else styles.DashLine if curve.dashed else styles.SolidLine
    pen = QPen(colour, 1.5 if curve.dashed else 2, style)
    pen.setCosmetic(True)
    return pen


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The range of the values with a margin."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin
