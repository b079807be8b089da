"""The home screen, by keyboard and mouse."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foliolab.gui.compare.workspace import ComparePlace
    from foliolab.gui.window import Window

SECONDS = 30_000


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def place(window: Window) -> ComparePlace:
    from foliolab.gui.compare.workspace import ComparePlace

    found = window.places["compare"]
    assert isinstance(found, ComparePlace)
    window.resize(1300, 850)
    window.go("compare")
    found.fill_now()
    return found


def cell_of(place: ComparePlace, question: str, row: int = 0) -> Any:
    from foliolab.gui.compare.measure import Cell

    return Cell(question, place.matrix.policies[row])


def press(window: Window, qtbot: Any, widget: Any, key: str) -> None:
    from PySide6.QtCore import Qt

    with qtbot.waitActive(window):
        window.activateWindow()
    widget.setFocus()
    qtbot.keyClick(widget, getattr(Qt.Key, f"Key_{key}"))


def test_the_model_keeps_qts_rules(place: ComparePlace, qtmodeltester: Any) -> None:
    qtmodeltester.check(place.matrix)


def test_all_policies_stand_against_all_questions(place: ComparePlace, window: Window) -> None:
    assert place.matrix.policies == [policy.name for policy in window.library.policies]
    for row in range(len(place.matrix.policies)):
        memory = place.matrix.answer(cell_of(place, "memory", row))
        assert memory.known and "bits" in memory.figure
        assert not place.matrix.answer(cell_of(place, "precise", row)).known


def test_every_cell_has_an_accessible_text(place: ComparePlace) -> None:
    from PySide6.QtCore import Qt

    for row, policy in enumerate(place.matrix.policies):
        for column in range(place.matrix.columnCount()):
            text = place.matrix.index(row, column).data(Qt.ItemDataRole.AccessibleTextRole)
            assert str(text).startswith(policy)


def test_the_keyboard_reaches_the_evidence(place: ComparePlace, window: Window, qtbot: Any) -> None:
    place.view.setCurrentIndex(place.matrix.index(0, 1))
    for _ in range(3):
        press(window, qtbot, place.view, "Right")
    assert place.chosen == cell_of(place, "memory")
    press(window, qtbot, place.view, "Return")
    assert place.docks["evidence"].isVisible()
    assert place.evidence.cell == place.chosen
    assert place.evidence.table.rowCount() and place.evidence.plot.isVisible()
    assert place.evidence.line.text() == f"foliolab show {place.matrix.policies[0]}"
    press(window, qtbot, place.view, "Down")
    assert place.evidence.cell == cell_of(place, "memory", 1), "it follows"


def test_a_click_opens_the_evidence(place: ComparePlace, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    at = place.view.visualRect(place.matrix.place(cell_of(place, "right", 2))).center()
    qtbot.mouseClick(place.view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert place.evidence.cell == cell_of(place, "right", 2)


@pytest.mark.slow  # compiles a policy
def test_a_cell_is_measured_and_shown_again_at_the_next_start(
    place: ComparePlace, open_window: Callable[..., Window], qtbot: Any
) -> None:
    from PySide6.QtCore import Qt

    from foliolab.gui.compare.delegate import button_of

    cell = cell_of(place, "precise")
    from PySide6.QtCore import QRectF

    button = button_of(QRectF(place.view.visualRect(place.matrix.place(cell)))).center().toPoint()
    qtbot.mouseClick(place.view.viewport(), Qt.MouseButton.LeftButton, pos=button)
    assert place.matrix.state(cell)
    qtbot.waitUntil(lambda: not place.queue.running, timeout=SECONDS)
    answer = place.matrix.answer(cell)
    assert answer.known and answer.figure and answer.command[:2] == ("foliolab", "precision")
    other: Any = open_window().places["compare"]
    other.fill_now()
    assert other.matrix.answer(cell).figure == answer.figure


def test_an_answer_about_an_older_text_says_so(place: ComparePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    from foliolab.gui.compare import measure, store

    monkeypatch.setattr(measure, "_execution", lambda: "interpreted")
    monkeypatch.setattr(measure, "MMS", "2")
    said: list[Any] = []
    cell = cell_of(place, "precise", 1)
    measure.measure([cell], place.collector.baseline, (), said.append)
    kept = msgspec.json.decode(said[-1].kept, type=store.Kept)
    store.keep(msgspec.structs.replace(kept, digests={cell.policy: "another"}))
    place.refresh()
    place.fill_now()
    answer = place.matrix.answer(cell)
    assert answer.known and answer.old and "older text" in answer.told


def test_measuring_can_be_stopped(place: ComparePlace, window: Window, qtbot: Any) -> None:
    place.measure_all()
    assert len(place.matrix.busy()) > 10 and window.jobs.running
    window.commands.trigger("compare.stop")
    assert not place.matrix.busy()
    qtbot.waitUntil(lambda: not window.jobs.running, timeout=3000)
    assert not place.queue.running


@pytest.mark.slow  # compiles a policy
def test_a_policy_that_cannot_be_compiled_costs_its_own_cell_only(
    place: ComparePlace, window: Window, qtbot: Any, tmp_path: Path
) -> None:
    from foliolab.framework.plugins import starter
    from foliolab.gui.compare.measure import Cell

    file = tmp_path / "wrong.py"
    file.write_text(starter.text("wrong").replace("nr, folio._large_mapcount", "nr, folio._no_such", 1))
    window.library.open(file)
    place.fill_now()
    wrong, sound = Cell("precise", "wrong"), cell_of(place, "precise")
    place.queue.measure([wrong, sound])
    qtbot.waitUntil(lambda: not place.queue.running, timeout=SECONDS)
    assert not place.matrix.answer(wrong).known and "_no_such" in place.matrix.answer(wrong).sentence
    assert place.matrix.answer(sound).known


@pytest.mark.slow  # compiles a policy
def test_a_job_that_dies_is_that_cells_failure(place: ComparePlace, window: Window, qtbot: Any) -> None:
    import os

    from foliolab.gui.compare.matrix import MEASURING

    first, second = cell_of(place, "precise"), cell_of(place, "precise", 1)
    place.queue.measure([first, second])
    qtbot.waitUntil(lambda: place.matrix.state(first) == MEASURING, timeout=SECONDS)
    process = window.jobs.running[0].process.pid
    assert process is not None
    os.kill(process, signal.SIGKILL)
    qtbot.waitUntil(lambda: not place.queue.running, timeout=SECONDS)
    assert place.matrix.answer(first).word == "failed" and "SIGKILL" in place.matrix.answer(first).sentence
    assert place.matrix.answer(second).known


def test_the_baseline_can_be_chosen(place: ComparePlace, window: Window) -> None:
    place.view.setCurrentIndex(place.matrix.index(1, 3))
    window.commands.trigger("compare.baseline")
    place.fill_now()
    assert place.matrix.answer(cell_of(place, "cost", 1)).word == "baseline"
    assert place.matrix.answer(cell_of(place, "cost", 0)).word != "baseline"


def test_tables_and_pictures_can_be_taken_along(place: ComparePlace, window: Window, tmp_path: Path) -> None:
    place.open_evidence(place.matrix.place(cell_of(place, "memory")))
    for what in place.exportables():
        for form in what.forms:
            path = tmp_path / f"{what.name}{form}"
            window.export(what, path)
            assert path.stat().st_size > 100
    lines = (tmp_path / "matrix.csv").read_text().splitlines()
    assert len(lines) == 1 + len(place.matrix.policies)
    assert "baseline" in lines[1]


def test_the_tours_can_be_hidden_and_shown(place: ComparePlace, window: Window) -> None:
    assert place.welcome.isVisible()
    place.welcome.close_button.click()
    assert not place.welcome.isVisible() and not window.settings.flag("compare/tours", True)
    window.commands.trigger("compare.tours")
    assert place.welcome.isVisible()


# -- result files ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two comparisons, the second of them slower throughout, and a precision."""
    import msgspec

    from foliolab.framework.plugins import registry as room
    from foliolab.framework.precision import result as precision
    from foliolab.framework.precision.session import PrecisionRequest
    from foliolab.framework.precision.session import precision as play
    from foliolab.framework.results import result as results
    from foliolab.framework.run import RunRequest, compare_run

    folder = tmp_path_factory.mktemp("results")
    registry = room.load()
    names = tuple(registry.policies)[:2]
    workload = next(iter(registry.workloads))
    request = RunRequest(names, names[0], (workload,), (2, 4), 1 << 20, 5, execution="interpreted", command="foliolab")
    first = compare_run(request)
    slow = [msgspec.structs.replace(cell, samples=[2 * one for one in cell.samples]) for cell in first.cells]
    results.save(first, folder / "first.json")
    results.save(msgspec.structs.replace(first, cells=slow), folder / "second.json")
    pattern = next(iter(registry.patterns.values()))
    found = play(PrecisionRequest([pattern], [registry.policy(names[0])], mms=(2,), folios=4, execution="interpreted"))
    precision.save(found, folder / "precision.json")
    return folder / "first.json", folder / "second.json", folder / "precision.json"


