"""One run in a real window under Xvfb, by mouse and keyboard alone: from the start to the layout found again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.engine.engine import native_missing

RACE = Path(__file__).parents[2] / "gui" / "tours" / "lost_update.py"
SCREEN = (1600, 1000)
PATIENCE = 120.0
DRIVER = Path(__file__).parent / "window_state.py"


def missing() -> str:
    """Why there can be no such window here; empty if there can."""
    absent = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} is not installed: apt-get install xvfb xdotool"
    if native_missing():
        return native_missing()
    from foliolab.gui.display import hindrance

    return hindrance({"DISPLAY": ":0"})


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or bool(missing()), reason=missing() or "an X server on Linux"),
]


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """An X server of its own."""
    number = next(n for n in range(90, 190) if not Path(f"/tmp/.X{n}-lock").exists())
    server = subprocess.Popen(
        ["Xvfb", f":{number}", "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", "-nolisten", "tcp"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + PATIENCE
    while not Path(f"/tmp/.X11-unix/X{number}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    yield f":{number}"
    server.terminate()
    server.wait(PATIENCE)


class Real:
    """The program in a process, with mouse and keyboard.

    The process writes what its window shows to a file a few times a second (window_state.py). The test reads the file
    where a person would look at the screen.
    """

    def __init__(self, display: str, folder: Path, *files: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "XDG_CONFIG_HOME": str(folder),
            "WINDOW_STATE": str(folder / "state"),
        }  # fmt: skip
        self.process = subprocess.Popen([sys.executable, "-P", str(DRIVER), *map(str, files)], env=self.environment)
        self.until(lambda state: state["visible"])
        self.focus()

    def focus(self) -> None:
        """Give the window the focus, because no window manager does."""
        self.hand("search", "--sync", "--onlyvisible", "--name", "FolioLab", "windowfocus")

    def hand(self, *words: str) -> None:
        subprocess.run(
            ["xdotool", *words], env=self.environment, check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL
        )

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.hand("key", "--clearmodifiers", key)

    def click(self, name: str) -> None:
        """Click a widget by its accessible name, after the layout has come to rest."""
        before = self.settled()
        while (now := self.later(before))["positions"][name] != before["positions"][name]:
            before = now
        x, y = now["positions"][name]
        self.hand("mousemove", str(x), str(y), "click", "1")

    def settled(self) -> dict[str, Any]:
        """The state without notices: what stays, such as that a check has found a fault, is closed."""
        while (state := self.until(lambda state: state["visible"]))["notices"]:
            if "Close this notice" in state["positions"]:
                x, y = state["positions"]["Close this notice"]
                self.hand("mousemove", str(x), str(y), "click", "1")
            self.later(state)
        return state

    def state(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "state").read_text())
        except (OSError, ValueError):
            found = {"visible": False}
        return found

    def until(self, fits: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, "the program has ended"
            state = self.state()
            if state["visible"] and fits(state):
                return state
            time.sleep(0.05)
        raise AssertionError(f"that was not seen; what is: {self.state()}")

    def later(self, before: dict[str, Any]) -> dict[str, Any]:
        """The next state that the process writes."""
        return self.until(lambda state: state["written"] > before["written"])

    def close(self) -> None:
        self.keys("ctrl+q")
        self.process.wait(PATIENCE)
        (self.folder / "state").unlink(missing_ok=True)


def test_from_the_start_to_the_layout_found_again(display: str, tmp_path: Path) -> None:
    window = Real(display, tmp_path, RACE)
    try:
        through(window, tmp_path)
        again = Real(display, tmp_path)
        state = again.until(lambda state: state["workspace"] == "explore")
        assert "explore.counters" not in state["docks"], "the dock that was closed stays closed"
        assert state["theme"] == "dark"
        again.close()
        assert again.process.returncode == 0
    finally:
        if window.process.poll() is None:
            window.process.send_signal(signal.SIGKILL)


def through(window: Real, tmp_path: Path) -> None:
    """Explore, measure, verify, export."""
    window.keys("ctrl+2")
    window.until(lambda state: state["workspace"] == "explore")
    window.click("Start an example")
    window.until(lambda state: state["explore"]["position"] > 5, 180)
    window.keys("F5")
    stopped = window.until(lambda state: not state["explore"]["playing"])["explore"]["position"]
    window.keys("Right")
    window.until(lambda state: state["explore"]["position"] == stopped + 1)
    window.keys("Left")
    window.until(lambda state: state["explore"]["position"] == stopped)
    window.click(next(name for name in window.state()["positions"] if name.startswith("Map of")))
    window.until(lambda state: bool(state["inspector"]))
    window.keys("ctrl+3")
    window.until(lambda state: state["workspace"] == "benchmark")
    window.click("Measure a quick comparison")
    window.until(lambda state: state["benchmark"]["curves"] > 0 and not state["jobs"], 120)
    window.keys("ctrl+4")
    window.until(lambda state: state["workspace"] == "verify")
    window.click("Policy to verify")
    window.keys("ctrl+a")
    window.hand("type", "lost-update")
    window.click("Verify")
    window.until(lambda state: state["verify"]["last"] > 0, 90)
    window.click("Sequence diagram of the counterexample")
    window.keys("Home")
    window.until(lambda state: state["verify"]["step"] == -1)
    window.keys("Right", "Right", "Right", "Left")
    window.until(lambda state: state["verify"]["step"] == 1)
    window.keys("ctrl+e")
    window.until(lambda state: state["dialog"] == "Export")
    window.keys("Return")  # the first thing that is offered
    window.until(lambda state: state["dialog"].startswith("Export:"))
    window.hand("key", "ctrl+a")
    window.hand("type", str(tmp_path / "claims.csv"))
    window.keys("Return")
    window.until(lambda state: any("claims.csv" in one for one in state["notices"]))
    assert "safe" in (tmp_path / "claims.csv").read_text()
    window.focus()
    window.keys("ctrl+2")
    window.until(lambda state: state["workspace"] == "explore")
    assert window.state()["theme"] == "light", "what a desktop that says nothing gets"
    window.keys("ctrl+shift+d")
    window.until(lambda state: state["theme"] == "dark")
    window.click("Close Counters")
    window.until(lambda state: "explore.counters" not in state["docks"])
    window.close()
