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
PATIENCE = 60.0
DRIVER = Path(__file__).parent / "told.py"


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
    end = time.monotonic() + 20
    while not Path(f"/tmp/.X11-unix/X{number}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    yield f":{number}"
    server.terminate()
    server.wait(10)


class Real:
    """The program in a process, and a hand.

    The process writes what its window shows to a file a few times a second (told.py): the hand looks there where a
    person would look at the screen.
    """

    def __init__(self, display: str, folder: Path, *files: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "XDG_CONFIG_HOME": str(folder), "TOLD": str(folder / "told"),
        }  # fmt: skip
        self.process = subprocess.Popen([sys.executable, "-P", str(DRIVER), *map(str, files)], env=self.environment)
        self.until(lambda told: told["visible"])
        self.focus()

    def focus(self) -> None:
        """Keys go to the window; without a window manager nobody else sees to that."""
        self.hand("search", "--sync", "--onlyvisible", "--name", "FolioLab", "windowfocus")

    def hand(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self.environment, check=True, timeout=30, stdout=subprocess.DEVNULL)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.hand("key", "--clearmodifiers", key)

    def click(self, name: str) -> None:
        """Click a widget by its accessible name."""
        x, y = self.told()["places"][name]
        self.hand("mousemove", str(x), str(y), "click", "1")

    def told(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "told").read_text())
        except (OSError, ValueError):
            found = {"visible": False}
        return found

    def until(self, fits: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, "the program has ended"
            told = self.told()
            if told["visible"] and fits(told):
                return told
            time.sleep(0.05)
        raise AssertionError(f"that was not seen; what is: {self.told()}")

    def close(self) -> None:
        self.keys("ctrl+q")
        self.process.wait(10)
        (self.folder / "told").unlink(missing_ok=True)


def test_from_the_start_to_the_layout_found_again(display: str, tmp_path: Path) -> None:
    window = Real(display, tmp_path, RACE)
    try:
        through(window, tmp_path)
        again = Real(display, tmp_path)
        told = again.until(lambda told: told["place"] == "explore")
        assert "explore.counters" not in told["docks"], "the dock that was closed stays closed"
        assert told["theme"] == "dark"
        again.close()
        assert again.process.returncode == 0
    finally:
        if window.process.poll() is None:
            window.process.send_signal(signal.SIGKILL)


def through(window: Real, tmp_path: Path) -> None:
    """Explore, measure, verify, export."""
    window.keys("ctrl+2")
    window.until(lambda told: told["place"] == "explore")
    window.click("Start an example")
    window.until(lambda told: told["explore"]["position"] > 5, 180)
    window.keys("F5")
    stopped = window.until(lambda told: not told["explore"]["playing"])["explore"]["position"]
    window.keys("Right")
    window.until(lambda told: told["explore"]["position"] == stopped + 1)
    window.keys("Left")
    window.until(lambda told: told["explore"]["position"] == stopped)
    window.click(next(name for name in window.told()["places"] if name.startswith("Map of")))
    window.until(lambda told: bool(told["inspector"]))
    window.keys("ctrl+3")
    window.until(lambda told: told["place"] == "benchmark")
    window.click("Measure a quick comparison")
    window.until(lambda told: told["benchmark"]["curves"] > 0 and not told["jobs"], 120)
    window.keys("ctrl+4")
    window.until(lambda told: told["place"] == "verify")
    window.click("Policy to verify")
    window.keys("ctrl+a")
    window.hand("type", "lost-update")
    window.click("Verify")
    window.until(lambda told: told["verify"]["last"] > 0, 90)
    window.click("Sequence diagram of the counterexample")
    window.keys("Home")
    window.until(lambda told: told["verify"]["step"] == -1)
    window.keys("Right", "Right", "Right", "Left")
    window.until(lambda told: told["verify"]["step"] == 1)
    window.keys("ctrl+e")
    window.until(lambda told: told["dialog"] == "Export")
    window.keys("Return")  # the first thing that is offered
    window.until(lambda told: told["dialog"].startswith("Export:"))
    window.hand("key", "ctrl+a")
    window.hand("type", str(tmp_path / "claims.csv"))
    window.keys("Return")
    window.until(lambda told: any("claims.csv" in one for one in told["notices"]))
    assert "safe" in (tmp_path / "claims.csv").read_text()
    window.focus()
    window.keys("ctrl+2")
    window.until(lambda told: told["place"] == "explore")
    assert window.told()["theme"] == "light", "what a desktop that says nothing gets"
    window.keys("ctrl+shift+d")
    window.until(lambda told: told["theme"] == "dark")
    window.click("Close Counters")
    window.until(lambda told: "explore.counters" not in told["docks"])
    window.close()
