"""The page that Explore shows before the first run."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from foliolab.gui.window.building import label, primary

TEXT = (
    "All policies that you tick see the same events, step by step: faults, forks, writes, unmaps. Each process has a "
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
        for wide in (text, self.state):
            wide.setMaximumWidth(560)
        self.start = primary("Start an example")
        self.start.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.start.clicked.connect(self.wanted)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        for part in (title, text, self.start, self.state):
            layout.addWidget(part, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(2)

    def say(self, text: str) -> None:
        """Show what is being prepared, and disable the button; with an empty text, enable it."""
        self.state.setText(text)
        self.start.setEnabled(not text)
