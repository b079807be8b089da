"""The tours on the home screen: one card for each."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from foliolab.gui.tours.tour import TOURS, Tour


class TourCard(QFrame):
    """The question of a tour, and a button that starts the tour.

    Signals:
        chosen: the name of the tour.
    """

    chosen = Signal(str)

    def __init__(self, tour: Tour) -> None:
        super().__init__()
        self._name = tour.name
        self.setProperty("role", "card")
        title, summary = QLabel(tour.title), QLabel(tour.summary)
        title.setProperty("role", "heading")
        title.setWordWrap(True)
        summary.setProperty("role", "quiet")
        summary.setWordWrap(True)
        self.button = QPushButton("Show me")
        self.button.setAccessibleName(f"Tour: {tour.title}")
        self.button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.button.clicked.connect(self._choose)
        layout = QVBoxLayout(self)
        layout.addWidget(title)
        layout.addWidget(summary, 1)
        layout.addWidget(self.button)

    def _choose(self) -> None:
        self.chosen.emit(self._name)


class TourCards(QWidget):
    """All tours side by side.

    Signals:
        chosen: the name of a tour.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Tours")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        self.cards = [TourCard(tour) for tour in TOURS]
        for card in self.cards:
            card.chosen.connect(self.chosen)
            line.addWidget(card, 1)
