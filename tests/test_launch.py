"""What `python3 gui`, `foliolab gui` and `foliolab-gui` do where a window can open, and where none can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework import cli
from foliolab.gui import display, launch

NOWHERE = {"QT_QPA_PLATFORM": ""}


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that the headless front end got."""
    seen: list[list[str]] = []
    monkeypatch.setattr(cli, "main", lambda: seen.append(sys.argv))
    monkeypatch.setattr(sys, "argv", ["gui"])
    return seen


def test_options_mean_the_comparison(compared: list[list[str]]) -> None:
    assert launch.main(["--quick", "--memory", "64M"]) == 0
    assert compared == [["foliolab", "compare", "--quick", "--memory", "64M"]]


def test_without_a_display_the_front_end_is_the_comparison(
    compared: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "hindrance", lambda: "there is no display here")
    assert launch.main([]) == 0
    assert compared == [["foliolab", "compare"]]
    assert "there is no display here" in capsys.readouterr().err


def test_a_file_without_a_display_is_one_sentence(
    compared: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "hindrance", lambda: "there is no display here")
    assert launch.main(["result.json"]) == launch.NO_WINDOW
    assert capsys.readouterr().err == "foliolab: there is no display here\n"
    assert not compared


def test_no_display_is_said_with_the_headless_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "find_spec", lambda name: name)
    monkeypatch.setattr(display, "missing", lambda libraries: [])
    said = display.hindrance({})
    assert "DISPLAY is not set" in said and "foliolab compare" in said
    assert display.hindrance({"DISPLAY": ":0"}) == ""
    assert display.hindrance({"QT_QPA_PLATFORM": "offscreen"}) == ""


def test_a_missing_library_is_said_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "find_spec", lambda name: name)
    monkeypatch.setattr(display, "ANYWHERE", {"libnowhere.so.7": "libnowhere7"})
    monkeypatch.setattr(display, "ON_X", {"libnoxcb.so.0": "libnoxcb0"})
    assert "apt-get install libnowhere7 libnoxcb0;" in display.hindrance({"DISPLAY": ":0"})
    assert "apt-get install libnowhere7;" in display.hindrance({"QT_QPA_PLATFORM": "offscreen"})


def test_missing_qt_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "find_spec", lambda name: None)
    assert "pip install 'foliolab[gui]'" in display.hindrance({"DISPLAY": ":0"})


def foliolab(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= NOWHERE | more
    return subprocess.run(
        [sys.executable, "-m", "foliolab.framework.cli", *words],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_verb_says_in_one_sentence_why_no_window_opens(tmp_path: Path) -> None:
    done = foliolab("gui", str(tmp_path / "any.json"))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1 and "without a window: foliolab compare" in done.stderr


def test_the_help_lists_the_window() -> None:
    assert "  gui " in foliolab("--help").stdout
    assert "[FILE]..." in foliolab("gui", "--help").stdout
