"""The home screen, by keyboard and mouse."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foliolab.gui.compare.workspace import CompareWorkspace
    from foliolab.gui.main_window import Window

SECONDS = 120_000


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def workspace(window: Window) -> CompareWorkspace:
    from foliolab.gui.compare.workspace import CompareWorkspace

    found = window.workspaces["compare"]
    assert isinstance(found, CompareWorkspace)
    window.resize(1300, 850)
    window.go("compare")
    found.rows.fill_now()
    return found


def cell_of(workspace: CompareWorkspace, question: str, row: int = 0) -> Any:
    from foliolab.gui.compare.measure import Cell

    return Cell(question, workspace.matrix.policies[row])


def press(window: Window, qtbot: Any, widget: Any, key: str) -> None:
    from PySide6.QtCore import Qt

    with qtbot.waitActive(window):
        window.activateWindow()
    widget.setFocus()
    qtbot.keyClick(widget, getattr(Qt.Key, f"Key_{key}"))


def test_the_model_keeps_qts_rules(workspace: CompareWorkspace, qtmodeltester: Any) -> None:
    qtmodeltester.check(workspace.matrix)


def test_the_first_start_has_an_answer_in_every_cell(workspace: CompareWorkspace, window: Window) -> None:
    """What is not measured on this host is of the shipped reference result, and says so."""
    from foliolab.gui.compare.answer import BADGE, QUESTIONS

    assert len(workspace.matrix.policies) == 3, "the others unfold"
    window.commands.trigger("compare.rows")
    workspace.rows.fill_now()
    assert set(workspace.matrix.policies) == {policy.name for policy in window.library.policies}
    for row in range(len(workspace.matrix.policies)):
        for question in QUESTIONS:
            cell = cell_of(workspace, question.name, row)
            answer = workspace.matrix.answer(cell)
            assert answer.known and answer.word, cell
            measured = question.name in ("precise", "cost", "proc") and answer.word != "baseline"
            assert (BADGE in answer.text and "Measured on" in answer.sentence) == measured, cell
    assert BADGE in workspace.home.badge.text()


def test_the_first_words_and_the_scatter_are_made_from_the_data(workspace: CompareWorkspace, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    unsafe = {spot.policy for spot in workspace.home.scatter.spots if spot.unsafe}
    assert unsafe and all(
        policy in workspace.home.first.text() for policy in unsafe & set(workspace.matrix.policies)
    ), "who is unsafe"
    assert "munmap" in workspace.home.words.text() and "fork" in workspace.home.words.text(), "who costs what"
    assert len(workspace.home.scatter.spots) == len(workspace.collector.policies())
    by_munmap = {spot.policy: spot.y for spot in workspace.home.scatter.spots}
    workspace.home._group.buttons()[1].click()
    assert {spot.policy: spot.y for spot in workspace.home.scatter.spots} != by_munmap, "fork is apart"
    spot = next(one for one in workspace.home.scatter.spots if one.policy == "owner-vma")
    place = workspace.home.scatter.place(spot).toPoint()
    qtbot.mouseClick(workspace.home.scatter, Qt.MouseButton.LeftButton, pos=place)
    assert workspace.evidence.cell == ("cost", "owner-vma") and workspace.docks["evidence"].isVisible()


def test_the_matrix_lists_the_policies_of_the_shown_part_of_the_scatter(
    workspace: CompareWorkspace, window: Window, qtbot: Any, tmp_path: Path
) -> None:
    from PySide6.QtCore import QPoint, QPointF, QRectF, Qt

    from foliolab.gui.compare.state import CompareState, state_of
    from foliolab.gui.window.session_file import Files

    scatter, usual = workspace.home.scatter, list(workspace.matrix.policies)
    spot = next(one for one in scatter.spots if one.policy == "owner-vma")
    middle = scatter.place(spot).toPoint()
    left = Qt.MouseButton.LeftButton
    qtbot.mousePress(scatter, left, pos=middle - QPoint(40, 25))
    qtbot.mouseMove(scatter, middle)
    qtbot.mouseRelease(scatter, left, pos=middle + QPoint(20, 25))
    workspace.rows.fill_now()
    part = [scatter.spots[number].policy for number in scatter.inside]
    assert "owner-vma" in part and "exact" not in part and workspace.matrix.policies == part
    assert workspace.docks["evidence"].isHidden(), "a drag is no click"
    state = state_of(workspace, Files(tmp_path))
    scatter.part.zoom(2, QPointF(spot.x, spot.y), scatter._whole())
    assert "owner-vma" in [scatter.spots[number].policy for number in scatter.inside]
    scatter.part.pan(50, scatter._whole())
    assert scatter.inside, "the part does not leave the whole"
    window.commands.trigger("compare.part")
    workspace.rows.fill_now()
    assert workspace.matrix.policies == usual and len(scatter.inside) == len(scatter.spots)
    workspace.restore(state, Files(tmp_path))
    workspace.rows.fill_now()
    assert workspace.matrix.policies == part, "a session keeps it"
    qtbot.keyClick(scatter, Qt.Key.Key_Escape)
    assert scatter.part.seen is None
    for odd in ((1.0,), (0.0, 0.0, float("nan"), 1.0), (0.0, 0.0, 1e300, 1.0)):
        assert CompareState(baseline="mm-id", part=odd).seen is None
    scatter.part.see(QRectF(900, 900, 0, 0))
    workspace.rows.fill_now()
    assert workspace.matrix.policies == usual, "a part without a point leaves the rows"


def test_any_row_can_be_the_baseline_of_the_reference(workspace: CompareWorkspace, window: Window) -> None:
    before = workspace.matrix.answer(cell_of(workspace, "cost", 1)).values["munmap"]
    workspace.view.setCurrentIndex(workspace.matrix.index_of(cell_of(workspace, "cost", 1)))
    window.commands.trigger("compare.baseline")
    workspace.rows.fill_now()
    assert workspace.matrix.answer(cell_of(workspace, "cost", 1)).word == "baseline"
    assert workspace.matrix.answer(cell_of(workspace, "cost", 0)).values["munmap"] == pytest.approx(
        1 / before, rel=0.02
    )


@pytest.mark.parametrize("seconds, text", [(7, "10 s"), (44, "40 s"), (60, "1 minute "), (170, "3 minutes")])
def test_the_rest_of_the_time_is_told_in_round_figures(seconds: float, text: str) -> None:
    from foliolab.gui.compare.home import remaining

    assert text in remaining(seconds)


def test_every_cell_has_an_accessible_text(workspace: CompareWorkspace) -> None:
    from PySide6.QtCore import Qt

    for row, policy in enumerate(workspace.matrix.policies):
        for column in range(workspace.matrix.columnCount()):
            text = workspace.matrix.index(row, column).data(Qt.ItemDataRole.AccessibleTextRole)
            assert str(text).startswith(policy)


def test_the_keyboard_reaches_the_evidence(workspace: CompareWorkspace, window: Window, qtbot: Any) -> None:
    workspace.view.setCurrentIndex(workspace.matrix.index(0, 1))
    for _ in range(3):
        press(window, qtbot, workspace.view, "Right")
    assert workspace.view.chosen == cell_of(workspace, "memory")
    press(window, qtbot, workspace.view, "Return")
    assert workspace.docks["evidence"].isVisible()
    assert workspace.evidence.cell == workspace.view.chosen
    assert workspace.evidence.table.rowCount() and workspace.evidence.plot.isVisible()
    assert workspace.evidence.line.text() == f"foliolab show {workspace.matrix.policies[0]}"
    press(window, qtbot, workspace.view, "Down")
    assert workspace.evidence.cell == cell_of(workspace, "memory", 1), "it follows"


def test_a_click_opens_the_evidence(workspace: CompareWorkspace, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    at = workspace.view.visualRect(workspace.matrix.index_of(cell_of(workspace, "right", 2))).center()
    qtbot.mouseClick(workspace.view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert workspace.evidence.cell == cell_of(workspace, "right", 2)


@pytest.mark.slow  # compiles a policy
def test_a_cell_is_measured_and_shown_again_at_the_next_start(
    workspace: CompareWorkspace, open_window: Callable[..., Window], qtbot: Any
) -> None:
    from PySide6.QtCore import Qt

    from foliolab.gui.compare.delegate import button_of

    cell = cell_of(workspace, "precise")
    from PySide6.QtCore import QRectF

    button = button_of(QRectF(workspace.view.visualRect(workspace.matrix.index_of(cell)))).center().toPoint()
    qtbot.mouseClick(workspace.view.viewport(), Qt.MouseButton.LeftButton, pos=button)
    assert workspace.matrix.state(cell)
    qtbot.waitUntil(lambda: not workspace.queue.running, timeout=SECONDS)
    answer = workspace.matrix.answer(cell)
    assert answer.known and answer.figure and answer.command[:2] == ("foliolab", "precision")
    other: Any = open_window().workspaces["compare"]
    other.rows.fill_now()
    assert other.matrix.answer(cell).figure == answer.figure


def test_an_answer_about_an_older_text_says_so(workspace: CompareWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    from foliolab.gui.compare import measure, store

    monkeypatch.setattr(measure, "_execution", lambda: "interpreted")
    monkeypatch.setattr(measure, "MMS", "2")
    said: list[Any] = []
    cell = cell_of(workspace, "precise", 1)
    measure.measure([cell], workspace.collector.baseline, (), said.append)
    kept = msgspec.json.decode(said[-1].kept, type=store.Kept)
    store.keep(msgspec.structs.replace(kept, digests={cell.policy: "another"}))
    workspace.refresh()
    workspace.rows.fill_now()
    answer = workspace.matrix.answer(cell)
    assert answer.known and answer.old and "older text" in answer.text
    assert "Measured on" in answer.sentence and "by FolioLab" in answer.sentence


def test_measuring_can_be_stopped(workspace: CompareWorkspace, window: Window, qtbot: Any) -> None:
    workspace.measuring.measure_all()
    assert {cell.question for cell in workspace.matrix.busy()} == {"cost", "precise", "proc"} and window.jobs.running
    assert workspace.home.stop.isVisible() and not workspace.home.measure.isVisible()
    window.commands.trigger("compare.stop")
    assert not workspace.matrix.busy()
    qtbot.waitUntil(lambda: not window.jobs.running, timeout=SECONDS)
    assert not workspace.queue.running


@pytest.mark.slow  # compiles a policy
def test_a_policy_that_cannot_be_compiled_costs_its_own_cell_only(
    workspace: CompareWorkspace, window: Window, qtbot: Any, tmp_path: Path
) -> None:
    from foliolab.framework.plugins import starter
    from foliolab.gui.compare.measure import Cell

    file = tmp_path / "wrong.py"
    file.write_text(starter.text("wrong").replace("nr, folio._large_mapcount", "nr, folio._no_such", 1))
    window.library.open(file)
    qtbot.waitUntil(lambda: window.library.settled, timeout=SECONDS)
    workspace.rows.fill_now()
    wrong, sound = Cell("precise", "wrong"), cell_of(workspace, "precise")
    workspace.queue.measure([wrong, sound])
    qtbot.waitUntil(lambda: not workspace.queue.running, timeout=SECONDS)
    assert not workspace.matrix.answer(wrong).known and "_no_such" in workspace.matrix.answer(wrong).sentence
    assert workspace.matrix.answer(sound).known


@pytest.mark.slow  # compiles a policy
def test_a_job_that_dies_is_that_cells_failure(workspace: CompareWorkspace, window: Window, qtbot: Any) -> None:
    import os

    from foliolab.gui.compare.matrix import MEASURING

    first, second = cell_of(workspace, "precise"), cell_of(workspace, "precise", 1)
    workspace.queue.measure([first, second])
    qtbot.waitUntil(lambda: workspace.matrix.state(first) == MEASURING, timeout=SECONDS)
    process = window.jobs.running[0].process.pid
    assert process is not None
    os.kill(process, signal.SIGKILL)
    qtbot.waitUntil(lambda: not workspace.queue.running, timeout=SECONDS)
    assert workspace.matrix.answer(first).word == "failed" and "SIGKILL" in workspace.matrix.answer(first).sentence
    assert workspace.matrix.answer(second).known


def test_the_baseline_can_be_chosen(workspace: CompareWorkspace, window: Window) -> None:
    workspace.view.setCurrentIndex(workspace.matrix.index(1, 3))
    window.commands.trigger("compare.baseline")
    workspace.rows.fill_now()
    assert workspace.matrix.answer(cell_of(workspace, "cost", 1)).word == "baseline"
    assert workspace.matrix.answer(cell_of(workspace, "cost", 0)).word != "baseline"


def test_tables_and_pictures_can_be_taken_along(workspace: CompareWorkspace, window: Window, tmp_path: Path) -> None:
    workspace.open_evidence(workspace.matrix.index_of(cell_of(workspace, "memory")))
    for what in workspace.exportables():
        for form in what.forms:
            path = tmp_path / f"{what.name}{form}"
            window.outputs.export(what, path)
            assert path.stat().st_size > 100
    lines = (tmp_path / "matrix.csv").read_text().splitlines()
    assert len(lines) == 1 + len(workspace.matrix.policies)
    assert "baseline" in lines[1]


def test_the_tours_can_be_hidden_and_shown(workspace: CompareWorkspace, window: Window) -> None:
    assert workspace.welcome.isVisible()
    workspace.welcome.close_button.click()
    assert not workspace.welcome.isVisible() and not window.settings.flag("compare/tours", True)
    window.commands.trigger("compare.tours")
    assert workspace.welcome.isVisible()


# -- result files ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two comparisons, the second of them slower throughout, and a precision."""
    import msgspec

    from foliolab.framework.plugins import registry as room
    from foliolab.framework.precision.session import PrecisionRequest
    from foliolab.framework.precision.session import precision as play
    from foliolab.framework.run.request import RunRequest
    from foliolab.framework.run.supervise import compare_run

    folder = tmp_path_factory.mktemp("results")
    registry = room.load()
    names = tuple(registry.policies)[:2]
    workload = next(iter(registry.workloads))
    request = RunRequest(names, names[0], (workload,), (2, 4), 1 << 20, 5, execution="interpreted", typed="foliolab")
    first = compare_run(request)
    # The measured times are replaced: on a busy host they scatter so much that twice as slow is no certain difference.
    steady = [msgspec.structs.replace(cell, samples=[100.0, 101.0, 102.0, 101.0, 100.0]) for cell in first.cells]
    first = msgspec.structs.replace(first, cells=steady)
    slow = [msgspec.structs.replace(cell, samples=[2 * one for one in cell.samples]) for cell in first.cells]
    first.save(folder / "first.json")
    msgspec.structs.replace(first, cells=slow).save(folder / "second.json")
    pattern = next(iter(registry.patterns.values()))
    found = play(PrecisionRequest([pattern], [registry.policy(names[0])], mms=(2,), folios=4, execution="interpreted"))
    found.save(folder / "precision.json")
    return folder / "first.json", folder / "second.json", folder / "precision.json"


