"""What part of the maps is seen: one lens for all of them, so that the same pages lie beside each other."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, QPointF, QRectF, Signal

CLOSEST: Final = 160.0
"""Pixels of a cell, at most."""


class Lens(QObject):
    """A rectangle of cells.

    Signals:
        changed: another part is seen.

    Attributes:
        whole: the size of the map in cells.
        seen: what is seen, in cells; everything at first.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.whole = QRectF(0, 0, 1, 1)
        self.seen = QRectF(self.whole)

    def cover(self, width: int, height: int) -> None:
        """Maps of another size: all is seen."""
        self.whole = QRectF(0, 0, width, height)
        self.fit()

    def fit(self) -> None:
        """See everything."""
        self.seen = QRectF(self.whole)
        self.changed.emit()

    @property
    def fits(self) -> bool:
        """Whether everything is seen."""
        return self.seen.contains(self.whole)

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """See less (factor above 1) or more, with a point staying where it is.

        Args:
            factor: how much larger cells become.
            at: the point in cells; the middle by default.
        """
        at = self.seen.center() if at is None else at
        width = min(max(self.seen.width() / factor, 2.0), self.whole.width())
        scale = width / self.seen.width()
        left = at.x() - (at.x() - self.seen.left()) * scale
        top = at.y() - (at.y() - self.seen.top()) * scale
        self._see(QRectF(left, top, width, self.seen.height() * scale))

    def pan(self, dx: float, dy: float) -> None:
        """Move by cells."""
        self._see(self.seen.translated(dx, dy))

    def look(self, box: QRectF, margin: float = 0.5) -> None:
        """See a rectangle, and a margin of it around."""
        around = box.adjusted(
            -box.width() * margin, -box.height() * margin, box.width() * margin, box.height() * margin
        )
        if around.width() < 8:
            around = QRectF(around.center().x() - 4, around.center().y() - 4, 8, 8)
        ratio = self.whole.height() / self.whole.width()
        side = max(around.width(), around.height() / ratio)
        middle = around.center()
        self._see(QRectF(middle.x() - side / 2, middle.y() - side * ratio / 2, side, side * ratio))

    def show(self, x: int, y: int) -> None:
        """Move as little as it takes to see a cell."""
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
