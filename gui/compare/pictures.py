"""Draws curves and marks: small ones in cells, a larger one with axes for the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy

from foliolab.gui.compare.answer import NOTHING, Curve, Tone
from foliolab.gui.widgets.painted import Painted

if TYPE_CHECKING:
    from foliolab.gui.window.theme import Theme

MARK: Final = 9.0
"""Width and height in pixels of a mark."""


def tone_colour(tone: Tone, theme: Theme) -> QColor:
    """The colour of a verdict."""
    return theme.colour(tone)


def spark(painter: QPainter, rect: QRectF, curve: Curve, theme: Theme) -> None:
    """Draw a curve without axes, or marks; nothing for a curve with fewer than two points."""
    if curve.marks:
        _marks(painter, rect, curve, theme)
    elif len(curve.points) > 1:
        frame = rect.adjusted(3, 4, -3, -4)
        _curve(painter, frame, curve, theme, _span(curve), small=True)


def mark_rows(rect: QRectF, curve: Curve) -> int:
    """How many rows the marks of a curve take in a rectangle."""
    return -(-len(curve.points) // max(int(rect.width() // (MARK + 4)), 1))


def _marks(painter: QPainter, rect: QRectF, curve: Curve, theme: Theme) -> None:
    """Draw a filled square for good, an empty one for undecided, a cross for bad; right-aligned, in rows."""
    step = MARK + 4
    fit = max(int(rect.width() // step), 1)
    rows = mark_rows(rect, curve)
    wide = min(len(curve.points), fit) * step - 4
    top = rect.center().y() - (rows * step - 4) / 2
    for number, (_, value) in enumerate(curve.points):
        x = rect.right() - wide + number % fit * step
        mark = QRectF(x, top + number // fit * step, MARK, MARK)
        if value > 0:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("good"))
            painter.drawRoundedRect(mark, 2, 2)
        elif value < 0:
            painter.setPen(QPen(theme.colour("bad"), 2.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(mark.topLeft(), mark.bottomRight())
            painter.drawLine(mark.topRight(), mark.bottomLeft())
        else:
            painter.setPen(QPen(theme.colour("quiet"), 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(mark.adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)


def _span(curve: Curve) -> tuple[float, float]:
    """The lowest and the highest value to show. The span of a nearly level curve is widened, so that it looks level."""
    values = [value for _, value in curve.points] + [*curve.low, *curve.high, *curve.second]
    values += [value for value in (curve.level, curve.top) if value is not None]
    values = [value for value in values if isfinite(value)]
    low, high = min(values), max(values)
    if curve.level is None:
        low = min(low, 0.0)
    least = 0.1 * abs(curve.level) if curve.level else 1e-9
    if low == high == 0:
        return 0.0, 1.0  # all values are 0: the curve lies on the axis
    if high - low < least:
        low, high = low - least / 2, high + least / 2
    return low, high


def _curve(
    painter: QPainter, frame: QRectF, curve: Curve, theme: Theme, span: tuple[float, float], small: bool
) -> None:
    low, high = span
    steps = max(len(curve.points) - 1, 1)

    def at(number: int, value: float) -> QPointF:
        y = frame.bottom() - (value - low) / (high - low) * frame.height()
        return QPointF(frame.left() + frame.width() * number / steps, y)

    if curve.level is not None:
        painter.setPen(QPen(theme.colour("quiet"), 1, Qt.PenStyle.DashLine))
        painter.drawLine(at(0, curve.level), at(steps, curve.level))
    elif small:
        painter.setPen(QPen(theme.colour("edge"), 1))
        painter.drawLine(frame.bottomLeft(), frame.bottomRight())
    colour = theme.of_series(0)
    if curve.low and curve.high:
        band = QPolygonF([at(i, value) for i, value in enumerate(curve.high)])
        for i in range(len(curve.low) - 1, -1, -1):
            band.append(at(i, curve.low[i]))
        shade = QColor(colour)
        shade.setAlpha(60)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawPolygon(band)
    if curve.second:
        dashed = Qt.PenStyle.DashLine
        _line(painter, [at(i, value) for i, value in enumerate(curve.second)], theme.of_series(1), dashed, small)
    line = [at(i, value) for i, (_, value) in enumerate(curve.points)]
    _line(painter, line, colour, Qt.PenStyle.SolidLine, small)


def _line(painter: QPainter, line: Sequence[QPointF], colour: QColor, style: Qt.PenStyle, small: bool) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour, 1.6 if small else 2, style, Qt.PenCapStyle.RoundCap))
    painter.drawPolyline(QPolygonF(line))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    radius = 1.7 if small else 3.5
    for point in line:
        painter.drawEllipse(point, radius, radius)


class Plot(Painted):
    """A curve with axes."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.curve = NOTHING
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Curve")

    def sizeHint(self) -> QSize:
        return QSize(320, 180)

    def show_curve(self, curve: Curve) -> None:
        """Show a curve; the plot hides if the curve has fewer than two points, or marks."""
        self.curve = curve
        texts = ", ".join(f"{label}: {value:.4g}" for label, value in curve.points)
        if curve.second:
            texts += f"; {curve.names[1]}: " + ", ".join(f"{value:.4g}" for value in curve.second)
        self.setAccessibleDescription(f"{curve.y} by {curve.x}: {texts}" if texts else "")
        self.setVisible(len(curve.points) > 1 and not curve.marks)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if len(self.curve.points) > 1:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._draw(painter, QRectF(self.rect()), self._theme)
            painter.end()

    def _draw(self, painter: QPainter, rect: QRectF, theme: Theme) -> None:
        metrics = QFontMetricsF(self.font())
        line = metrics.height()
        marks = ticks(*_span(self.curve))
        left = max(metrics.horizontalAdvance(text) for text in map(number_text, marks)) + 12
        frame = rect.adjusted(left, line + 10, -16, -2 * line - 12)
        low, high = min(_span(self.curve)[0], marks[0]), max(_span(self.curve)[1], marks[-1])
        for tick in marks:
            y = frame.bottom() - (tick - low) / (high - low) * frame.height()
            painter.setPen(QPen(theme.colour("edge"), 1))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(theme.colour("quiet"))
            box = QRectF(0, y - line / 2, left - 6, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, number_text(tick))
        self._labels(painter, frame, theme, line)
        inner = frame.adjusted(8, 0, -8, 0)
        _curve(painter, inner, self.curve, theme, (low, high), small=False)

    def _labels(self, painter: QPainter, frame: QRectF, theme: Theme, line: float) -> None:
        painter.setPen(theme.colour("quiet"))
        painter.drawText(QRectF(4, 0, self.width() - 8, line + 4), Qt.AlignmentFlag.AlignLeft, self.curve.y)
        right = self.width() - 8.0
        for number, name in reversed(list(enumerate(self.curve.names))):  # the key, at the right of the title
            wide = QFontMetricsF(self.font()).horizontalAdvance(name)
            style = Qt.PenStyle.DashLine if number else Qt.PenStyle.SolidLine
            painter.setPen(theme.colour("quiet"))
            painter.drawText(QRectF(right - wide, 0, wide + 1, line + 4), Qt.AlignmentFlag.AlignLeft, name)
            painter.setPen(QPen(theme.of_series(number), 2, style))
            painter.drawLine(QPointF(right - wide - 24, line / 2 + 1), QPointF(right - wide - 5, line / 2 + 1))
            right -= wide + 34
        painter.setPen(theme.colour("quiet"))
        below = QRectF(frame.left(), frame.bottom() + line + 8, frame.width(), line + 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, self.curve.x)
        labels = [label for label, _ in self.curve.points]
        metrics = QFontMetricsF(self.font())
        step = (frame.width() - 16) / max(len(labels) - 1, 1)
        widest = max(metrics.horizontalAdvance(label) for label in labels) + 8
        every = max(1, int(-(-widest // max(step, 1))))
        for number in range(0, len(labels), every):
            x = frame.left() + 8 + step * number
            box = QRectF(x - widest / 2, frame.bottom() + 7, widest, line + 2)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, labels[number])


def ticks(low: float, high: float) -> list[float]:
    """Three to six round values that cover a span."""
    from math import ceil, floor, log10

    rough = (high - low) / 4
    unit = 10 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.999)
    return [step * number for number in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def number_text(value: float) -> str:
    """A value at an axis."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
