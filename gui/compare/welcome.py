"""The top of the home screen: what FolioLab is, and the tours, until the reader hides them."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from foliolab.gui.tours.cards import TourCards

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
        self.what = QLabel(WHAT)
        self.what.setWordWrap(True)
        close = QPushButton("Hide tours")
        close.setFlat(True)
        close.setAccessibleName("Hide the tours; they stay in the Help menu")
        close.setToolTip("Hide the tours; they stay in the Help menu")
        close.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        close.clicked.connect(self.closed)
        self.close_button = close
        self.tours = TourCards()
        self.tours.chosen.connect(self.chosen)
        first = QHBoxLayout()
        first.addWidget(self.what, 1)
        first.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.addLayout(first)
        layout.addWidget(self.tours)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
