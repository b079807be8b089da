"""The list of kept measurements and counterexamples, and of files that were opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QWidget

from foliolab.gui.widgets.cell_table import Cell, CellTable
from foliolab.gui.widgets.search_field import SearchField
from foliolab.gui.window.building import column, label, named, primary, row

if TYPE_CHECKING:
    from foliolab.gui.window.recent import Kept
    from foliolab.gui.window.theme import Theme

COLUMNS: Final = ("When", "What", "About", "File")
SIZE: Final = QSize(760, 460)


class RecentDialog(QDialog):
    """The list, the newest first; columns sort it.

    Args:
        kept: measurements and counterexamples.
        files: paths that were opened.
        theme: the colours.
        parent: the window.

    Signals:
        wanted: the path that is to be opened.
    """

    wanted = Signal(Path)

    def __init__(self, kept: Sequence[Kept], files: Sequence[str], theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Recent")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.table = CellTable("Recent measurements, counterexamples and files", COLUMNS, theme)
        self.table.sort_by(COLUMNS[0], descending=True)
        self.table.itemDoubleClicked.connect(self._open)
        self.button = named(primary("Open"), "Open the chosen row (Enter)")
        self.button.clicked.connect(self._open)
        self.button.setDefault(True)
        hint = label("Every measurement and counterexample of the window is kept here.", "quiet", wraps=True)
        column(SearchField(self.table, "recent"), (self.table, 1), row((hint, 1), self.button), of=self)
        rows = [_row(one.time, one.kind, one.about, one.path) for one in kept]
        rows += [_row(_changed(Path(path)), "file", Path(path).name, Path(path)) for path in files]
        self.table.show_rows(rows)
        if rows:
            self.table.setCurrentCell(0, 0)
        self.button.setEnabled(bool(rows))

    def sizeHint(self) -> QSize:
        return SIZE

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.table.hasFocus():
            self._open()
        else:
            super().keyPressEvent(event)

    def _open(self) -> None:
        cell = self.table.item(self.table.currentRow(), len(COLUMNS) - 1)
        if cell is not None:
            self.wanted.emit(Path(cell.toolTip()))
            self.close()


def _row(time: datetime | None, kind: str, about: str, path: Path) -> list[Cell]:
    shown = f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else ""
    return [Cell(shown, "quiet"), Cell(kind), Cell(about, tip=about), Cell(path.name, "quiet", str(path))]


def _changed(path: Path) -> datetime | None:
    """When a file was last written; None if it is gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime)
    except (OSError, ValueError, OverflowError):
        return None
