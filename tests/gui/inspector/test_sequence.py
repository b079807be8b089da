"""The sequence diagram: a line per step, a bracket per lock section; mouse and keys select steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from timelines import CONTENDED, RACE, WHOLE, timeline, wrong

from foliolab.framework.report.diagram import diagram_of
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.gui.sequence.diagram import SequenceDiagram
from foliolab.gui.window.exporting import export
from foliolab.gui.window.theme import DARK, LIGHT


@pytest.fixture
def shown(qtbot: Any) -> SequenceDiagram:
    view = SequenceDiagram(DARK)
    qtbot.addWidget(view)
    view.resize(1000, 600)
    view.show()
    view.show_timeline(timeline())
    return view


@pytest.mark.parametrize("example", [RACE, CONTENDED, WHOLE])
def test_every_step_has_a_line(example: Counterexample) -> None:
    played = timeline(example)
    for unfolded in (True, False):
        made = diagram_of(played, all_accesses=True, unfolded=unfolded)
        steps = [mark.step for mark in made.marks if mark.step is not None]
        assert steps == sorted(set(steps))
        for step in range(len(played.frames)):
            mark = made.marks[made.line_of(step)]
            assert mark.last >= step
            assert unfolded is False or mark.step == step
    assert steps[-1] == len(played.frames) - 1


def test_a_bracket_spans_from_the_lock_to_its_unlock() -> None:
    made = diagram_of(timeline(), unfolded=True)
    locks = [span for span in made.spans if span.kind == "lock"]
    assert locks
    for span in locks:
        assert made.marks[span.first].kind == "lock"
        assert made.marks[span.last].kind == "unlock"
        assert made.marks[span.first].thread == made.marks[span.last].thread == span.thread


def test_a_thread_waits_until_the_other_one_unlocks() -> None:
    made = diagram_of(timeline(CONTENDED), unfolded=True)
    (wait,) = [span for span in made.spans if span.kind == "wait"]
    holder = next(span for span in made.spans if span.kind == "lock" and span.thread != wait.thread)
    assert made.marks[wait.first].kind == "wait"
    assert made.marks[wait.last].kind == "lock"
    assert holder.first < wait.first < holder.last < wait.last


def test_marks_tell_reads_from_writes() -> None:
    played = timeline()
    for mark in diagram_of(played, unfolded=True).marks:
        if mark.kind in ("read", "write") and mark.step is not None:
            frame = played.frames[mark.step]
            assert (mark.kind == "write") == (frame.old != frame.new)
            assert not mark.state or mark.kind == "write"


def test_keys_and_mouse_go_to_steps(qtbot: Any, shown: SequenceDiagram) -> None:
    with qtbot.waitSignal(shown.stepped) as first:
        QTest.keyClick(shown, Qt.Key.Key_Down)
    assert first.args == [0]
    for key in (Qt.Key.Key_End, Qt.Key.Key_Up, Qt.Key.Key_PageUp, Qt.Key.Key_Right):
        QTest.keyClick(shown, key)
    before = shown.step
    QTest.keyClick(shown, Qt.Key.Key_Left)
    assert 0 < shown.step < before
    QTest.keyClick(shown, Qt.Key.Key_Home)
    assert shown.step == 0
    geometry = shown.geometry_for(shown.viewport().width())
    line = next(at for at, mark in enumerate(shown.diagram.marks) if mark.step == 12)
    with qtbot.waitSignal(shown.stepped) as clicked:
        at = QPoint(200, geometry.head + line * geometry.line + geometry.line // 2)
        QTest.mouseClick(shown.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert clicked.args == [12]


def test_to_go_brings_the_step_into_sight_and_says_it(qtbot: Any, shown: SequenceDiagram) -> None:
    with qtbot.assertNotEmitted(shown.stepped):
        shown.go(70)
    line = shown.diagram.line_of(70)
    bar = shown.verticalScrollBar()
    assert bar.value() <= line < bar.value() + bar.pageStep()
    assert "step 70" in shown.accessibleDescription()
    assert "mapped by MM 0" in shown.accessibleDescription()
    assert "pagetable.py" in shown.tip(line) or ".py:" in shown.tip(line)


def test_the_future_is_dimmed(shown: SequenceDiagram) -> None:
    shown.go(0)
    early = shown.viewport().grab().toImage()
    shown.go(20)
    assert shown.viewport().grab().toImage() != early


def test_a_broken_law_stands_below(shown: SequenceDiagram) -> None:
    shown.show_timeline(wrong())
    assert any(text.startswith("✗ safe") for text in shown.diagram.broken)
    shown.show_timeline(timeline())
    assert "does not break any more" in shown.diagram.broken[0]


def test_all_of_it_is_exported(shown: SequenceDiagram, tmp_path: Path) -> None:
    shown.paint(LIGHT)
    (whole,) = shown.exportables()
    for form in whole.forms:
        export(whole, tmp_path / f"x{form}")
    assert (tmp_path / "x.svg").read_text().count("atomic_set") >= 1, "also what is out of sight"
    rows = (tmp_path / "x.csv").read_text().splitlines()
    assert len(rows) == 1 + len(shown.diagram.marks)
    assert whole.picture is not None
    assert whole.picture.height() > shown.height()


def test_nothing_shown_is_said(shown: SequenceDiagram) -> None:
    shown.show_timeline(None)
    shown.grab()
    assert not shown.exportables()
    assert "no counterexample" in shown.accessibleDescription()
    QTest.keyClick(shown, Qt.Key.Key_Down)
    assert shown.step == -1


def test_a_drag_over_lines_shows_their_steps_alone(qtbot: Any, shown: SequenceDiagram) -> None:
    """The part has the brackets of its locks; a step outside of it shows all again."""
    geometry, all_lines = shown.geometry_for(shown.viewport().width()), shown.diagram.marks
    lines = [at for at, mark in enumerate(all_lines) if mark.step is not None]
    low, high = (all_lines[lines[number]].step or 0 for number in (2, 7))
    places = [QPoint(200, geometry.head + lines[number] * geometry.line + geometry.line // 2) for number in (2, 7)]
    end = shown.part.high
    shown.go(end)
    shown.verticalScrollBar().setValue(0)
    with qtbot.waitSignal(shown.stepped) as stepped:
        QTest.mousePress(shown.viewport(), Qt.MouseButton.LeftButton, pos=places[0])
        QTest.mouseMove(shown.viewport(), places[1])
        QTest.mouseRelease(shown.viewport(), Qt.MouseButton.LeftButton, pos=places[1])
    assert (shown.part.low, shown.part.high) == (low, high)
    assert stepped.args == [high] and shown.step == high, "the step that was shown is not one of them"
    part = shown.diagram
    assert [mark.step for mark in part.marks if mark.step is not None] == [all_lines[at].step for at in lines[2:8]]
    assert all(0 <= span.first <= span.last < len(part.marks) for span in part.spans) and not part.broken
    shown.viewport().grab()
    QTest.keyClick(shown, Qt.Key.Key_Escape)
    assert (shown.part.whole, shown.diagram.marks) == (True, all_lines)
    shown.part.see(low, high)
    shown.go(end)
    assert shown.part.whole and shown.step == end
