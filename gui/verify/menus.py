"""The context menus of Verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foliolab.gui.window.context_menus import ContextMenu

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from foliolab.gui.inspector.inspector import Inspector
    from foliolab.gui.window.commands import Commands

STEPS: Final = ("verify.first", "verify.back", "verify.on", "verify.last", "verify.origin", "verify.time")
SENT: Final = ("verify.explore", "verify.save", "file.share")


def offer_menus(commands: Commands, claims: QWidget, diagram: QWidget, inspector: Inspector) -> None:
    """Give the claims, the sequence diagram and the inspector their context menus."""
    inspector.offer_menus("verify")
    ContextMenu(commands, claims, ("verify.start", *SENT))
    ContextMenu(commands, diagram, (*STEPS, *SENT))
