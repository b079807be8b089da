"""The base class of widgets that draw themselves in the colours of the theme."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from foliolab.gui.window.theme import Theme


class Painted(QWidget):
    """A widget that draws itself.

    Args:
        theme: the colours; `paint` changes them.
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme

    def paint(self, theme: Theme) -> None:
        """Use another theme."""
        self._theme = theme
        self.update()