def test_a_result_fills_the_matrix(place: ComparePlace, window: Window, files: tuple[Path, ...]) -> None:
    assert window.open(files[0])
    place.fill_now()
    assert len(place.matrix.policies) == 2 and place.banner.isVisible()
    assert place.matrix.answer(cell_of(place, "cost", 0)).word == "baseline"
    assert place.matrix.answer(cell_of(place, "cost", 1)).rows
    place.show_own()
    assert len(place.matrix.policies) > 2 and not place.banner.isVisible()
    window.undo.undo()
    assert place.banner.isVisible() and place.collector.opened is not None
    window.undo.undo()
    assert not place.banner.isVisible() and place.collector.opened is None


def test_two_results_show_the_difference(
    place: ComparePlace, window: Window, files: tuple[Path, ...], tmp_path: Path
) -> None:
    window.open(files[0])
    window.open(files[1])
    assert place.pages.currentWidget() is place.differences
    table = place.differences.table
    assert table.rowCount() == 4
    assert "slower" in place.differences.summary.text()
    (what,) = place.exportables()
    window.export(what, tmp_path / "d.csv")
    assert len((tmp_path / "d.csv").read_text().splitlines()) == 5
    place.differences.back.click()
    assert place.pages.currentIndex() == 0 and place.collector.opened is None


def test_results_of_different_kinds_are_refused(place: ComparePlace, window: Window, files: tuple[Path, ...]) -> None:
    window.open(files[0])
    assert not window.open(files[2])
    assert "nothing to compare" in window.notices.all[-1].text
    assert place.pages.currentIndex() == 0


def test_other_json_is_none_of_ours(place: ComparePlace, tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("b.json", json.dumps({"kind": "counterexample"})), ("c.json", "[]")):
        (tmp_path / name).write_text(text)
        assert not place.takes(tmp_path / name)
    (tmp_path / "d.txt").write_text(json.dumps({"kind": "compare"}))
    assert not place.takes(tmp_path / "d.txt")


def test_both_themes_draw_crisply(place: ComparePlace, window: Window) -> None:
    from foliolab.gui.theme import DARK, LIGHT

    for theme in (LIGHT, DARK):
        window.themes.apply(theme)
        image = place.view.viewport().grab().toImage()
        colours = {image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(0, 120, 2)}
        assert theme.panel in colours and len(colours) > 8
