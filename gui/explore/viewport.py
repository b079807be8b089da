"""The visible part of the maps. All maps share one viewport, so that they always show the same pages."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, QPointF, QRectF, Signal

CLOSEST: Final = 160.0
"""Most pixels of a cell."""


class Viewport(QObject):
    """A rectangle of cells.

    Signals:
        changed: another part is visible.

    Attributes:
        whole: the rectangle of the whole map.
        seen: the visible rectangle; at first the whole map.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.whole = QRectF(0, 0, 1, 1)
        self.seen = QRectF(self.whole)

    def cover(self, width: int, height: int) -> None:
        """Show maps of another size, in cells, as a whole."""
        self.whole = QRectF(0, 0, width, height)
        self.fit()

    def fit(self) -> None:
        """Show the whole map."""
        self.seen = QRectF(self.whole)
        self.changed.emit()

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom around a point.

        Args:
            factor: how much larger cells become; below 1, smaller.
            at: the point that stays where it is, in cells; the center by default.
        """
        at = self.seen.center() if at is None else at
        width = min(max(self.seen.width() / factor, 2.0), self.whole.width())
        scale = width / self.seen.width()
        left = at.x() - (at.x() - self.seen.left()) * scale
        top = at.y() - (at.y() - self.seen.top()) * scale
        self._see(QRectF(left, top, width, self.seen.height() * scale))

    def pan(self, dx: float, dy: float) -> None:
        """Move the viewport, in cells."""
        self._see(self.seen.translated(dx, dy))

    def look(self, box: QRectF, margin: float = 0.5) -> None:
        """Show a rectangle of cells, with a margin of this fraction of its size."""
        around = box.adjusted(
            -box.width() * margin, -box.height() * margin, box.width() * margin, box.height() * margin
        )
        if around.width() < 8:
            around = QRectF(around.center().x() - 4, around.center().y() - 4, 8, 8)
        ratio = self.whole.height() / self.whole.width()
        side = max(around.width(), around.height() / ratio)
        center = around.center()
        self._see(QRectF(center.x() - side / 2, center.y() - side * ratio / 2, side, side * ratio))

    def show(self, x: int, y: int) -> None:
        """Move as little as is necessary to make a cell visible."""
        dx = min(x - self.seen.left(), 0) or max(x + 1 - self.seen.right(), 0)
        dy = min(y - self.seen.top(), 0) or max(y + 1 - self.seen.bottom(), 0)
        if dx or dy:
            self.pan(dx, dy)

    def _see(self, wanted: QRectF) -> None:
        if wanted.width() >= self.whole.width() and wanted.height() >= self.whole.height():
            wanted = QRectF(self.whole)
        left = min(max(wanted.left(), 0.0), max(self.whole.width() - wanted.width(), 0.0))
        top = min(max(wanted.top(), 0.0), max(self.whole.height() - wanted.height(), 0.0))
        self.seen = QRectF(left, top, wanted.width(), wanted.height())
        self.changed.emit()
