"""The base class of widgets that draw themselves in the colours of the theme."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QToolTip, QWidget

from foliolab.gui.window.theme import Theme, Themed


class Painted(QWidget, Themed):
    """A widget that draws itself.

    Args:
        theme: the colours; `paint` changes them.
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def text_at(self, position: QPoint) -> str:
        """The tool tip of what is drawn at a position; empty for the tool tip of the widget."""
        return ""

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and (text := self.text_at(event.pos())):
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)
