"""The panel with the answer about a trace: the sentences of a replay, for a trace alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

COMPILING = 300_000


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A process with a folio forks twice and ends with its first child; the second one writes."""
    path = tmp_path / "app.folio"
    with Writer(path, Header(source="perf", kernel="6.18.0", mm_id=True, no_page_mapcount=False)) as writer:
        kinds = [ev.NEW, ev.FORK, ev.FORK, ev.EXIT, ev.EXIT, ev.WRITE]
        writer.append(
            ev.columns(
                time=range(6), kind=kinds, mm=[1, 1, 1, 1, 2, 3], order=[4, 0, 0, 0, 0, 0],
                page=[512, 0, 0, 0, 0, 513], other=[16, 2, 3, 0, 0, 0], flags=[0, 0, 0, 0, 0, ev.COPIED],
            )
        )  # fmt: skip
    return path


def test_the_sentences_are_those_of_a_replay(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.framework.engine import engine
    from foliolab.gui.explore.trace_answer import answer_of

    monkeypatch.setattr(engine, "native_missing", lambda: "no numba in this test")
    said: list[Any] = []
    found = answer_of(str(trace), ["mm-id"], (), said.append)
    assert len(found) == 5
    assert found[1].startswith("mm-id (exact for up to 2 MMs a folio) made 1 more copy of pages than exact")
    assert "mm-id decides 1 of 1 certain writes" in found[4]
    assert said


@pytest.mark.slow
def test_a_trace_has_the_panel_and_a_pattern_has_none(trace: Path, window: Window, qtbot: Any) -> None:
    assert window.open(trace)
    workspace: Any = window.here
    panel, dock = workspace.answer, workspace.docks["answer"]
    qtbot.waitUntil(lambda: workspace.facts is not None, timeout=COMPILING)
    assert dock.isVisible()
    assert panel.text.text() == "Replaying the whole trace …"
    assert panel.job in window.jobs.running
    panel.job.answered.emit(["One sentence.", "Another one."])
    assert panel.text.text() == "One sentence.\nAnother one."
    workspace.choose({"pattern": "daemons", "policies": ["mm-id"]})
    assert panel.job is None
    assert "Open a trace" in panel.text.text()
    qtbot.waitUntil(lambda: workspace.facts is not None, timeout=COMPILING)
    assert not dock.isVisible()
