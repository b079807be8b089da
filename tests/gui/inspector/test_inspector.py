"""The inspector shows what is in memory, and the line that changed it."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from sources import BASE, EXACT, MM_ID, mixed
from timelines import CONTENDED, WHOLE, timeline, wrong

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.explore.page_detail import page_detail
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.session_thread import SessionThread
from foliolab.framework.explore.source import counterexample_source
from foliolab.framework.report.functions import function_at
from foliolab.gui.inspector.field_text import sentence
from foliolab.gui.inspector.inspected import inspect_page, inspect_step
from foliolab.gui.inspector.inspector import Inspector
from foliolab.gui.inspector.picture_layout import lay_out
from foliolab.gui.window.exporting import export
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import DARK, LIGHT, Themes, paint_all

WRITE = next(at for at, frame in enumerate(timeline().frames) if frame.op == "atomic_set" and "_large_" in frame.field)
native = pytest.mark.skipif(bool(native_missing()), reason="nothing can be compiled")


@pytest.fixture
def inspector(qtbot: Any, store: Path) -> Inspector:
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    settings = Settings(QSettings(str(store), QSettings.Format.IniFormat))
    desk: Any = SimpleNamespace(themes=Themes(application, "dark"), settings=settings)
    made = Inspector(desk)
    qtbot.addWidget(made)
    made.resize(400, 800)
    made.show()
    return made


def test_empty_it_says_what_to_do(inspector: Inspector) -> None:
    assert "Choose a page" in inspector.summary.text()
    assert not inspector.exportables()
    inspector.grab()


# -- a counterexample's step -------------------------------------------------------------------------------
def test_a_step_shows_what_it_changed_and_the_line_that_did_it(inspector: Inspector) -> None:
    played = timeline()
    found = inspect_step(played, WRITE)
    frame = played.frames[WRITE]
    assert found.folio is not None
    changed = [one for one in found.folio.fields if one.changed]
    assert [(one.name, one.before, one.value) for one in changed] == [("_large_mapcount", frame.old, frame.new)]
    inspector.show_found([found])
    file, _, line = frame.location.rpartition(":")
    assert inspector.source.path == file
    assert inspector.source.marks == {int(line): "step"}
    assert "atomic_set" in inspector.source.line_text(int(line))
    assert inspector.source.toPlainText().startswith("def "), "the function, not the file"


def test_every_step_of_a_timeline_can_be_inspected(inspector: Inspector) -> None:
    for example in (timeline(), timeline(WHOLE)):
        for step in range(-1, len(example.frames)):
            before = example.at(step).snapshot()
            found = inspect_step(example, step)
            assert (example.at(step).snapshot() == before).all(), "to look changes nothing"
            inspector.show_found([found])
    inspector.grab()


def test_a_wrong_answer_is_said_in_words(inspector: Inspector) -> None:
    inspector.show_found([inspect_step(wrong(), WRITE)])
    assert "mapped by 2 MMs (0, 1); wrong says exclusive: unsafe" in inspector.summary.text()
    assert inspector.verdict.text() == "✗ unsafe"
    inspector.show_found([inspect_step(timeline(), WRITE)])
    assert inspector.verdict.text() == "✓ right"


# -- the picture -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [320, 900])
def test_the_picture_is_to_scale(width: int) -> None:
    folio = inspect_step(timeline(), WRITE).folio
    assert folio is not None
    layout = lay_out(folio, width, 14)
    seen = [cell for cell in layout.cells if not cell.hidden and not cell.small]
    for cell in seen:
        assert abs(cell.area.width() - cell.field.bits / 8 * layout.byte) <= 1
        assert cell.area.right() <= width
    for at, cell in enumerate(seen):
        assert not any(cell.area.intersects(other.area) for other in seen[at + 1 :])
        assert not any(cell.area.intersects(free) for free in layout.free)
    drawn = sum(cell.field.bits for cell in seen) // 8 + sum(round(one.width() / layout.byte) for one in layout.free)
    assert drawn == folio.shown * folio.stride


def test_arrows_choose_a_field_enter_asks_for_its_writer(qtbot: Any, inspector: Inspector) -> None:
    inspector.show_found([inspect_step(timeline(), WRITE)])
    picture = inspector.picture
    QTest.keyClick(picture, Qt.Key.Key_Home)
    assert picture.field is not None
    assert picture.field.name == "flags"
    assert "lru, head" in picture.accessibleDescription()
    names = set()
    for _ in range(len(picture.picture_layout.cells)):
        names.add((picture.field.page, picture.field.name))
        assert sentence(picture.field, "mm-id") == picture.accessibleDescription() == inspector.field.text()
        QTest.keyClick(picture, Qt.Key.Key_Right)
    assert len(names) == len(picture.picture_layout.cells), "each of them, other views of the same bytes too"
    QTest.keyClick(picture, Qt.Key.Key_Home)
    QTest.keyClick(picture, Qt.Key.Key_Down)
    QTest.keyClick(picture, Qt.Key.Key_Down)
    QTest.keyClick(picture, Qt.Key.Key_Up)
    assert picture.field.offset == 8
    QTest.keyClick(picture, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == picture.accessibleDescription()
    wanted: list[Any] = []
    picture.writer_wanted.connect(wanted.append)
    QTest.keyClick(picture, Qt.Key.Key_Return)
    assert wanted == [picture.field]


def test_a_click_explains_a_field(inspector: Inspector) -> None:
    found = inspect_step(timeline(), WRITE)
    inspector.show_found([found])
    assert found.folio is not None
    field = next(one for one in found.folio.fields if one.name == "_large_mapcount")
    QTest.mouseClick(inspector.picture, Qt.MouseButton.LeftButton, pos=inspector.picture.area_of(field).center())
    text = inspector.field.text()
    assert "mappings of any kind, minus 1" in text
    assert "this step: 7 → 11" in text
    assert "32 bits at byte 16 of tail page 1" in text
    inspector.show_found([inspect_step(timeline(), WRITE + 1)])
    assert inspector.picture.field is not None
    assert inspector.picture.field.name == "_large_mapcount", "it stays chosen"
    assert "this step" not in inspector.field.text()


def test_both_themes_and_all_widths_are_drawn(inspector: Inspector) -> None:
    inspector.show_found([inspect_step(timeline(), WRITE)])
    pictures = []
    for theme in (DARK, LIGHT):
        for width in (320, 900):
            inspector.resize(width, 700)
            paint_all(inspector, theme)
            pictures.append(inspector.picture.grab().toImage())
    assert all(one != other for at, one in enumerate(pictures) for other in pictures[at + 1 :])
    assert inspector.minimumSizeHint().width() <= 320


def test_it_is_exported(inspector: Inspector, tmp_path: Path) -> None:
    found = inspect_step(timeline(), WRITE)
    inspector.show_found([found])
    folio, accesses = inspector.exportables()
    for one in (folio, accesses):
        for form in one.forms:
            export(one, tmp_path / f"{one.name}{form}")
    rows = list(csv.DictReader((tmp_path / "folio.csv").open()))
    row = next(row for row in rows if row["field"] == "_large_mapcount")
    assert (row["before"], row["value"], row["step"]) == ("7", "11", "changed")
    assert any(row["field"] == "_mm_ids.lock" and row["value"] == "1" for row in rows)
    assert len(list(csv.DictReader((tmp_path / "accesses.csv").open()))) == len(found.accesses)
    assert "_large_mapcount" in (tmp_path / "folio.svg").read_text()


# -- a page of a session -----------------------------------------------------------------------------------
def test_a_page_under_every_policy(inspector: Inspector) -> None:
    worker = SessionThread(lambda: Session(counterexample_source(CONTENDED), [MM_ID, BASE, EXACT], 1 << 28))
    try:
        assert worker.wait_ready(60)
        worker.goto(4)
        inspector.show_found(worker.ask(partial(inspect_page, mm=0, page=0)).result(20))
        assert [inspector.tabs.tabData(at) for at in range(inspector.tabs.count())] == [
            "mm-id", "page-mapcount", "exact",
        ]  # fmt: skip
        for at in range(3):
            inspector.tabs.setCurrentIndex(at)
            now = inspector.now
            assert now is not None
            expected = worker.ask(_Page(at)).result(20)
            assert inspector.summary.text() == expected.description
            assert now.folio is not None
            assert now.folio.head == expected.head
            assert now.accesses
        inspector.tabs.setCurrentIndex(1)
        inspector.show_found(worker.ask(partial(inspect_page, mm=0, page=0, accesses=False)).result(20))
        assert inspector.now is not None and not inspector.now.accesses
        assert inspector.now.policy == "page-mapcount", "the policy that was looked at stays"
        accesses = worker.ask(_Accesses()).result(20)
        inspector.show_after(accesses, 0)
        assert inspector.now.folio is accesses
        assert inspector.now.at == 0
        inspector.clear()
        assert inspector.now is None
    finally:
        assert worker.close(30)


class _Accesses:
    def __call__(self, session: Session) -> Any:
        return session.accesses(1).folio(page_detail(session.lanes[1], 0, 0).head, 0)


class _Page:
    def __init__(self, lane: int) -> None:
        self.lane = lane

    def __call__(self, session: Session) -> Any:
        return page_detail(session.lanes[self.lane], 0, 0)


@native
@pytest.mark.slow
def test_the_write_of_the_policy_is_the_line_that_is_shown() -> None:
    session = Session(mixed(), [MM_ID], 1 << 28)
    try:
        chosen = []
        for _ in range(12):
            session.advance()
            (found,) = inspect_page(session, 0, 0)
            if found.at >= 0:
                chosen.append(found.accesses[found.at])
        assert any(one.writes and one.file.endswith("mm_id.py") for one in chosen)
    finally:
        session.close()


# -- functions ---------------------------------------------------------------------------------------------
def test_the_innermost_function_around_a_line(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text("X = 1\n\n@deco\ndef outer():\n    def inner():\n        return 1\n    return inner\n")
    assert function_at(str(file), 6).name == "inner"
    outer = function_at(str(file), 7)
    assert (outer.name, outer.first_line) == ("outer", 3)
    assert outer.text.splitlines()[0] == "@deco"
    assert function_at(str(file), 1) == function_at(str(file), 2)
    assert function_at(str(tmp_path / "gone.py"), 3).text == ""
    broken = tmp_path / "broken.py"
    broken.write_text("def (:\n")
    assert function_at(str(broken), 1).text == "def (:"


def test_the_c_function_around_a_line(tmp_path: Path) -> None:
    file = tmp_path / "some.c"
    file.write_text("#define X 1\n\nstatic int one(void)\n{\n\treturn X;\n}\n\nint two(int a)\n{\n\treturn a;\n}\n")
    found = function_at(str(file), 10)
    assert (found.name, found.first_line, found.text.splitlines()[0]) == ("two", 8, "int two(int a)")


def test_lines_of_a_kernel_tree_are_shown_and_not_exported(inspector: Inspector, tmp_path: Path) -> None:
    for name in ("include/linux/mm_types.h", "mm/rmap.c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("int kernel_line;\n")
    found = inspect_step(timeline(), WRITE)
    accesses = [replace(one, file=str(tmp_path / "mm/rmap.c"), line=1) for one in found.accesses]
    inspector.show_found([replace(found, accesses=tuple(accesses))])
    assert "kernel_line" in inspector.source.toPlainText()
    export(inspector.exportables()[1], tmp_path / "accesses.csv")
    exported = (tmp_path / "accesses.csv").read_text()
    assert "rmap.c" in exported and "kernel_line" not in exported


def test_a_step_of_a_sequence_has_the_authors_line() -> None:
    played = timeline(WHOLE)
    step = next(at for at, frame in enumerate(played.frames) if frame.op == "__clear_bit_unlock")
    found = inspect_step(played, step)
    assert found.accesses[found.at].file.endswith("mm_id.py")


# -- why ---------------------------------------------------------------------------------------------------
def test_the_answer_is_given_line_by_line_and_leads_back(inspector: Inspector) -> None:
    from foliolab.framework.explore.reasons import last_change_in

    played = timeline()
    last = len(played.frames) - 1
    found = inspect_step(played, last)
    before = bytes(played.at(last).vm.buffer)
    inspector.show_found([found])
    assert inspector.why.isVisible() and found.policy in inspector.why.title.text()
    items = [inspector.why.rows.topLevelItem(at) for at in range(inspector.why.rows.topLevelItemCount())]
    texts = [item.text(0) for item in items if item is not None]
    assert len(texts) == len(found.answer.reasons) and texts[-1].endswith(("→ maybe shared", "→ exclusive"))
    assert all("=" in text and not text.startswith("folio.") for text in texts)
    assert bytes(played.at(last).vm.buffer) == before, "asking changes nothing"
    wanted: list[Any] = []
    inspector.why.wanted.connect(wanted.append)
    inspector.why.back.click()
    step = last_change_in(played, wanted[0].place, last)
    assert step is not None and played.frames[step].field == wanted[0].field
    assert played.frames[step].old != played.frames[step].new
    inspector.clear()
    assert not inspector.why.isVisible()
