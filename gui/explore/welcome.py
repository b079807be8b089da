"""The page that Explore shows before the first run."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSizePolicy, QWidget

from foliolab.gui.window.building import column, label, page, primary, row

WIDTH: Final = 460
TEXT = (
    "All policies that you tick see the same events, step by step: faults, forks, writes, unmaps. Each MM has a "
    "map, with one cell per page. The page tables are the truth; the map shows where a policy's answer differs."
)


class Welcome(QWidget):
    """What Explore is for, and a button that starts an example.

    Signals:
        wanted: the user pressed the button.
    """

    wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        title, text = label("Watch policies on the same memory", "title"), label(TEXT, "quiet", wraps=True)
        self.state = label(wraps=True)
        self.start = primary("Start an example")
        self.start.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.start.clicked.connect(self.wanted)
        middle = page(title, text, row(1, self.start, 1), self.state)
        middle.setFixedWidth(WIDTH)  # a wrapped text in a wider layout gets too little height
        title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column(1, row(1, middle, 1), 2, of=self)

    def say(self, text: str) -> None:
        """Show what is being prepared, and disable the button; with an empty text, enable it."""
        self.state.setText(text)
        self.start.setEnabled(not text)
