"""The source view: line numbers of the file, marks with signs and texts, read-only."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtTest import QTest

from foliolab.gui.widgets.source_view import SourceView
from foliolab.gui.window.theme import DARK, LIGHT

TEXT = '''def one(folio):
    """A text
    of two lines, with a def in it."""
    return load(folio._x) + 0x10  # why
'''


@pytest.fixture
def view(qtbot: Any) -> SourceView:
    made = SourceView(DARK)
    qtbot.addWidget(made)
    made.resize(500, 300)
    made.show()
    made.show_source(TEXT, 40, "policy.py")
    return made


def test_lines_have_their_numbers_in_the_file(view: SourceView) -> None:
    assert view.line_text(43).strip().startswith("return")
    assert view.line_text(39) == view.line_text(46) == ""


def test_marks(view: SourceView) -> None:
    view.mark(41, "step")
    view.mark(43, "error", "NameError: load")
    assert view.marks == {41: "step", 43: "error"}
    assert "error at line 43: NameError: load" in view.accessibleDescription()
    view.mark(40, "step")
    assert view.marks == {40: "step", 43: "error"}, "there is one step at a time"
    view.mark(7, "error")
    view.mark(400, "error")
    assert 7 not in view.marks and 400 not in view.marks
    before = view.grab().toImage()
    view.show_source(view.toPlainText(), view.first_line, view.path)
    assert not view.marks
    assert view.grab().toImage() != before


def test_a_marked_line_comes_into_sight(view: SourceView) -> None:
    view.show_source("\n".join(f"x{i} = {i}" for i in range(500)), 1, "long.py")
    view.mark(400, "error")
    top = view.firstVisibleBlock().blockNumber() + 1
    assert top < 400 < top + 40
    scrolled = view.verticalScrollBar().value()
    view.mark(401, "step")
    assert abs(view.verticalScrollBar().value() - scrolled) <= 1, "what is in sight does not jump"


def test_the_same_text_keeps_its_place(view: SourceView) -> None:
    text = "\n".join(f"x{i} = {i}" for i in range(500))
    view.show_source(text, 1, "long.py")
    view.mark(400, "step")
    at = view.verticalScrollBar().value()
    view.show_source(text, 1, "long.py")
    assert view.verticalScrollBar().value() == at > 0
    assert not view.marks


def test_colours(view: SourceView) -> None:
    def colours(line: int) -> dict[str, str]:
        block = view.document().findBlockByNumber(line)
        return {
            block.text()[one.start : one.start + one.length]: one.format.foreground().color().name()
            for one in block.layout().formats()
        }

    assert colours(0)["def"] == DARK.accent
    assert set(colours(2).values()) == {DARK.good}, "inside of a text nothing is a keyword"
    assert colours(3)["return"] == DARK.accent
    assert colours(3)["# why"] == DARK.quiet
    view.paint(LIGHT)
    assert colours(0)["def"] == LIGHT.accent


def test_c_has_its_own_colours(view: SourceView) -> None:
    view.show_source("#define X 1\nstatic int def; /* why */\n", 1, "some.c")
    formats = view.document().findBlockByNumber(1).layout().formats()
    found = {
        view.line_text(2)[one.start : one.start + one.length]: one.format.foreground().color().name() for one in formats
    }
    assert found["static"] == DARK.accent and found["/* why */"] == DARK.quiet
    assert found.get("def") is None, "it is no keyword of C"


def test_nothing_can_be_changed(view: SourceView) -> None:
    QTest.keyClicks(view, "x = 1")
    assert view.toPlainText() == TEXT
