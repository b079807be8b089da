"""Docks of plugins (hook `foliolab_views`): made when the window opens, and anew when a plugin file is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QWidget

from foliolab.framework.engine.answers import describe

if TYPE_CHECKING:
    from foliolab.framework.contract.view import View
    from foliolab.gui.window.window import Window

AREAS: Final = {
    "left": Qt.DockWidgetArea.LeftDockWidgetArea,
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "top": Qt.DockWidgetArea.TopDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}


class PluginDocks(QObject):
    """Keeps one dock for each view of the registry.

    A view that fails costs its dock only: the window shows one notice and goes on.
    """

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self._views: dict[str, View] = {}
        self._update()
        window.library.changed.connect(self._update)

    def _update(self) -> None:
        """Remove the docks of views that are gone or were loaded anew, then add those that are missing."""
        offered = self._window.library.registry.views
        for name, view in list(self._views.items()):
            if offered.get(name) is not view:
                del self._views[name]
                self._remove(view)
        for name, view in offered.items():
            if name not in self._views:
                self._views[name] = view
                self._add(view)

    def _add(self, view: View) -> None:
        workspace = self._window.workspaces[view.workspace]
        try:
            widget = view.make(workspace.desk)
        except Exception as fault:
            self._window.notices.say(f"view {view.name} has no dock: {describe(fault)}", "error")
            return
        if not isinstance(widget, QWidget):
            kind = type(widget).__name__
            self._window.notices.say(f"view {view.name} has no dock: make returned a {kind}, not a QWidget", "error")
            return
        workspace.dock(f"plugin.{view.name}", view.summary, widget, AREAS[view.area])

    def _remove(self, view: View) -> None:
        workspace = self._window.workspaces[view.workspace]
        dock = workspace.docks.pop(f"plugin.{view.name}", None)
        if dock is not None:
            workspace.removeDockWidget(dock)
            dock.deleteLater()
