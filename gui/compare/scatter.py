"""The scatter of the home screen: what a policy costs against how often it is imprecise, each policy a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QRubberBand, QSizePolicy

from foliolab.gui.compare.delegate import fitted
from foliolab.gui.compare.pictures import number_text, ticks
from foliolab.gui.compare.shown_part import ShownPart
from foliolab.gui.widgets.painted import Painted
from foliolab.gui.widgets.range_drag import NEAR, PANNED, ZOOM

if TYPE_CHECKING:
    from foliolab.gui.window.theme import Theme

RADIUS: Final = 5.0
REACH: Final = 14.0
"""How near to a point a click counts as one on it, in pixels."""


@dataclass(frozen=True)
class Spot:
    """A policy in the scatter.

    Args:
        policy: its name.
        x: false shared, in per cent of the time.
        y: time, as a change from the baseline's in per cent.
        unsafe: why it is unsafe; empty if it is not known to be.
        here: whether both were measured on this host.
        shown: whether its row is in the matrix.
    """

    policy: str
    x: float
    y: float
    unsafe: str = ""
    here: bool = True
    shown: bool = True

    @property
    def text(self) -> str:
        """One line, for tool tips and screen readers."""
        parts = [f"time {self.y:+.1f} %", f"{self.x:.1f} % false shared", self.unsafe and f"unsafe: {self.unsafe}"]
        return f"{self.policy}: {', '.join(filter(None, parts))}"


class Scatter(Painted):
    """The scatter. The arrow keys go from point to point, Enter or a click opens one.

    A drag shows the part under it, the wheel zooms around the mouse (with Shift it moves the part); a double-click or
    Escape shows all.

    Signals:
        opened: the policy of a point.

    Attributes:
        part: the part that is shown.
    """

    opened = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.spots: list[Spot] = []
        self.title = ""
        self.current = -1
        self.part = ShownPart()
        self.part.changed.connect(self.update)
        self._from: QPoint | None = None
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Cost against false shared")

    def sizeHint(self) -> QSize:
        return QSize(520, 220)

    def minimumSizeHint(self) -> QSize:
        return QSize(260, 150)

    def show_spots(self, spots: Sequence[Spot], title: str) -> None:
        """Show policies; the title says which time it is."""
        if list(spots) == self.spots and title == self.title:
            return
        self.spots, self.title = list(spots), title
        self.current = min(self.current, len(self.spots) - 1)
        self.setAccessibleDescription("; ".join(spot.text for spot in spots))
        self.update()

    # -- places ----------------------------------------------------------------------------------------
    def _frame(self) -> QRectF:
        line = QFontMetricsF(self.font()).height()
        return QRectF(self.rect()).adjusted(52, line + 10, -14, -2 * line - 6)

    def _inner(self) -> QRectF:
        """Where points can be: not on the edge of the frame."""
        return self._frame().adjusted(10, 0, -10, 0)

    def _whole(self) -> QRectF:
        """What the axes show of all points, up to round figures."""
        widest = max([spot.x for spot in self.spots] + [1.0])
        ys = [spot.y for spot in self.spots] + [0.0]
        low, high = min(ys), max(ys)
        least = max(0.0, 4.0 - (high - low)) / 2
        xs, ys = ticks(0.0, widest), ticks(low - least, high + least)
        return QRectF(xs[0], ys[0], xs[-1] - xs[0], ys[-1] - ys[0])

    def _seen(self) -> QRectF:
        """The two ranges that the axes show, in the units of the figures."""
        return self.part.seen or self._whole()

    def _ticks(self) -> tuple[list[float], list[float]]:
        """The axes' scales, from which the figures beside them are read."""
        seen = self._seen()
        xs, ys = ticks(seen.left(), seen.right()), ticks(seen.top(), seen.bottom())
        slack = 1e-9
        return (
            [x for x in xs if max(seen.left(), 0) - slack <= x <= seen.right() + slack],
            [y for y in ys if seen.top() - slack <= y <= seen.bottom() + slack],
        )

    def _pixel(self, x: float, y: float) -> QPointF:
        frame, seen = self._inner(), self._seen()
        return QPointF(
            frame.left() + (x - seen.left()) / seen.width() * frame.width(),
            frame.bottom() - (y - seen.top()) / seen.height() * frame.height(),
        )

    def _value(self, position: QPointF) -> QPointF:
        """The figures at a position."""
        frame, seen = self._inner(), self._seen()
        return QPointF(
            seen.left() + (position.x() - frame.left()) / max(frame.width(), 1) * seen.width(),
            seen.top() + (frame.bottom() - position.y()) / max(frame.height(), 1) * seen.height(),
        )

    def place(self, spot: Spot) -> QPointF:
        """Where a policy's point is."""
        return self._pixel(spot.x, spot.y)

    @property
    def inside(self) -> list[int]:
        """The numbers of the points in the shown part."""
        return [number for number, spot in enumerate(self.spots) if self.part.holds(spot.x, spot.y)]

    def _at(self, position: QPointF) -> int:
        """The number of the point nearest to a position; -1 if none is near."""
        near = [((self.place(self.spots[n]) - position).manhattanLength(), n) for n in self.inside]
        distance, number = min(near, default=(REACH, -1))
        return number if distance < REACH else -1

    def text_at(self, position: QPoint) -> str:
        """All points there: policies may lie upon each other."""
        shown = [self.spots[number] for number in self.inside]
        there = [one.text for one in shown if (self.place(one) - QPointF(position)).manhattanLength() < REACH]
        return "\n".join(there)

    # -- drawing ---------------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.spots:
            self._axes(painter, self._frame())
            self._points(painter)
        painter.end()

    def _axes(self, painter: QPainter, frame: QRectF) -> None:
        theme, line = self._theme, QFontMetricsF(self.font()).height()
        xs, ys = self._ticks()
        for value in ys:
            y = self._pixel(0, value).y()
            style = Qt.PenStyle.DashLine if value == 0 else Qt.PenStyle.SolidLine
            painter.setPen(QPen(theme.colour("quiet" if value == 0 else "edge"), 1, style))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(theme.colour("quiet"))
            text = f"{'+' if value > 0 else ''}{number_text(value)} %".replace("-", "−")
            flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, y - line / 2, frame.left() - 6, line), flags, text)
        every = max(1, round(len(xs) * 44 / max(frame.width(), 1)))
        for value in xs[::every]:
            x = self._pixel(value, 0).x()
            box = QRectF(x - 24, frame.bottom() + 3, 48, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, f"{number_text(value)} %")
        painter.setFont(fitted(self.font(), self.title, self.width() - 12))
        painter.drawText(QRectF(6, 1, self.width() - 12, line + 2), Qt.AlignmentFlag.AlignLeft, self.title)
        painter.setFont(self.font())
        below = QRectF(frame.left(), frame.bottom() + line + 2, frame.width(), line + 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "false shared, share of the time")

    def _points(self, painter: QPainter) -> None:
        theme = self._theme
        shown = self.inside
        places = [self.place(self.spots[number]) for number in shown]
        taken: list[QRectF] = [QRectF(at.x() - 6, at.y() - 6, 12, 12) for at in places]
        # The names of the rows are placed first, so that they stay where points are crowded.
        order = sorted(shown, key=lambda n: (not self.spots[n].shown, n))
        for number in order:
            spot, at = self.spots[number], self.place(self.spots[number])
            colour = theme.colour("bad" if spot.unsafe else "accent" if spot.here else "quiet")
            painter.setPen(QPen(colour, 2))
            painter.setBrush(colour if spot.here else QColor(0, 0, 0, 0))
            if spot.unsafe:  # a cross, so that colour alone does not carry it
                painter.drawLine(at + QPointF(-4, -4), at + QPointF(4, 4))
                painter.drawLine(at + QPointF(-4, 4), at + QPointF(4, -4))
            else:
                painter.drawEllipse(at, RADIUS - 1, RADIUS - 1)
            if number == self.current and self.hasFocus():
                painter.setPen(QPen(theme.colour("text"), 1.5))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawEllipse(at, RADIUS + 4, RADIUS + 4)
            self._name(painter, spot, at, taken)

    def _name(self, painter: QPainter, spot: Spot, at: QPointF, taken: list[QRectF]) -> None:
        """Write a name beside its point, where it covers no other; nowhere if there is no room."""
        metrics = QFontMetricsF(self.font())
        wide, high = metrics.horizontalAdvance(spot.policy) + 2, metrics.height()
        area = self._frame().adjusted(0, -high / 2 - 2, 14, high / 2)
        for dx, dy in (
            (9, -high / 2),
            (-9 - wide, -high / 2),
            (-wide / 2, -high - 7),
            (-wide / 2, 7),
            (9, 3),
            (9, -high - 3),
        ):
            box = QRectF(at.x() + dx, at.y() + dy, wide, high)
            if area.contains(box) and not any(box.intersects(other) for other in taken):
                taken.append(box)
                painter.fillRect(box, self._theme.colour("window"))  # no line strikes a name through
                painter.setPen(self._theme.colour("bad" if spot.unsafe else "text" if spot.shown else "quiet"))
                painter.drawText(box, Qt.AlignmentFlag.AlignLeft, spot.policy)
                return

    # -- input -----------------------------------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._from = event.position().toPoint()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show all, unless it is a point that was clicked twice."""
        if self._at(event.position()) < 0:
            self.part.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom around the mouse; with Shift, move the part."""
        delta = event.angleDelta()
        turns = (delta.y() or delta.x()) / 120
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier or not delta.y():
            self.part.pan(-PANNED * turns, self._whole())
        else:
            self.part.zoom(ZOOM**turns, self._value(event.position()), self._whole())
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        here = event.position().toPoint()
        if self._from is not None and ((here - self._from).manhattanLength() > NEAR or self._band.isVisible()):
            self._band.setGeometry(QRect(self._from, here).normalized())
            self._band.show()
            return
        over = self._at(event.position()) >= 0
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        start, self._from = self._from, None
        if start is not None and self._band.isVisible():
            self._band.hide()
            one, other = self._value(QPointF(start)), self._value(event.position())
            self.part.see(QRectF(one, other))
            return
        number = self._at(event.position())
        if number >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.current = number
            self.opened.emit(self.spots[number].policy)
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1}.get(
            Qt.Key(event.key())
        )
        shown = self.inside
        if step is not None and shown:
            at = shown.index(self.current) if self.current in shown else -1 if step > 0 else 0
            self.current = shown[(at + step) % len(shown)]
            self.update()
        elif event.key() == Qt.Key.Key_Escape:
            self._from = None
            self._band.hide()
            self.part.fit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and 0 <= self.current < len(self.spots):
            self.opened.emit(self.spots[self.current].policy)
        else:
            super().keyPressEvent(event)
