"""The context menus of Explore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from foliolab.gui.window.context_menus import ContextMenu

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from foliolab.gui.explore.map_grid import MapGrid
    from foliolab.gui.inspector.inspector import Inspector
    from foliolab.gui.window.commands import Commands

WAY: Final = ("explore.restart", "explore.previous", "explore.next", "explore.play", "file.share")
PAGE: Final = (
    "explore.origin", "explore.previous", "explore.next", "explore.touched", "explore.in", "explore.out", "explore.fit",
    "file.share",
)  # fmt: skip


def offer_menus(commands: Commands, maps: MapGrid, inspector: Inspector, way: Sequence[QWidget]) -> None:
    """Give the maps, the inspector, and what shows the way through the run their context menus."""
    inspector.offer_menus("explore")
    ContextMenu(commands, maps, PAGE, maps.choose_at, inspector)
    for part in way:
        ContextMenu(commands, part, WAY)
