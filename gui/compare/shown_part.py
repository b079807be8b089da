"""The part of the scatter that is shown, chosen by a drag or the wheel; the matrix lists its policies."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, QPointF, QRectF, Signal

LEAST: Final = 2.0
"""Per cent that an axis shows at least."""


class ShownPart(QObject):
    """The part; x is false shared in per cent, y the change of time in per cent.

    Signals:
        changed: another part is shown.

    Attributes:
        seen: the part; None for all.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.seen: QRectF | None = None

    def holds(self, x: float, y: float) -> bool:
        """Whether a point is in the part; its edges belong to it."""
        seen = self.seen
        return seen is None or (seen.left() <= x <= seen.right() and seen.top() <= y <= seen.bottom())

    def see(self, wanted: QRectF | None) -> None:
        """Show a part, made larger where it is too small to be told apart; None shows all."""
        if wanted is not None:
            wanted = wanted.normalized()
            more_x, more_y = max(LEAST - wanted.width(), 0) / 2, max(LEAST - wanted.height(), 0) / 2
            wanted = wanted.adjusted(-more_x, -more_y, more_x, more_y)
        if wanted != self.seen:
            self.seen = wanted
            self.changed.emit()

    def fit(self) -> None:
        """The whole scatter is shown, and every policy with it."""
        self.see(None)

    def zoom(self, factor: float, at: QPointF, whole: QRectF) -> None:
        """Zoom around a point, at most out to the whole, which is all."""
        now = self.seen or whole
        wide, high = now.width() / factor, now.height() / factor
        if wide >= whole.width() and high >= whole.height():
            self.fit()
            return
        left = at.x() - (at.x() - now.left()) / factor
        top = at.y() - (at.y() - now.top()) / factor
        self.see(QRectF(left, top, wide, high))

    def pan(self, by: float, whole: QRectF) -> None:
        """Move the part to the right by a share of its width, as long as it shows anything of the whole."""
        if self.seen is not None and (moved := self.seen.translated(by * self.seen.width(), 0)).intersects(whole):
            self.see(moved)
