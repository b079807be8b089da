"""What stands above the matrix: what FolioLab is, the tours, and the name of the result file that the matrix shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from foliolab.gui.tours.cards import TourCard
from foliolab.gui.tours.tour import TOURS
from foliolab.gui.window.building import column, label, named, row

if TYPE_CHECKING:
    from foliolab.framework.results.run_result import RunResult

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
        self.tours = [TourCard(tour) for tour in TOURS]
        for card in self.tours:
            card.chosen.connect(self.chosen)
        first = row((label(WHAT, wraps=True), 1), self.close_button)
        column(first, row(*((card, 1) for card in self.tours)), of=self, margins=(10, 8, 10, 8))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)


class Banner(QWidget):
    """The name and origin of the opened result file, with buttons for a second file and for the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.text = label(wraps=True)
        self.second = QPushButton("Open second…")
        self.back = QPushButton("Show my own")
        row((self.text, 1), self.second, self.back, of=self, margins=(10, 6, 10, 6))
        self.hide()

    def show_result(self, path: Path, result: RunResult) -> None:
        started = result.started[:16].replace("T", " ")
        origin = f"{result.kind}, {started}, Linux {result.kernel.split(' ')[0]}"
        self.text.setText(f"Showing {path.name} ({origin}{'' if result.complete else ', incomplete'})")
        self.show()
