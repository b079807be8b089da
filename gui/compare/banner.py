"""The line above the matrix that names the result file which the matrix shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QPushButton, QWidget

from foliolab.gui.window.building import label, row

if TYPE_CHECKING:
    from foliolab.framework.results.run_result import RunResult


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
