"""The legend of the maps."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy

from foliolab.gui.explore.cell_styles import STYLES, colours
from foliolab.gui.widgets.painted import Painted
from foliolab.gui.window.theme import Theme

SWATCH: Final = 14
GAP: Final = 6


class Legend(Painted):
    """A swatch and a name for each style of cells, in as many lines as the width needs."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self._verdicts = True
        self.setAccessibleName("Legend of the maps")
        self.setAccessibleDescription("; ".join(f"{style.name}: {style.meaning}" for style in STYLES))
        self.setToolTip("\n".join(f"{style.name}: {style.meaning}" for style in STYLES))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_verdicts(self, verdicts: bool) -> None:
        """Choose whether the styles of wrong answers are listed."""
        self._verdicts = verdicts
        self.update()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return (SWATCH + GAP) * self._lines(width) + 2

    def sizeHint(self) -> QSize:
        return QSize(600, self.heightForWidth(max(self.width(), 600)))

    def _positions(self, width: int) -> list[tuple[int, int, int]]:
        """(x, line, width) of each style."""
        found, x, line = [], 0, 0
        for style in STYLES:
            wide = SWATCH + 5 + self.fontMetrics().horizontalAdvance(style.name) + 14
            if x and x + wide > width:
                x, line = 0, line + 1
            found.append((x, line, wide))
            x += wide
        return found

    def _lines(self, width: int) -> int:
        return self._positions(width)[-1][1] + 1

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        ink = QColor(self._theme.colour("window"))
        ink.setAlpha(150)
        for style, colour, (x, line, wide) in zip(
            STYLES, colours(self._theme), self._positions(self.width()), strict=True
        ):
            if style.verdict and not self._verdicts:
                continue
            y = line * (SWATCH + GAP) + 1
            box = QRectF(x + 0.5, y + 0.5, SWATCH, SWATCH)
            painter.fillRect(box, colour)
            if style.hatch != Qt.BrushStyle.NoBrush:
                painter.fillRect(box, QBrush(ink, style.hatch))
            painter.setPen(QPen(self._theme.colour("quiet"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(box)
            painter.setPen(self._theme.colour("text"))
            text = QRectF(x + SWATCH + 5, y, wide, SWATCH)
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, style.name)
        painter.end()
