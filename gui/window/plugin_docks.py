"""The docks of plugins (hook `foliolab_views`), made when the window opens and again when a plugin file is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QWidget

from foliolab.framework.engine.answers import describe
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.framework.contract.view import View

AREAS: Final = {
    "left": Qt.DockWidgetArea.LeftDockWidgetArea,
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "top": Qt.DockWidgetArea.TopDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}


class PluginDocks(QObject):
    """Keeps one dock for each view of the registry.

    A view that fails gets no dock; a notice says why.

    Args:
        desk: its library offers the views.
        workspaces: by name; a view names the one that gets its dock.
        parent: the owner of this object.
    """

    def __init__(self, desk: Desk, workspaces: Mapping[str, Workspace], parent: QObject) -> None:
        super().__init__(parent)
        self._desk = desk
        self._workspaces = workspaces
        self._views: dict[str, View] = {}
        self._update()
        desk.library.changed.connect(self._update)

    def _update(self) -> None:
        """Remove the docks of views that are gone or were loaded again, then add the missing docks."""
        offered = self._desk.library.registry.views
        for name, view in list(self._views.items()):
            if offered.get(name) is not view:
                del self._views[name]
                self._remove(view)
        for name, view in offered.items():
            if name not in self._views:
                self._views[name] = view
                self._add(view)

    def _add(self, view: View) -> None:
        workspace = self._workspaces[view.workspace]
        try:
            widget = view.make(self._desk)
        except Exception as fault:
            self._desk.notices.say(f"view {view.name} has no dock: {describe(fault)}", "error")
            return
        if not isinstance(widget, QWidget):
            kind = type(widget).__name__
            self._desk.notices.say(f"view {view.name} has no dock: make returned a {kind}, not a QWidget", "error")
            return
        workspace.dock(f"plugin.{view.name}", view.summary, widget, AREAS[view.area])

    def _remove(self, view: View) -> None:
        workspace = self._workspaces[view.workspace]
        dock = workspace.docks.pop(f"plugin.{view.name}", None)
        if dock is not None:
            workspace.removeDockWidget(dock)
            dock.deleteLater()
