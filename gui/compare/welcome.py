"""The top of the home screen: what FolioLab is, and the tours, until the reader hides them."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from foliolab.gui.tours.cards import TourCards
from foliolab.gui.window.building import column, label, named, row

WHAT = (
    "FolioLab compares schemes that track who owns a large folio: on the same events, under the same attacks, with the "
    "same clock."
)


class Welcome(QWidget):
    """A sentence about FolioLab, and the tours.

    Signals:
        chosen: the name of a tour.
        closed: the reader hides the tours.
    """

    chosen = Signal(str)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Welcome")
        hint = "Hide the tours; they stay in the Help menu"
        self.close_button = named(QPushButton("Hide tours", flat=True), hint, hint)
        self.close_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.close_button.clicked.connect(self.closed)
        self.tours = TourCards()
        self.tours.chosen.connect(self.chosen)
        first = row((label(WHAT, wraps=True), 1), self.close_button)
        column(first, self.tours, of=self, margins=(10, 8, 10, 8))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