@pytest.fixture
def small(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> str:
    """All policies together are one, and how precise it is was measured before. Returns its name."""
    from foliolab.framework.precision.result import PrecisionResult
    from foliolab.gui.compare import measure

    found = PrecisionResult.load(files[2])
    monkeypatch.setattr(measure, "everyone", lambda registry: [found.policies[0].name])
    monkeypatch.setattr(measure, "TOGETHER", {"precise": 1.0})
    monkeypatch.setitem(measure.WAYS, "precise", lambda *arguments: found)
    return found.policies[0].name


def test_what_is_measured_here_takes_the_references_place(workspace: CompareWorkspace, small: str) -> None:
    import msgspec

    from foliolab.gui.compare import measure, store

    said: list[Any] = []
    measure.measure([measure.Cell("precise", store.EVERY)], small, (), said.append)
    (done,) = [one for one in said if isinstance(one, measure.Done)]
    assert store.keep(msgspec.json.decode(done.kept, type=store.Kept))
    workspace.refresh()
    workspace.rows.fill_now()
    answers = {policy: workspace.matrix.answer(measure.Cell("precise", policy)) for policy in workspace.matrix.policies}
    assert not answers.pop(small).reference and all(answer.reference for answer in answers.values())


def test_the_reference_is_what_the_command_writes(small: str, tmp_path: Path) -> None:
    import gzip

    from typer import Typer
    from typer.testing import CliRunner

    from foliolab.gui import verb
    from foliolab.gui.compare.reference import Reference

    app = Typer()
    app.command()(verb.run)
    done = CliRunner().invoke(app, ["--save-reference", str(tmp_path / "one.json.gz")])
    assert done.exit_code == 0, done.output
    made = Reference.decode(gzip.decompress((tmp_path / "one.json.gz").read_bytes()), "one")
    assert made.machine.cpu and made.date and made.about("precise", [small])
    assert not made.about("precise", [small, "another"])


def test_progress_never_goes_back() -> None:
    from foliolab.gui.compare import measure

    said: list[Any] = []
    report = measure._Reporter(measure.Cell("cost", ""), "", 0.25, 0.75, said.append)
    for phase, done in [("counting", 5), ("counting", 10), ("compiling", 0), ("measuring", 5), ("measuring", 10)]:
        report.last = 0.0
        report(phase, done, 10)
    found = [one.done for one in said]
    assert found == sorted(found) and found[0] > 250 and found[-1] == 750


def test_a_result_fills_the_matrix(workspace: CompareWorkspace, window: Window, files: tuple[Path, ...]) -> None:
    assert window.open(files[0])
    workspace.rows.fill_now()
    assert len(workspace.matrix.policies) == 2 and workspace.banner.isVisible()
    assert workspace.matrix.answer(cell_of(workspace, "cost", 0)).word == "baseline"
    assert workspace.matrix.answer(cell_of(workspace, "cost", 1)).rows
    workspace.opened.show_own()
    assert len(workspace.matrix.policies) > 2 and not workspace.banner.isVisible()
    window.undo.undo()
    assert workspace.banner.isVisible() and workspace.collector.opened is not None
    window.undo.undo()
    assert not workspace.banner.isVisible() and workspace.collector.opened is None


def test_a_replays_result_has_its_answer_above_the_matrix(workspace: CompareWorkspace, window: Window) -> None:
    from foliolab.framework.replay.result import ReplayResult
    from foliolab.framework.report.answer import answer

    path = Path(__file__).parents[2] / "report" / "replays" / "daemon-64-exit.json"
    assert window.open(path)
    workspace.rows.fill_now()
    sentences = answer([ReplayResult.load(path)])
    assert len(sentences) == 5
    assert all(sentence in workspace.banner.text.text() for sentence in sentences)
    row = workspace.matrix.policies.index("mm-id")
    assert workspace.matrix.answer(cell_of(workspace, "precise", row)).figure == "95.1 %"
    assert workspace.matrix.answer(cell_of(workspace, "precise", row)).rows


def test_two_results_show_the_difference(
    workspace: CompareWorkspace, window: Window, files: tuple[Path, ...], tmp_path: Path
) -> None:
    window.open(files[0])
    window.open(files[1])
    assert workspace.pages.currentWidget() is workspace.differences
    table = workspace.differences.table
    assert table.rowCount() == 4
    assert "slower" in workspace.differences.summary.text()
    (what,) = workspace.exportables()
    window.outputs.export(what, tmp_path / "d.csv")
    assert len((tmp_path / "d.csv").read_text().splitlines()) == 5
    workspace.differences.back.click()
    assert workspace.pages.currentIndex() == 0 and workspace.collector.opened is None


def test_results_of_different_kinds_are_refused(
    workspace: CompareWorkspace, window: Window, files: tuple[Path, ...]
) -> None:
    window.open(files[0])
    assert not window.open(files[2])
    assert "nothing to compare" in window.notices.all[-1].text
    assert workspace.pages.currentIndex() == 0


def test_other_json_is_none_of_ours(workspace: CompareWorkspace, tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("b.json", json.dumps({"kind": "counterexample"})), ("c.json", "[]")):
        (tmp_path / name).write_text(text)
        assert not workspace.takes(tmp_path / name)
    (tmp_path / "d.txt").write_text(json.dumps({"kind": "compare"}))
    assert not workspace.takes(tmp_path / "d.txt")


def test_both_themes_draw_crisply(workspace: CompareWorkspace, window: Window) -> None:
    from foliolab.gui.window.theme import DARK, LIGHT

    for theme in (LIGHT, DARK):
        window.themes.apply(theme)
        image = workspace.view.viewport().grab().toImage()
        colours = {image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(0, 120, 2)}
        assert theme.panel in colours and len(colours) > 8
