"""Everything that the palette finds: commands of all workspaces, what the workspaces offer, and recent files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtGui import QKeySequence

from foliolab.gui.window.finding import Findable

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

    from foliolab.gui.window.commands import Command
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.workspace import Workspace

FILES: Final = "window/files"
"""Setting: the files that were opened, the newest first."""


class Everything:
    """Makes what the palette shows.

    Args:
        desk: has the commands and settings, opens files and shows workspaces.
        workspaces: by name.
    """

    def __init__(self, desk: Desk, workspaces: Mapping[str, Workspace]) -> None:
        self._desk = desk
        self._workspaces = workspaces

    def now(self) -> list[Findable]:
        """What is known at once; the commands of the workspace in front come first."""
        rows = list(self._desk.commands.all())
        found = [self._command(command, action, active=True) for command, action, active in rows if active]
        for workspace in self._workspaces.values():
            found += workspace.findables()
        found += [self._command(command, action, active=False) for command, action, active in rows if not active]
        return [*found, *self._files()]

    def later(self, wanted: str, tell: Callable[[Sequence[Findable]], None]) -> None:
        """Ask all workspaces for what takes longer to find."""
        for workspace in self._workspaces.values():
            workspace.find_later(wanted, tell)

    def _command(self, command: Command, action: QAction, active: bool) -> Findable:
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        if active:
            menu, can, go = command.menu.replace("&", ""), action.isEnabled(), action.trigger
            return Findable(menu, command.plain, go, command.tip, keys, can, action.icon())
        title = self._workspaces[command.workspace].accessibleName()
        run = partial(self._run_there, command.workspace, command.name)
        return Findable(title, command.plain, run, command.tip, keys, True, action.icon())

    def _run_there(self, workspace: str, command: str) -> None:
        """Show a workspace and run a command of it, as far as it can run there."""
        self._desk.go(workspace)
        self._desk.commands.trigger(command)

    def _files(self) -> list[Findable]:
        open_ = self._desk.open
        kept = [
            Findable("Recent", one.title, partial(open_, one.path), str(one.path)) for one in self._desk.recent.all()
        ]
        return kept + [
            Findable("Recent file", Path(path).name, partial(open_, Path(path)), path)
            for path in self._desk.settings.texts(FILES)
        ]
