"""Nothing is cut off and nothing overlaps, from the smallest window to a large one, at three scales."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOOKS = Path(__file__).parent / "clipping.py"


@pytest.mark.parametrize(
    ("scale", "sizes"),
    [
        ("1", "1280x720,640x480"),
        pytest.param("1.5", "1280x720", marks=pytest.mark.slow),
        pytest.param("2", "1920x1080", marks=pytest.mark.slow),
    ],
    ids=["1280x720 and 640x480 without docks", "1920x1080 at 1.5", "4K at 2"],
)
def test_no_workspace_cuts_anything_off(qtbot: Any, tmp_path: Path, scale: str, sizes: str) -> None:
    """`qtbot` skips the test where Qt cannot start; the scale is fixed when a process starts Qt."""
    environment = os.environ | {
        "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": scale, "FOLIOLAB_DATA": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(LOOKS), sizes], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_what_looks_for_cut_texts_finds_them(qtbot: Any) -> None:
    from PySide6.QtWidgets import QLabel, QPushButton, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

    from foliolab.gui.compare.scatter import Scatter, Spot
    from foliolab.gui.window.theme import DARK

    spec = importlib.util.spec_from_file_location("clipping", LOOKS)
    assert spec is not None and spec.loader is not None
    clipping = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(clipping)
    parent = QWidget()
    qtbot.addWidget(parent)
    QVBoxLayout(parent)
    parent.resize(200, 100)
    label, button = QLabel("a sentence that is too long", parent), QPushButton("Measure", parent)
    label.setGeometry(0, 0, 60, 20)
    button.setGeometry(10, 5, 20, 20)
    table = QTableWidget(1, 1, parent)
    table.setHorizontalHeaderLabels(["Verdict"])
    table.setItem(0, 0, QTableWidgetItem("refuted by an attack"))
    table.setColumnWidth(0, 40)
    parent.show()
    assert "needs" in next(clipping.clipped(label)) and "button" in next(clipping.clipped(button))
    assert "lies on" in next(clipping.overlaps(parent))
    assert "verdicts under" in next(clipping.elided(parent))
    button.move(190, 5)
    assert any("leaves its parent" in one for one in clipping.clipped(button))
    scatter = Scatter(DARK)
    qtbot.addWidget(scatter)
    scatter.resize(260, 150)
    scatter.show_spots([Spot("exact", 0.0, 1.0)], "short")
    assert not list(clipping.painted(scatter))
    scatter.show_spots([Spot("exact", 0.0, 1.0)], "a title of many words that cannot have room in so small a picture")
    assert "is cut off" in next(clipping.painted(scatter))
