"""File dialogs that begin in the folder used last."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PySide6.QtWidgets import QFileDialog, QWidget

from foliolab.gui.window.settings import Settings

FOLDER: Final = "window/folder"
"""Setting: the folder used last."""


def ask_open(parent: QWidget, settings: Settings, title: str, kinds: str) -> Path | None:
    """Ask for a file to open; None if the user cancelled.

    Args:
        parent: the window of the dialog.
        settings: keeps the folder.
        title: of the dialog.
        kinds: Qt's filter, such as "Policies (*.py)".
    """
    path, _ = QFileDialog.getOpenFileName(parent, title, settings.text(FOLDER), kinds)
    return _chosen(path, settings)


def ask_save(parent: QWidget, settings: Settings, title: str, name: str, kinds: str) -> Path | None:
    """Ask for a file to write; `name` is proposed. None if the user cancelled."""
    path, _ = QFileDialog.getSaveFileName(parent, title, str(Path(settings.text(FOLDER)) / name), kinds)
    return _chosen(path, settings)


def _chosen(path: str, settings: Settings) -> Path | None:
    if not path:
        return None
    settings.keep(FOLDER, str(Path(path).parent))
    return Path(path)
