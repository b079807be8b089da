"""Runs the program as `foliolab gui` does, and writes the state of its window to a file; for test_real_window.py."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QAbstractButton, QApplication, QDialog, QDockWidget, QTabBar, QWidget

from foliolab.gui import application
from foliolab.gui.compare.answer import QUESTIONS
from foliolab.gui.compare.measure import Cell
from foliolab.gui.compare.scatter import Scatter
from foliolab.gui.main_window import Window

TARGET = Path(os.environ["WINDOW_STATE"])


def state_of(window: Window) -> dict[str, Any]:
    """The state that a person would see."""
    explore: Any = window.workspaces["explore"]
    stepper: Any = window.workspaces["verify"].shown_example.stepper  # type: ignore[attr-defined]
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
        "verify": {"step": stepper.step, "last": stepper.last} if stepper else {"step": -1, "last": -1},
        "seen": {key: str(value) for key, value in window.here.on_screen().items()},
        "home": home(window),
        "tour": {"at": window.guide.at if window.guide.tour else -1, "done": window.guide.done},
        "positions": positions(window),
    }  # fmt: skip


def positions(window: Window) -> dict[str, tuple[int, int]]:
    """The positions on the screen of the widgets that have names."""
    found: dict[str, tuple[int, int]] = {}
    for one in (*window.here.findChildren(QWidget), *window.notices.findChildren(QWidget), *window.guide.buttons):
        if not one.isVisible():
            continue
        text = one.text().replace("&", "") if isinstance(one, QAbstractButton) else ""
        name = one.accessibleName() or text
        dock = one.parentWidget()
        if one.objectName() == "qt_dockwidget_closebutton" and isinstance(dock, QDockWidget):
            name = f"Close {dock.windowTitle()}"
        middle = one.mapToGlobal(one.rect().center())
        for word in filter(None, (name, text)):
            found.setdefault(word, (middle.x(), middle.y()))
        if isinstance(one, QTabBar):
            for at in range(one.count()):
                middle = one.mapToGlobal(one.tabRect(at).center())
                found[f"Tab {one.tabText(at).replace('&', '')}"] = (middle.x(), middle.y())
        if isinstance(one, Scatter):
            for spot in one.spots:
                middle = one.mapToGlobal(one.place(spot).toPoint())
                found[f"Point of {spot.policy}"] = (middle.x(), middle.y())
    return found


def home(window: Window) -> dict[str, Any]:
    """What the home screen says: its first line, its cells without an answer, and the evidence that is open."""
    compare: Any = window.workspaces["compare"]
    cells = [Cell(question.name, policy) for policy in compare.matrix.policies for question in QUESTIONS]
    evidence = compare.evidence
    return {
        "line": compare.home.first.text(),
        "lacking": [f"{cell.question} of {cell.policy}" for cell in cells if not compare.matrix.answer(cell).known],
        "evidence": [evidence.title.text(), evidence.sentence.text()] if evidence.isVisible() else [],
    }


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
