"""What the colours and hatches of the maps mean."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from foliolab.gui.explore.faces import FACES, colours
from foliolab.gui.window.theme import Theme

SWATCH: Final = 14
GAP: Final = 6


class Legend(QWidget):
    """One line, or two where it is narrow: a swatch and a word for each face."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._verdicts = True
        self.setAccessibleName("Legend of the maps")
        self.setAccessibleDescription("; ".join(f"{face.name}: {face.tells}" for face in FACES))
        self.setToolTip("\n".join(f"{face.name}: {face.tells}" for face in FACES))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def judge(self, verdicts: bool) -> None:
        """Whether verdicts are among what is seen."""
        self._verdicts = verdicts
        self.update()

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        self._theme = theme
        self.update()

    def hasHeightForWidth(self) -> bool:
        """It may take two lines."""
        return True

    def heightForWidth(self, width: int) -> int:
        """As many lines as it takes."""
        return (SWATCH + GAP) * self._lines(width) + 2

    def sizeHint(self) -> QSize:
        """One line."""
        return QSize(600, self.heightForWidth(max(self.width(), 600)))

    def _places(self, width: int) -> list[tuple[int, int, int]]:
        """Of each face: x, line, width."""
        found, x, line = [], 0, 0
        for face in FACES:
            wide = SWATCH + 5 + self.fontMetrics().horizontalAdvance(face.name) + 14
            if x and x + wide > width:
                x, line = 0, line + 1
            found.append((x, line, wide))
            x += wide
        return found

    def _lines(self, width: int) -> int:
        return self._places(width)[-1][1] + 1

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        ink = QColor(self._theme.colour("window"))
        ink.setAlpha(150)
        for face, colour, (x, line, wide) in zip(FACES, colours(self._theme), self._places(self.width()), strict=True):
            if face.verdict and not self._verdicts:
                continue
            y = line * (SWATCH + GAP) + 1
            box = QRectF(x + 0.5, y + 0.5, SWATCH, SWATCH)
            painter.fillRect(box, colour)
            if face.hatch != Qt.BrushStyle.NoBrush:
                painter.fillRect(box, QBrush(ink, face.hatch))
            painter.setPen(QPen(self._theme.colour("quiet"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(box)
            painter.setPen(self._theme.colour("text"))
            text = QRectF(x + SWATCH + 5, y, wide, SWATCH)
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, face.name)
        painter.end()
