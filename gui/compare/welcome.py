"""What stands above the matrix besides the answer: the tours, and the name of the result file that the matrix shows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from foliolab.framework.replay.result import ReplayResult
from foliolab.framework.report.answer import answer
from foliolab.gui.tours.tour import TOURS
from foliolab.gui.widgets.basics import button
from foliolab.gui.window.building import label, named, row

if TYPE_CHECKING:
    from foliolab.framework.results.run_result import RunResult


class Welcome(QWidget):
    """The tours, each a button, in one line.

    Signals:
        chosen: the name of a tour.
        closed: the reader hides the tours.
    """

    chosen = Signal(str)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Tours")
        hint = "Hide the tours; they stay in the Help menu"
        self.close_button = named(QPushButton("Hide tours", flat=True), hint, hint)
        self.close_button.clicked.connect(self.closed)
        self.tours = [
            button(tour.title, f"Tour: {tour.summary}", partial(self.chosen.emit, tour.name)) for tour in TOURS
        ]
        self._hint = label("Tours:", "quiet")
        row(self._hint, *self.tours, 1, self.close_button, of=self, margins=(10, 4, 10, 4))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window leave out the tours that have no room; all are in the Help menu."""
        left = event.size().width() - self.close_button.sizeHint().width() - self._hint.sizeHint().width() - 50
        for one in self.tours:
            left -= one.sizeHint().width() + 8
            one.setVisible(left >= 0)
        super().resizeEvent(event)


class Banner(QWidget):
    """The name and origin of the opened result file, and the answer if it is a replay's.

    It has buttons for a second file, and for the way back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = label(wraps=True, selectable=True)
        self.second = QPushButton("Open second…")
        self.back = QPushButton("Show my own")
        row((self.text, 1), self.second, self.back, of=self, margins=(10, 6, 10, 6))
        self.hide()

    def show_result(self, path: Path, result: RunResult) -> None:
        started = result.started[:16].replace("T", " ")
        origin = f"{result.verb}, {started}, Linux {result.kernel.split(' ')[0]}"
        lines = [f"Showing {path.name} ({origin}{'' if result.complete else ', incomplete'})"]
        if isinstance(result, ReplayResult):
            lines += [f"• {sentence}" for sentence in answer([result])]
        self.text.setText("\n".join(lines))
        self.show()

    def show_session(self, origin: str) -> None:
        """Say that the figures are those of an opened session, and of which host."""
        self.text.setText(f"Showing the figures of the opened session, measured elsewhere: {origin}")
        self.show()
