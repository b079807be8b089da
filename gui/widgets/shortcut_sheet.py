"""The sheet of all keyboard shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QWidget

from foliolab.gui.widgets.cell_table import Cell, CellTable
from foliolab.gui.widgets.search_field import SearchField
from foliolab.gui.window.building import column

if TYPE_CHECKING:
    from foliolab.gui.window.commands import Commands
    from foliolab.gui.window.theme import Theme

COLUMNS: Final = ("Where", "What", "Keys", "Meaning")
SIZE: Final = QSize(720, 520)
OWN: Final = (
    ("Maps", "Move the cursor", "Alt+arrows"),
    ("Maps", "Inspect the page under the cursor", "Enter"),
    ("Maps", "Larger or smaller cells", "+ or -, or the mouse wheel"),
    ("Timeline, curves, bars", "Show a part alone; zoom; move it", "drag; mouse wheel; Shift+wheel"),
    ("Table of steps, verdicts", "Show a part alone", "drag over rows"),
    ("Fields of a folio", "Choose a field", "arrows, Home, End"),
    ("Fields of a folio", "Go to where the field was last written", "Enter, or a click"),
    ("Fields of a folio", "Copy the sentence about the field", "Ctrl+C"),
    ("Sequence diagram", "Step", "arrows, Page Up, Page Down, Home, End"),
    ("Sequence diagram", "Show steps alone; zoom; show all", "drag over lines; Ctrl+mouse wheel; Escape"),
    ("Matrix", "Evidence of a cell", "Enter"),
    ("Scatter", "Go from point to point; open one", "arrows; Enter"),
    ("Recent", "Open the chosen entry", "Enter"),
    ("Bookmarks and notes", "Remove the chosen bookmark", "Delete"),
    ("Command palette", "Choose a row; run it", "Up, Down, Page Up, Page Down; Enter"),
    ("Search fields", "Go to the first row; empty the field", "Down; Escape"),
    ("Everywhere", "Open the context menu", "Menu key, Shift+F10, or a right click"),
)
"""Keys of single widgets, which are no commands."""


class ShortcutSheet(QDialog):
    """All commands with their keys, and the keys of widgets.

    Args:
        commands: the registry.
        places: titles of the workspaces, by their names.
        theme: the colours.
        parent: the window.
    """

    def __init__(self, commands: Commands, places: dict[str, str], theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.table = CellTable("Keyboard shortcuts", COLUMNS, theme)
        rows = [
            (places.get(command.workspace, "Everywhere"), command.plain, _keys(command.keys), command.tip)
            for command, _, _ in commands.all()
            if command.keys
        ]
        self.table.show_rows([[Cell(text, tip=text) for text in (*row, "")[:4]] for row in [*rows, *OWN]])
        column(SearchField(self.table, "shortcuts"), (self.table, 1), of=self)

    def sizeHint(self) -> QSize:
        return SIZE


def _keys(keys: Sequence[str]) -> str:
    return ", ".join(QKeySequence(one).toString(QKeySequence.SequenceFormat.NativeText) for one in keys)
