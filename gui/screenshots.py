"""Takes pictures of every workspace, dark and light: `python -m foliolab.gui.screenshots FOLDER`.

The documentation shows the pictures. Each workspace runs something for its picture: a pattern, a verification of the
tour's example, a quick measurement. The measured times differ from run to run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

SIZE: Final = (1280, 820)
PATIENCE: Final = 120.0
"""Seconds to wait for a run to end."""


class Camera:
    """A window with empty settings, of which pictures are taken."""

    def __init__(self, folder: Path) -> None:
        from PySide6.QtCore import QSettings
        from PySide6.QtWidgets import QApplication

        from foliolab.gui.application import make
        from foliolab.gui.garbage import Collector
        from foliolab.gui.tours.tour import RACE
        from foliolab.gui.window.settings import Settings

        found = QApplication.instance()
        self.application = found if isinstance(found, QApplication) else QApplication([sys.argv[0]])
        self.collector = Collector()
        self.folder = folder
        self._settings = tempfile.TemporaryDirectory()
        store = QSettings(str(Path(self._settings.name) / "foliolab.ini"), QSettings.Format.IniFormat)
        self.window = make(self.application, [str(RACE)], Settings(store))
        self.window.resize(*SIZE)
        self.window.show()

    def until(self, done: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Process events until `done` returns True, or the seconds have passed."""
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.005)

    def rest(self, seconds: float = 0.6) -> None:
        """Process events for some time, so that the window is drawn."""
        self.until(lambda: False, seconds)

    def shoot(self, name: str) -> None:
        """Save a picture of the workspace in front, in both themes."""
        for _ in range(2):
            self.rest()
            path = self.folder / f"{name}-{self.window.themes.now.name}.png"
            if not self.window.grab().save(str(path)):
                raise OSError(f"{path} cannot be written")
            print(path)
            self.window.toggle_theme()

    def close(self) -> None:
        self.window.close()
        self.collector.stop()
        self._settings.cleanup()


def explore(camera: Camera) -> None:
    """A pattern at a step where the policies disagree."""
    import numpy as np

    from foliolab.framework.explore.cells import FALSE_SHARED
    from foliolab.gui.explore.choice import spread

    window = camera.window
    window.go("explore")
    workspace: Any = window.here
    names = [policy.name for policy in window.library.policies]
    pattern = list(window.library.registry.patterns)[2]
    workspace.receive(
        {"pattern": pattern, "policies": [names[0], *spread(window.library)[1:3]], "mms": 4, "span": 1 << 20}
    )
    camera.until(lambda: workspace.facts is not None and workspace.run.view is not None)
    start = workspace.facts.nr_steps // 3
    workspace.controls.goto(start)
    camera.until(lambda: workspace.run.view.position == start)
    workspace.controls.next_wrong()
    camera.until(lambda: any((cells & FALSE_SHARED).any() for cells in workspace.run.view.maps.values()))
    for key, cells in workspace.run.view.maps.items():
        wrong = np.flatnonzero(cells & FALSE_SHARED)
        if wrong.size:
            workspace.maps.maps[key].chosen.emit(int(wrong[0]))  # the inspector shows this wrong answer
            break
    camera.until(lambda: workspace.inspector.now is not None and workspace.inspector.now.folio is not None)
    camera.rest(1.0)


def verify(camera: Camera) -> None:
    """The counterexample of the tour, at the step where both threads have read the owner."""
    window = camera.window
    window.send("verify", {"policy": "lost-update", "seconds": 8, "start": True})
    workspace: Any = window.here
    camera.until(lambda: workspace.attacks.job is None)
    workspace.shown_example.stepper.go(max(workspace.shown_example.stepper.last - 15, 0))


def benchmark(camera: Camera) -> None:
    """A quick measurement of four policies."""
    from foliolab.gui.tours import choice

    window = camera.window
    library = window.library
    policies = [choice.with_page_mapcounts(library), choice.imprecise(library), choice.without_page_mapcounts(library)]
    baseline = library.policies[0].name
    workload = next(w.name for w in library.registry.workloads.values() if not w.program)
    chosen = list(dict.fromkeys([baseline, *policies]))
    window.send("benchmark", {"policies": chosen, "baseline": baseline, "workloads": [workload], "start": True})
    workspace: Any = window.here
    camera.until(lambda: workspace.job is None)


def policies(camera: Camera) -> None:
    """The list of policies, and one policy in detail."""
    camera.window.go("policies")
    workspace: Any = camera.window.here
    camera.rest()
    workspace.tree.choose(camera.window.library.policies[4].name)


def compare(camera: Camera) -> None:
    """The home screen."""
    camera.window.go("compare")
    camera.rest(2.0)


def main(folder: Path) -> None:
    """Take pictures of all workspaces."""
    folder.mkdir(parents=True, exist_ok=True)
    camera = Camera(folder)
    try:
        for prepare in (explore, verify, benchmark, policies, compare):
            prepare(camera)
            camera.shoot(prepare.__name__)
    finally:
        camera.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m foliolab.gui.screenshots FOLDER")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as data:
        os.environ["FOLIOLAB_DATA"] = data  # verdicts of the user are not shown
        main(Path(sys.argv[1]))
