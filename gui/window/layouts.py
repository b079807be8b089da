"""The dock layouts of all workspaces: restored at the start, reset on request, kept at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PySide6.QtCore import QByteArray

from foliolab.gui.window.settings import Settings
from foliolab.gui.window.undo import Undo
from foliolab.gui.window.workspace import Workspace

VERSION: Final = 1
"""Of the layouts; Qt does not restore a layout of another version."""


class Layouts:
    """Saves and restores where the docks are.

    Args:
        workspaces: by name, as they are first laid out.
        settings: keeps the layouts between starts.
    """

    def __init__(self, workspaces: Mapping[str, Workspace], settings: Settings) -> None:
        self._workspaces = workspaces
        self._settings = settings
        self._initial = self._now()

    def restore(self) -> None:
        """Restore the layouts that were kept."""
        for name, workspace in self._workspaces.items():
            workspace.restoreState(self._settings.state(f"{name}/docks"), VERSION)

    def keep(self) -> None:
        for name, state in self._now().items():
            self._settings.keep(f"{name}/docks", state)

    def reset(self, undo: Undo) -> None:
        """Put all docks back where they were first; this can be undone."""
        before = self._now()
        undo.change("Reset layout", self._reset, lambda: self._arrange(before))

    def _now(self) -> dict[str, QByteArray]:
        return {name: workspace.saveState(VERSION) for name, workspace in self._workspaces.items()}

    def _reset(self) -> None:
        for name, workspace in self._workspaces.items():
            for dock in workspace.docks.values():
                dock.show()
                dock.setFloating(False)
            self._settings.forget(f"{name}/docks")
        self._arrange(self._initial)

    def _arrange(self, states: Mapping[str, QByteArray]) -> None:
        for name, workspace in self._workspaces.items():
            workspace.restoreState(states[name], VERSION)
