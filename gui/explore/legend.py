"""The legend of the maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen

from foliolab.gui.explore.cell_styles import STYLES, CellStyle, colours
from foliolab.gui.widgets.key import Key
from foliolab.gui.window.theme import Theme

SWATCH: Final = 14


class Legend(Key):
    """A swatch and a name for each style of cells."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, SWATCH)
        self.setAccessibleName("Legend of the maps")
        self.setAccessibleDescription("; ".join(f"{style.name}: {style.meaning}" for style in STYLES))
        self.setToolTip("\n".join(f"{style.name}: {style.meaning}" for style in STYLES))
        self._styles: Sequence[CellStyle] = STYLES
        self.show_verdicts(True)

    def show_verdicts(self, verdicts: bool) -> None:
        """Choose whether the styles of wrong answers are listed."""
        self._styles = tuple(style for style in STYLES if verdicts or not style.verdict)
        self.names = [style.name for style in self._styles]
        self.updateGeometry()
        self.update()

    def draw_sign(self, painter: QPainter, number: int, box: QRectF) -> None:
        style = self._styles[number]
        ink = QColor(self._theme.colour("window"))
        ink.setAlpha(150)
        painter.fillRect(box, colours(self._theme)[STYLES.index(style)])
        if style.hatch != Qt.BrushStyle.NoBrush:
            painter.fillRect(box, QBrush(ink, style.hatch))
        painter.setPen(QPen(self._theme.colour("quiet"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box)
