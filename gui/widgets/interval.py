"""A part of a whole range of integers, such as of the steps of a run: one part that all views of a workspace show."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal


class Interval(QObject):
    """The shown part, from `low` to `high`, both included.

    Signals:
        changed: another part is shown.

    Attributes:
        least, most: the ends of the whole.
        low, high: the ends of the part; at first of the whole.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.least = self.low = 0
        self.most = self.high = 0

    @property
    def whole(self) -> bool:
        """Whether everything is shown."""
        return (self.low, self.high) == (self.least, self.most)

    @property
    def length(self) -> int:
        """From `low` to `high`; at least 1, so that one can divide by it."""
        return max(self.high - self.low, 1)

    def cover(self, least: int, most: int) -> None:
        """Begin with another whole, of which everything is shown."""
        self.least, self.most = least, max(most, least)
        self.fit()

    def extend(self, most: int) -> None:
        """Let the whole end later; a part that is shown stays."""
        whole, self.most = self.whole, max(self.most, most)
        if whole:
            self.fit()

    def fit(self) -> None:
        """Show everything."""
        self._show(self.least, self.most)

    def see(self, one: float, other: float) -> None:
        """Show the part between two numbers, in any order; the nearest integers within the whole become its ends."""
        low, high = sorted(min(max(round(end), self.least), self.most) for end in (one, other))
        if low == high < self.most:
            high += 1
        elif low == high > self.least:
            low -= 1
        self._show(low, high)

    def zoom(self, factor: float, at: float) -> None:
        """Show a shorter part (factor above 1) or a longer one, in which a number stays where it is."""
        length = self.high - self.low
        wanted = min(max(round(length / factor), 1), self.most - self.least)
        if wanted == length:  # rounding must not stop a turn of the wheel
            wanted = min(max(length + (1 if factor < 1 else -1), 1), self.most - self.least)
        share = (min(max(at, self.low), self.high) - self.low) / self.length
        low = min(max(round(at - share * wanted), self.least), self.most - wanted)
        self._show(low, low + wanted)

    def pan(self, by: float) -> None:
        """Show a part of the same length, so much later or, below 0, earlier."""
        low = min(max(self.low + round(by), self.least), self.most - (self.high - self.low))
        self._show(low, low + self.high - self.low)

    def _show(self, low: int, high: int) -> None:
        if (low, high) != (self.low, self.high):
            self.low, self.high = low, high
            self.changed.emit()
