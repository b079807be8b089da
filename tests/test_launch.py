"""What `python3 gui` does once everything is set up."""

from __future__ import annotations

import sys

import pytest

from foliolab.framework import cli
from foliolab.gui import launch


def test_without_a_window_the_front_end_is_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(cli, "main", lambda: seen.append(sys.argv))
    monkeypatch.setattr(sys, "argv", ["gui"])
    assert launch.main(["--quick", "--memory", "64M"]) == 0
    assert seen == [["foliolab", "compare", "--quick", "--memory", "64M"]]
