"""Runs the program as `foliolab gui` does, and writes the state of its window to a file; for test_real_window.py."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QAbstractButton, QApplication, QDialog, QDockWidget, QWidget

from foliolab.gui import application
from foliolab.gui.main_window import Window

TARGET = Path(os.environ["WINDOW_STATE"])


def state_of(window: Window) -> dict[str, Any]:
    """The state that a person would see."""
    explore: Any = window.workspaces["explore"]
    verify: Any = window.workspaces["verify"]
    benchmark: Any = window.workspaces["benchmark"]
    view = explore.run.view if explore.run is not None else None
    dialog = QApplication.activeModalWidget()
    inspected = explore.inspector.now if explore.inspector is not None else None
    return {
        "visible": window.isVisible(),
        "workspace": window.here.name,
        "theme": window.themes.now.name,
        "docks": [name.objectName() for workspace in window.workspaces.values() for name in workspace.docks.values()
                  if not name.isHidden()],
        "dialog": dialog.windowTitle() if isinstance(dialog, QDialog) else "",
        "notices": [one.text for one in window.notices.all],
        "jobs": len(window.jobs.running),
        "explore": {"position": view.position if view else -1, "playing": bool(view and view.playing)},
        "inspector": inspected.description if inspected is not None else "",
        "benchmark": {"curves": len(benchmark.plot.curves) if benchmark.plot is not None else 0},
        "verify": {"step": verify.stepper.step, "last": verify.stepper.last} if verify.stepper else
                  {"step": -1, "last": -1},
        "positions": positions(window),
    }  # fmt: skip


def positions(window: Window) -> dict[str, tuple[int, int]]:
    """The positions on the screen of the widgets that have names."""
    found = {}
    for one in (*window.here.findChildren(QWidget), *window.notices.findChildren(QWidget)):
        if not one.isVisible():
            continue
        name = one.accessibleName() or (one.text().replace("&", "") if isinstance(one, QAbstractButton) else "")
        dock = one.parentWidget()
        if one.objectName() == "qt_dockwidget_closebutton" and isinstance(dock, QDockWidget):
            name = f"Close {dock.windowTitle()}"
        if name and name not in found:
            middle = one.mapToGlobal(one.rect().center())
            found[name] = (middle.x(), middle.y())
    return found


class StateWriter(QObject):
    """Writes the state of the window to the file, a few times a second."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self._written = 0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.write)
        self._timer.start(150)

    def write(self) -> None:
        other = TARGET.with_suffix(".new")
        self._written += 1
        other.write_text(json.dumps(state_of(self._window) | {"written": self._written}))
        other.replace(TARGET)


def main() -> int:
    """Start the program with a StateWriter in its window."""
    make = application.make

    def made(*arguments: Any, **more: Any) -> Window:
        window = make(*arguments, **more)
        StateWriter(window)
        return window

    application.make = made
    return application.start([Path(word) for word in sys.argv[1:]], [])


if __name__ == "__main__":
    sys.exit(main())
