"""The context menus of Compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from foliolab.gui.window.chosen_policy import OF_POLICY
from foliolab.gui.window.context_menus import ContextMenu

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from foliolab.gui.window.commands import Commands

CELL: Final = (*(f"compare.{name}" for name in ("evidence", "cell", "row", "column", "baseline", "rows")), *OF_POLICY)


def offer_menus(commands: Commands, matrix: QWidget, scatter: QWidget, tables: Sequence[QWidget]) -> None:
    """Give the matrix, the scatter and the tables their context menus."""
    ContextMenu(commands, matrix, CELL)
    ContextMenu(commands, scatter, ("compare.all", "compare.evidence"))
    for table in tables:
        ContextMenu(commands, table, ("compare.own",))
