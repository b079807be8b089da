"""The windows that list things: notices, recent files, shortcuts, the glossary, and the About box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.widgets.glossary_sheet import GlossarySheet
from foliolab.gui.widgets.notice_history import NoticeHistory
from foliolab.gui.widgets.shortcut_sheet import ShortcutSheet
from foliolab.gui.window.about import about
from foliolab.gui.window.everything import FILES

if TYPE_CHECKING:
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.workspace import Workspace


class Sheets:
    """The sheets.

    Args:
        desk: what they list.
        workspaces: by their names; the shortcuts belong to them.
        window: their parent.
    """

    def __init__(self, desk: Desk, workspaces: Mapping[str, Workspace], window: QWidget) -> None:
        self._desk = desk
        self._workspaces = workspaces
        self._window = window

    def show_history(self) -> None:
        """Show the notices of this session, those that have closed included."""
        NoticeHistory(list(self._desk.notices.history), self._desk.settings, self._window).show()

    def show_recent(self) -> None:
        """List what was measured, refuted and opened."""
        from foliolab.gui.widgets.recent_dialog import RecentDialog

        desk = self._desk
        made = RecentDialog(desk.recent.all(), desk.settings.texts(FILES), desk.themes.now, self._window)
        made.table.remember(desk.settings)
        made.wanted.connect(desk.open)
        made.show()

    def show_shortcuts(self) -> None:
        """List all keyboard shortcuts."""
        places = {name: workspace.accessibleName() for name, workspace in self._workspaces.items()}
        sheet = ShortcutSheet(self._desk.commands, places, self._desk.themes.now, self._window)
        sheet.table.remember(self._desk.settings)
        sheet.show()

    def show_glossary(self) -> None:
        """Show the glossary of the documentation."""
        try:
            GlossarySheet(self._window).show()
        except FolioLabError as fault:
            self._desk.notices.fault(fault)

    def about(self) -> None:
        about(self._window)
