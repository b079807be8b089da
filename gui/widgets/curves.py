"""Curves over folio size or time: error bars, symbols and names at their ends; drawn at most five times a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPen, QResizeEvent

from foliolab.framework.plugins.selection import size_text
from foliolab.gui.window.theme import SYMBOLS, Theme

INTERVAL: Final = 200
"""Milliseconds between two drawings at least."""
NEAR: Final = 18
"""Pixels within which a point is meant by the mouse."""
LINE: Final = 16
"""Pixels that a name at a curve's end takes in height."""
GLYPH: Final = 7.5
"""Pixels that a letter of such a name takes in width, about."""


@dataclass(frozen=True)
class Curve:
    """One curve.

    Args:
        name: unique; stands at its end.
        x, y: its points.
        low, high: the ends of the error bars; empty for none.
        number: of its colour and symbol.
        dashed: not measured here, but taken from elsewhere.
        told: a sentence for each point, shown when the mouse is on it.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    number: int = 0
    dashed: bool = False
    told: Sequence[str] = ()


class SizeAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis of folio sizes: x is the logarithm to base 2 of the size in KiB."""

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """Every size, or every other where there is no room for all."""
        every = 1 if size / max(high - low, 1) > 42 else 2
        return [(every, [float(x) for x in range(math.ceil(low), math.floor(high) + 1) if x >= 2 and x % every == 0])]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """4K to 2M and above."""
        return [size_text(1024 << round(value)) for value in values]


@dataclass
class _Drawn:
    line: Any
    bars: Any
    name: Any
    parts: list[Any] = field(default_factory=list)


class CurvePlot(pg.PlotWidget):  # type: ignore[misc]
    """A plot of curves.

    Args:
        theme: its colours.
        sizes: whether x is log2 of a folio size in KiB.

    Signals:
        pointed: the sentence of the point under the mouse; empty for none.
    """

    pointed = Signal(str)

    def __init__(self, theme: Theme, *, sizes: bool = True) -> None:
        super().__init__(axisItems={"bottom": SizeAxis("bottom")} if sizes else {})
        self._theme = theme
        self._curves: tuple[Curve, ...] = ()
        self._drawn: dict[str, _Drawn] = {}
        self._level: float | None = None
        self._told = ""
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.getViewBox().disableAutoRange()
        self._rule = pg.InfiniteLine(angle=0)
        self._rule.setVisible(False)
        self.addItem(self._rule, ignoreBounds=True)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self.draw)
        self.setMouseTracking(True)
        self.scene().sigMouseMoved.connect(self._moved)
        self.setMinimumHeight(140)
        self.paint_theme(theme)

    # -- what to show ----------------------------------------------------------------------------------
    @property
    def curves(self) -> tuple[Curve, ...]:
        """What is shown, or is about to be."""
        return self._curves

    def show_curves(self, curves: Sequence[Curve], *, level: float | None = None, at_once: bool = False) -> None:
        """Show these and no others.

        Args:
            curves: names are unique; curves without points are left out.
            level: where to draw a rule, such as 1 for a ratio.
            at_once: now, and not when the next drawing is due.
        """
        self._curves = tuple(curve for curve in curves if len(curve.x))
        self._level = level
        if at_once:
            self._timer.stop()
            self.draw()
        elif not self._timer.isActive():
            self._timer.start()

    def label(self, left: str, bottom: str) -> None:
        """Name the axes."""
        self.setLabel("left", left)
        self.setLabel("bottom", bottom)

    def paint_theme(self, theme: Theme) -> None:
        """Draw in a theme's colours."""
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
        """No more drawing."""
        self._timer.stop()

    # -- drawing ---------------------------------------------------------------------------------------
    def draw(self) -> None:
        """Draw now what is to be shown."""
        names = {curve.name for curve in self._curves}
        for name in [name for name in self._drawn if name not in names]:
            self._drop(self._drawn.pop(name))
        for curve in self._curves:
            drawn = self._drawn.get(curve.name)
            if drawn is None:
                drawn = self._drawn[curve.name] = self._made()
            self._set(drawn, curve)
        self._rule.setVisible(self._level is not None)
        if self._level is not None:
            self._rule.setValue(self._level)
        self._fit()

    def _made(self) -> _Drawn:
        drawn = _Drawn(pg.PlotDataItem(), pg.ErrorBarItem(x=[0.0], y=[0.0], beam=0.08), pg.TextItem(anchor=(0, 0.5)))
        for item in (drawn.bars, drawn.line, drawn.name):
            self.addItem(item, ignoreBounds=True)
        return drawn

    def _drop(self, drawn: _Drawn) -> None:
        for item in (drawn.bars, drawn.line, drawn.name):
            self.removeItem(item)

    def _set(self, drawn: _Drawn, curve: Curve) -> None:
        colour = self._theme.of_series(curve.number)
        symbol = SYMBOLS[curve.number % len(SYMBOLS)]
        drawn.line.setData(
            list(curve.x), list(curve.y), pen=_pen(colour, curve.dashed), symbol=symbol, symbolSize=9,
            symbolPen=pg.mkPen(colour, width=1.5), symbolBrush=self._theme.panel if curve.dashed else colour,
        )  # fmt: skip
        drawn.bars.setVisible(bool(len(curve.low)))
        if len(curve.low):
            import numpy as np

            y = np.asarray(curve.y, float)
            drawn.bars.setData(
                x=np.asarray(curve.x, float), y=y, top=np.asarray(curve.high, float) - y,
                bottom=y - np.asarray(curve.low, float), pen=pg.mkPen(colour, width=1.3),
            )  # fmt: skip
        drawn.name.setText(curve.name, color=colour)

    def _fit(self) -> None:
        """Show all of it, with room for the names at the right."""
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
        self._place_names((high - low) * LINE / max(self.getViewBox().height(), 100.0), width * 0.02, low)

    def _place_names(self, line: float, gap: float, low: float) -> None:
        """Each name beside its curve's end; where two would overlap, the upper one moves up."""
        above = low - line
        for curve in sorted(self._curves, key=lambda curve: curve.y[-1]):
            above = max(curve.y[-1], above + line)
            right = max(one.x[-1] for one in self._curves)
            self._drawn[curve.name].name.setPos(right + gap, above)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Names keep their distance."""
        super().resizeEvent(event)
        if getattr(self, "_drawn", None):
            self._fit()

    # -- the mouse -------------------------------------------------------------------------------------
    def text_at(self, position: QPointF) -> str:
        """The sentence of the point at a place of the scene; empty for none."""
        best, told = float(NEAR), ""
        for curve in self._curves:
            for x, y, text in zip(curve.x, curve.y, curve.told, strict=False):
                there = self.getViewBox().mapViewToScene(QPointF(x, y))
                distance = math.hypot(there.x() - position.x(), there.y() - position.y())
                if distance < best:
                    best, told = distance, text
        return told

    def _moved(self, position: QPointF) -> None:
        told = self.text_at(position)
        if told != self._told:
            self._told = told
            self.setToolTip(told)
            self.pointed.emit(told)


def _pen(colour: QColor, dashed: bool) -> QPen:
    pen = QPen(colour, 1.5 if dashed else 2, Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine)
    pen.setCosmetic(True)
    return pen


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From below the least to above the greatest."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin
