"""A key below or above a picture: signs with their names, in as many lines as the width needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy

from foliolab.gui.widgets.painted import Painted
from foliolab.gui.window.theme import Theme

LINE: Final = 14
"""Height of a line in pixels."""
GAP: Final = 6


class Key(Painted):
    """The key; a subclass draws the signs.

    Args:
        theme: the colours.
        wide: pixels of a sign.

    Attributes:
        names: of the signs.
    """

    def __init__(self, theme: Theme, wide: int) -> None:
        super().__init__(theme)
        self._wide = wide
        self.names: Sequence[str] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def draw_sign(self, painter: QPainter, number: int, box: QRectF) -> None:
        """A subclass draws the sign of the name with this number into a box."""
        raise NotImplementedError

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return (LINE + GAP) * (max([line for _, line, _ in self._positions(width)], default=-1) + 1) + 2

    def sizeHint(self) -> QSize:
        return QSize(600, self.heightForWidth(max(self.width(), 600)))

    def _positions(self, width: int) -> list[tuple[int, int, int]]:
        """(x, line, width) of each name."""
        found, x, line = [], 0, 0
        for name in self.names:
            wide = self._wide + 5 + self.fontMetrics().horizontalAdvance(name) + 14
            if x and x + wide - 14 > width:
                x, line = 0, line + 1
            found.append((x, line, wide))
            x += wide
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        for number, (x, line, wide) in enumerate(self._positions(self.width())):
            y = line * (LINE + GAP) + 1
            self.draw_sign(painter, number, QRectF(x + 0.5, y + 0.5, self._wide, LINE))
            painter.setPen(self._theme.colour("text"))
            text = QRectF(x + self._wide + 5, y, wide, LINE)
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.names[number])
        painter.end()
