"""Draws the visible lines of a sequence diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetrics, QPainter, QPen, QPolygonF

from foliolab.framework.report.diagram import Diagram, Mark, Span
from foliolab.gui.widgets.basics import bold
from foliolab.gui.window.theme import Theme

LANE: Final = 230
"""Least width of a lane in pixels."""
STATE: Final = 200
GUTTER: Final = 46
MM: Final = 30
RADIUS: Final = 4.5
LATER: Final = 0.38
"""Opacity of the lines after the current step."""
_LEFT: Final = 22
"""Pixels from the left edge of a lane to its line; the brackets of locks are drawn there."""
_MIDDLE: Final = Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class Geometry:
    """Positions and sizes in pixels.

    Args:
        width: of the diagram.
        line: height of a line.
        head: height of the heads.
        lane: width of a lane.
        lanes: number of lanes.
        truth: left edge of the columns with the mappings by the page tables.
        state: left edge of the column with the changed fields.
    """

    width: int
    line: int
    head: int
    lane: int
    lanes: int
    truth: int
    state: int

    def lane_at(self, thread: int) -> int:
        """The left edge of a lane."""
        return GUTTER + max(thread, 0) * self.lane

    def axis(self, thread: int) -> int:
        """The x of the vertical line of a lane."""
        return self.lane_at(thread) + _LEFT


def geometry_of(diagram: Diagram, width: int, font: QFont) -> Geometry:
    """The geometry for a width; the result is wider if the width is too small."""
    metrics = QFontMetrics(font)
    lanes = max(len(diagram.heads), 1)
    truth = max(diagram.nr_mms * MM, metrics.horizontalAdvance("mapped by MM")) + 12
    rest = width - GUTTER - truth
    state = max(STATE, int(rest * 0.3) if lanes > 1 else rest - LANE)
    lane = max(LANE, (rest - state) // lanes)
    at = GUTTER + lanes * lane
    return Geometry(
        max(width, at + truth + STATE), metrics.height() + 8, 2 * metrics.height() + 14, lane, lanes, at, at + truth
    )


class SequencePicture:
    """Draws a diagram.

    Args:
        diagram: the contents.
        theme: the colours.
        font: of all texts.

    Attributes:
        now: the current step; -1 before the first.
    """

    def __init__(self, diagram: Diagram, theme: Theme, font: QFont) -> None:
        self.diagram = diagram
        self.theme = theme
        self.font = font
        self.now = -1

    # -- lines -----------------------------------------------------------------------------------------
    def draw(self, painter: QPainter, geometry: Geometry, first: int, last: int, top: int) -> None:
        """Draw the lines from `first` to `last`, beginning at height `top`."""
        painter.setFont(self.font)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        here = self.diagram.line_of(self.now) if self.now >= 0 else -1
        marks = self.diagram.marks
        y = top
        for at in range(first, min(last, len(marks) - 1) + 1):
            area = QRect(0, y, geometry.width, geometry.line)
            if at == here:
                self._highlight(painter, area)
            painter.setOpacity(LATER if at != here and self.now >= 0 and self.diagram.is_later(at, self.now) else 1.0)
            if marks[at].kind != "setup":
                self._axes(painter, geometry, area, at)
            self._mark(painter, geometry, area, at, marks[at])
            y += geometry.line
        painter.setOpacity(1.0)
        self._spans(painter, geometry, first, last, top, here)
        if last >= len(marks):
            self._broken(painter, geometry, y)

    def _highlight(self, painter: QPainter, area: QRect) -> None:
        tint = self.theme.colour("accent")
        tint.setAlpha(56)
        painter.setOpacity(1.0)
        painter.fillRect(area, tint)
        painter.setPen(self.theme.colour("accent"))
        painter.drawText(area.adjusted(4, 0, 0, 0), _MIDDLE, "▶")

    def _axes(self, painter: QPainter, geometry: Geometry, area: QRect, at: int) -> None:
        """Draw the vertical lines of the lanes, dotted while a thread waits."""
        for thread in range(geometry.lanes):
            waits = any(
                span.kind == "wait" and span.thread == thread and span.first <= at < span.last
                for span in self.diagram.spans
            )
            style = Qt.PenStyle.DotLine if waits else Qt.PenStyle.SolidLine
            painter.setPen(QPen(self.theme.colour("doubtful" if waits else "edge"), 2 if waits else 1.2, style))
            painter.drawLine(geometry.axis(thread), area.top(), geometry.axis(thread), area.bottom() + 1)

    def _mark(self, painter: QPainter, geometry: Geometry, area: QRect, at: int, mark: Mark) -> None:
        theme = self.theme
        if mark.step is not None:
            painter.setPen(theme.colour("quiet"))
            number = QRect(0, area.top(), GUTTER - 8, area.height())
            painter.drawText(number, Qt.AlignmentFlag.AlignRight | _MIDDLE, str(mark.step))
        axis = geometry.axis(mark.thread)
        self._sign(painter, mark, QPointF(axis, area.center().y() + 0.5))
        right = geometry.lane_at(mark.thread) + geometry.lane if mark.thread >= 0 else geometry.truth
        strong = mark.kind in ("begin", "end")
        quiet = mark.kind in ("setup", "note", "read")
        self._text(painter, QRect(axis + 12, area.top(), right - axis - 18, area.height()), mark.text, quiet, strong)
        self._truth(painter, geometry, area, at, mark)
        if mark.state:
            painter.setPen(theme.colour("text"))
            room = QRect(geometry.state, area.top(), geometry.width - geometry.state - 6, area.height())
            self._text(painter, room, f"→ {mark.state}", False, mark.kind != "note")

    def _text(self, painter: QPainter, area: QRect, text: str, quiet: bool, strong: bool) -> None:
        font = bold(self.font, strong)
        painter.setFont(font)
        painter.setPen(self.theme.colour("quiet" if quiet else "text"))
        shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, _MIDDLE | Qt.TextFlag.TextSingleLine, shown)
        painter.setFont(self.font)

    def _sign(self, painter: QPainter, mark: Mark, at: QPointF) -> None:
        """Draw a hollow circle for a read, a filled one for a write, a diamond for a lock, a triangle and a square for
        the begin and end of an operation."""
        theme = self.theme
        colour = theme.of_series(max(mark.thread, 0))
        hollow = QBrush(theme.colour("panel"))
        filled = QBrush(colour)
        painter.setPen(QPen(colour, 1.6))
        x, y, r = at.x(), at.y(), RADIUS
        if mark.kind in ("read", "write"):
            painter.setBrush(filled if mark.kind == "write" else hollow)
            painter.drawEllipse(at, r, r)
        elif mark.kind in ("lock", "unlock", "wait"):
            painter.setBrush(filled if mark.kind == "lock" else hollow)
            r += 1.5
            painter.drawPolygon(QPolygonF([QPointF(x, y - r), QPointF(x + r, y), QPointF(x, y + r), QPointF(x - r, y)]))
        elif mark.kind == "begin":
            painter.setBrush(filled)
            painter.drawPolygon(QPolygonF([QPointF(x - r, y - r), QPointF(x + r, y), QPointF(x - r, y + r)]))
        elif mark.kind == "end":
            painter.setBrush(hollow)
            painter.drawRect(QRectF(x - r, y - r, 2 * r, 2 * r))
        elif mark.kind == "setup":
            painter.setPen(QPen(theme.colour("quiet"), 1.2))
            painter.drawLine(QPointF(x - r, y), QPointF(x + r, y))

    def _truth(self, painter: QPainter, geometry: Geometry, area: QRect, at: int, mark: Mark) -> None:
        """Draw the mappings by MM, bold if they differ from the line before."""
        if not mark.mappings:
            return
        before = next((m.mappings for m in self.diagram.marks[at - 1 :: -1] if m.mappings), ()) if at else ()
        for mm, count in enumerate(mark.mappings):
            changed = mm >= len(before) or before[mm] != count
            painter.setFont(bold(self.font, changed and bool(before)))
            painter.setPen(self.theme.colour("text" if changed else "quiet"))
            room = QRect(geometry.truth + mm * MM, area.top(), MM, area.height())
            painter.drawText(room, Qt.AlignmentFlag.AlignCenter, str(count or "·"))
        painter.setFont(self.font)

    # -- across lines ----------------------------------------------------------------------------------
    def _spans(self, painter: QPainter, geometry: Geometry, first: int, last: int, top: int, here: int) -> None:
        """Draw a bracket from each lock to its unlock; nested brackets stand side by side."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        locks = [span for span in self.diagram.spans if span.kind == "lock"]
        for span in locks:
            if span.last < first or span.first > last or span.first == span.last:
                continue
            others = (other for other in locks if other is not span and other.thread == span.thread)
            depth = sum(other.first <= span.first and span.last <= other.last for other in others)
            painter.setOpacity(1.0 if span.first <= here or self.now < 0 else LATER)
            self._bracket(painter, geometry, span, min(depth, 2), top - first * geometry.line)
        painter.setOpacity(1.0)

    def _bracket(self, painter: QPainter, geometry: Geometry, span: Span, depth: int, zero: int) -> None:
        painter.setPen(QPen(self.theme.of_series(span.thread), 2))
        x = geometry.axis(span.thread) - 10 - 4 * depth
        y0 = zero + span.first * geometry.line + geometry.line // 2
        y1 = zero + span.last * geometry.line + geometry.line // 2
        painter.drawPolyline(QPolygonF([QPointF(x + 4, y0), QPointF(x, y0), QPointF(x, y1), QPointF(x + 4, y1)]))

    def _broken(self, painter: QPainter, geometry: Geometry, y: int) -> None:
        for number, text in enumerate(self.diagram.broken):
            area = QRect(GUTTER, y + number * geometry.line, geometry.width - GUTTER - 8, geometry.line)
            font = bold(self.font)
            painter.setFont(font)
            painter.setPen(self.theme.colour("bad" if text.startswith("✗") else "text"))
            shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, area.width())
            painter.drawText(area, _MIDDLE, shown)
        painter.setFont(self.font)

    # -- heads -----------------------------------------------------------------------------------------
    def draw_heads(self, painter: QPainter, geometry: Geometry) -> None:
        """Draw the heads of the lanes, at height 0."""
        theme = self.theme
        painter.setFont(self.font)
        painter.fillRect(QRect(0, 0, geometry.width, geometry.head), theme.colour("raised"))
        painter.fillRect(QRect(0, geometry.head - 1, geometry.width, 1), theme.colour("edge"))
        half = (geometry.head - 6) // 2
        for thread, (name, does) in enumerate(self.diagram.heads):
            left = geometry.lane_at(thread) + 8
            painter.fillRect(QRect(left, 6, 4, geometry.head - 12), QColor(theme.of_series(thread)))
            room = QRect(left + 10, 3, geometry.lane - 24, half)
            self._text(painter, room, name, False, True)
            self._text(painter, room.translated(0, half), does, True, False)
        room = QRect(geometry.truth, 3, geometry.state - geometry.truth, half)
        self._text(painter, room, "mapped by MM", True, False)
        for mm in range(self.diagram.nr_mms):
            cell = QRect(geometry.truth + mm * MM, 3 + half, MM, half)
            painter.setPen(theme.colour("quiet"))
            painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, str(mm))
        room = QRect(geometry.state, 3, geometry.width - geometry.state - 6, half)
        self._text(painter, room, "the policy's fields", True, False)
        self._text(painter, room.translated(0, half), "that change", True, False)
