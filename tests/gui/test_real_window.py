"""A real window under Xvfb, by mouse and keyboard alone: a newcomer's way from a first start to a page to send, and a
run through all workspaces to the layout found again.
"""

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
from foliolab.framework.machine import cache

RACE = Path(__file__).parents[2] / "gui" / "tours" / "lost_update.py"
SCREEN = (1600, 1000)
PATIENCE = 300.0
"""Seconds that anything may take; on a loaded host with an empty cache, compiling takes minutes."""
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


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
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


@pytest.fixture(scope="module")
def sent(display: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that a newcomer has made; see `newcomer`."""
    folder = tmp_path_factory.mktemp("home")
    window = Real(display, folder)
    try:
        page = newcomer(window, folder)
        window.close()
        assert window.process.returncode == 0
        return page
    finally:
        window.end()


class Real:
    """The program in a process, with mouse and keyboard.

    The process writes what its window shows to a file a few times a second (window_state.py). The test reads the file
    where a person would look at the screen. It has an empty home; only native code is kept from earlier runs.
    """

    def __init__(self, display: str, folder: Path, *files: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "WINDOW_STATE": str(folder / "state"),
            "FOLIOLAB_CACHE": str(cache.folder()), "FOLIOLAB_DATA": str(folder / "data"), "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder), "FOLIOLAB_CONFIG": str(folder / "config"),
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

    def write(self, text: str) -> None:
        """Write in the place of what a field has."""
        self.keys("ctrl+a")
        self.hand("type", text)

    def end(self) -> None:
        """End the program if it has not ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(PATIENCE)

    def close(self) -> None:
        self.keys("ctrl+q")
        self.process.wait(PATIENCE)
        (self.folder / "state").unlink(missing_ok=True)


def newcomer(window: Real, folder: Path) -> Path:
    """From a first start to a page to send, as a newcomer goes: the answer, its evidence, a race, Share.

    Returns:
        the page.
    """
    state = window.until(lambda state: bool(state["home"]["line"]))
    assert state["workspace"] == "compare", "the home screen comes first"
    assert state["home"]["line"].startswith("Unsafe: ") and "rmap-id" in state["home"]["line"]
    assert state["home"]["lacking"] == [], "every cell has an answer"
    window.click("Point of mm-id")
    title, sentence = window.until(lambda state: bool(state["home"]["evidence"]))["home"]["evidence"]
    assert title.startswith("mm-id · ") and sentence
    window.click("How is a race found?")
    window.until(lambda state: state["tour"]["at"] == 0 and state["workspace"] == "policies")
    window.click("Tab Source")
    window.until(lambda state: state["tour"]["done"])
    window.click("Next")
    window.until(lambda state: state["tour"]["at"] == 1 and state["workspace"] == "verify")
    until_refuted(window)
    window.click("Next")
    window.until(lambda state: state["tour"]["at"] == 2)
    window.click("Stop")
    window.until(lambda state: not state["jobs"])
    window.click("Sequence diagram of the counterexample")
    window.keys("End")
    state = window.until(lambda state: state["tour"]["done"])
    assert state["seen"]["example"] == "('lost-update', 'safe')" and state["verify"]["step"] == state["verify"]["last"]
    window.keys("ctrl+shift+h")
    window.until(lambda state: state["dialog"] == "Share as one page")
    page = folder / "race.html"
    window.write(str(page))
    window.keys("Return")
    window.until(lambda state: any(f"{page} is written" in one for one in state["notices"]))
    window.focus()
    return page


def until_refuted(window: Real) -> None:
    """Press Verify once the tour has compiled what it needs; again where the host was too busy for the budget."""
    window.until(lambda state: not state["jobs"], 2 * PATIENCE)
    for _ in range(4):
        window.click("Verify")
        window.until(lambda state: state["tour"]["done"] or state["jobs"])
        if window.until(lambda state: state["tour"]["done"] or not state["jobs"])["tour"]["done"]:
            return
    raise AssertionError("no attack has found the race")


@pytest.mark.timeout(5 * PATIENCE)
def test_a_newcomer_sends_a_race(sent: Path) -> None:
    text = sent.read_text("utf-8")
    assert len(text) <= 200_000 and "http://" not in text and "https://" not in text
    for word in ("lost-update", "maybe_mapped_shared", "store", "_owner", "foliolab step race.html --plugin"):
        assert word in text, word
    assert str(sent.parent) not in text, "where it was made is nobody's business"


@pytest.mark.timeout(5 * PATIENCE)
def test_the_page_shows_the_race_in_a_browser(sent: Path, tmp_path: Path) -> None:
    from chromium import browser

    with browser(tmp_path / "profile") as opened:
        opened.open(sent)
        assert "lost-update: the law safe is broken" in opened.value("document.body.innerText")
        here = "document.querySelector('tr.here').firstElementChild.textContent"
        last = int(opened.value(here))
        assert last > 0, "it begins where the law is broken"
        opened.press("ArrowLeft")
        assert int(opened.value(here)) < last
        assert opened.requests == [sent.as_uri()] and opened.faults == []


@pytest.mark.timeout(5 * PATIENCE)
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
        window.end()


def through(window: Real, tmp_path: Path) -> None:
    """Explore, measure, verify, export."""
    window.until(lambda state: state["workspace"] == "policies")  # the file of the command line is open
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
    window.write("lost-update")
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
    window.write(str(tmp_path / "claims.csv"))
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
