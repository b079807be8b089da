"""The tours on the home screen: one card for each."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QPushButton, QSizePolicy

from foliolab.gui.tours.tour import Tour
from foliolab.gui.window.building import column, label, named


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
        self.button = named(QPushButton("Show me"), f"Tour: {tour.title}")
        self.button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.button.clicked.connect(self._choose)
        title, summary = label(tour.title, "heading", wraps=True), label(tour.summary, "quiet", wraps=True)
        column(title, (summary, 1), self.button, of=self)

    def _choose(self) -> None:
        self.chosen.emit(self._name)
