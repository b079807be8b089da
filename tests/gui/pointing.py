"""The context menu of what is under the pointer, for tests."""

from __future__ import annotations

from typing import Any

from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QMenu
from shiboken6 import isValid

COMMON = {"edit.text", "edit.bookmark", "file.command", "file.export"}


def asked(widget: Any, point: Any = None) -> Any:
    """The context menu that a right click at a point of a widget opens; by default in the middle."""
    target = widget.viewport() if isinstance(widget, QAbstractScrollArea) else widget
    point = point if point is not None else target.rect().center()
    for one in widget.window().findChildren(QMenu):
        one.setProperty("before", True)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, point, target.mapToGlobal(point))
    QApplication.sendEvent(target, event)
    made = [one for one in widget.window().findChildren(QMenu) if isValid(one) and not one.property("before")]
    assert len(made) == 1, f"{widget.accessibleName()}: {len(made)} menus"
    return made[0]


def names(menu: Any) -> set[str]:
    """The names of the commands of a menu, which is closed."""
    found = {action.objectName() for action in menu.actions() if not action.isSeparator()}
    menu.close()
    return found
