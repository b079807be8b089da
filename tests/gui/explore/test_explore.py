"""Explore by mouse, keyboard and command: choose, play, step, back, zoom, inspect, and errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

pytestmark = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
PATIENCE = 120_000
COMPILING = 120_000
"""Milliseconds; the first session of a machine compiles for a while."""
POLICIES = ["mm-id", "exact"]
DAEMON = Path(__file__).parents[3] / "gui" / "tours" / "false_shared.scenario"


CRASHES = """
from dataclasses import replace
from foliolab.framework.api import atomic_read, nth_page
from foliolab.policies import total_mapped_pages

def maybe_mapped_shared(folio):
    many = atomic_read(folio._large_mapcount)
    if many > 60:  # no dry run maps so many pages
        return atomic_read(nth_page(folio, many << 30)._large_mapcount) > 0
    return many > 0

POLICY = replace(total_mapped_pages.POLICY, name="crashes", models=None, mutants=None,
                 hooks=replace(total_mapped_pages.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared))
"""


def explored(window: Window, qtbot: Any, what: object) -> Any:
    window.send("explore", what)
    workspace: Any = window.here
    qtbot.waitUntil(lambda: workspace.facts is not None and workspace.run.view is not None, timeout=COMPILING)
    return workspace


@pytest.fixture
def daemon(window: Window, qtbot: Any) -> Any:
    """The scenario of the first tour: 3 processes, of which one is left."""
    return explored(window, qtbot, {"file": DAEMON, "policies": POLICIES})


def at(workspace: Any, qtbot: Any, position: int) -> None:
    qtbot.waitUntil(
        lambda: workspace.run.view.position == position and not workspace.run.view.playing, timeout=PATIENCE
    )


def test_the_empty_state_leads_to_an_example(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window.go("explore")
    workspace: Any = window.here
    assert workspace.centre.currentIndex() == 0
    qtbot.mouseClick(workspace.welcome.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: workspace.facts is not None and workspace.run.view.position > 3, timeout=COMPILING)
    assert workspace.centre.currentIndex() == 1
    assert workspace.playing
    workspace.controls.toggle()
    qtbot.waitUntil(lambda: not workspace.playing, timeout=PATIENCE)


def test_the_choice_is_played_by_the_button(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window.go("explore")
    workspace: Any = window.here
    workspace.chooser.policies.choose(POLICIES)
    workspace.chooser.mms.setValue(3)
    qtbot.mouseClick(workspace.chooser.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: workspace.facts is not None, timeout=PATIENCE)
    assert workspace.facts.policies == tuple(POLICIES)
    assert workspace.facts.mms == 3
    assert set(workspace.maps.maps) == {(lane, mm) for lane in range(2) for mm in range(3)}


def test_keys_step_forward_and_back(daemon: Any, window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    with qtbot.waitActive(window):
        window.activateWindow()
    for position in (1, 2, 3):
        qtbot.keyClick(window, Qt.Key.Key_Right)
        at(daemon, qtbot, position)
    qtbot.keyClick(window, Qt.Key.Key_Left)
    at(daemon, qtbot, 2)
    assert "forks Daemon" in daemon.run_bar.last_step.text()
    qtbot.keyClick(window, Qt.Key.Key_Home)
    at(daemon, qtbot, 0)


def test_a_false_shared_is_found_and_shown(daemon: Any, qtbot: Any) -> None:
    daemon.controls.next_wrong()
    at(daemon, qtbot, 4)  # both others have exited
    from foliolab.gui.explore.cell_styles import FALSE

    shown = daemon.maps.maps[0, 2]
    qtbot.waitUntil(lambda: bool((shown.painter.cells.styles[:16] == FALSE + 1).all()), timeout=PATIENCE)
    assert not (daemon.maps.maps[1, 2].painter.cells.styles[:16] == FALSE + 1).any(), "the exact one is right"
    qtbot.waitUntil(lambda: daemon.counters.item(0, 2).text() == "▲ 1", timeout=PATIENCE)
    assert daemon.counters.item(1, 2).text() == "0"
    assert daemon.run_bar.slider.marks._positions.size, "where policies disagree is marked"
    assert daemon.run_bar.slider.marks._wrongs.size, "and where one is wrong"
    daemon.controls.show_truth(True)
    assert not (shown.painter.cells.styles[:16] == FALSE + 1).any()
    daemon.controls.next_wrong()
    qtbot.waitUntil(lambda: any("no further" in one.text for one in daemon.desk.notices.all), timeout=PATIENCE)
    daemon.controls.previous_wrong()


def test_the_slider_goes_anywhere(daemon: Any, qtbot: Any) -> None:
    daemon.run_bar.slider.slider.setValue(5)
    at(daemon, qtbot, 5)
    daemon.run_bar.slider.slider.setValue(1)
    at(daemon, qtbot, 1)


def test_it_plays_to_the_end_and_from_the_start_again(daemon: Any, qtbot: Any) -> None:
    daemon.run_bar.speed.setCurrentIndex(daemon.run_bar.speed.count() - 1)
    daemon.controls.toggle()
    at(daemon, qtbot, daemon.facts.nr_steps)
    daemon.run_bar.speed.setCurrentIndex(0)
    daemon.controls.toggle()
    qtbot.waitUntil(lambda: daemon.playing and daemon.run.view.position < 3, timeout=PATIENCE)
    assert daemon.desk.commands.action("explore.play").text() == "&Pause"
    daemon.controls.toggle()
    qtbot.waitUntil(lambda: not daemon.playing, timeout=PATIENCE)


def test_single_accesses_with_their_lines(daemon: Any, qtbot: Any) -> None:
    daemon.controls.goto(2)
    at(daemon, qtbot, 2)
    qtbot.waitUntil(
        lambda: daemon.inspector.now is not None and len(daemon.inspector.now.accesses) > 3, timeout=PATIENCE
    )
    nr = len(daemon.inspector.now.accesses)
    assert nr > 3
    daemon.controls.step_access(-1)  # after the step all accesses are done
    assert daemon.accesses.at == nr - 2, "one access back goes one access back"
    at(daemon, qtbot, 2)
    daemon.controls.step_access(-1)
    assert daemon.accesses.at == nr - 3
    assert daemon.inspector.source.toPlainText(), "the policy's or the engine's text is shown"
    for _ in range(3):
        daemon.controls.step_access(1)
    at(daemon, qtbot, 3)
    qtbot.waitUntil(lambda: daemon.accesses.at == 0, timeout=PATIENCE)
    daemon.controls.step_access(-1)
    at(daemon, qtbot, 2)
    qtbot.waitUntil(lambda: daemon.accesses.at == nr - 1, timeout=PATIENCE)


def test_a_field_leads_to_where_it_was_last_written(daemon: Any, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    daemon.controls.goto(4)
    at(daemon, qtbot, 4)
    daemon.inspecting.pick(0, 2, 0)
    inspector = daemon.inspector
    qtbot.waitUntil(lambda: bool(inspector.now and inspector.now.folio and inspector.now.accesses), timeout=PATIENCE)
    picture = inspector.picture

    def click(name: str) -> None:
        field = next(one for one in inspector.now.folio.fields if one.name == name)
        inspector.scroll_area.ensureVisible(*picture.area_of(field).center().toTuple())
        qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=picture.area_of(field).center())

    click("_large_mapcount")  # this step, an exit, changed it
    qtbot.waitUntil(lambda: wrote(inspector) == "_large_mapcount", timeout=PATIENCE)
    at(daemon, qtbot, 4)
    daemon.controls.goto(5)  # the daemon's write copies a page, and leaves the map counts of the others
    at(daemon, qtbot, 5)
    qtbot.waitUntil(lambda: inspector.now.page is not None and inspector.now.page.page == 0, timeout=PATIENCE)
    daemon.inspecting.pick(0, 2, 3)
    qtbot.waitUntil(lambda: inspector.now.page is not None and inspector.now.page.page == 3, timeout=PATIENCE)
    click("_mm_id_mapcount[1]")
    qtbot.waitUntil(lambda: daemon.run.view.position < 5 and wrote(inspector) == "_mm_id_mapcount[1]", timeout=PATIENCE)


def wrote(inspector: Any) -> str:
    """The field that the selected access wrote."""
    item = inspector.accesses.currentItem()
    access = inspector.now.accesses[item.number] if item is not None else None
    return access.field.rpartition(".")[2] if access is not None and access.writes else ""


def test_next_wrong_inspects_the_page_and_the_policy_that_are_wrong(daemon: Any, qtbot: Any) -> None:
    daemon.inspecting.pick(1, 0, 5)
    daemon.controls.next_wrong()
    at(daemon, qtbot, 4)
    qtbot.waitUntil(lambda: daemon.inspecting.picked == (2, 0), timeout=PATIENCE)
    qtbot.waitUntil(lambda: daemon.inspector.now.verdict == "false shared", timeout=PATIENCE)
    assert daemon.inspector.now.policy == "mm-id" and daemon.maps.maps[0, 2].painter.selected == 0
    has_menus(daemon, qtbot)


def has_menus(workspace: Any, qtbot: Any) -> None:
    """Pages, fields, accesses, curves and counters have context menus; that of a page chooses it."""
    from pointing import COMMON, asked, names

    inspector = workspace.inspector
    for part, own in (
        (inspector.picture, "explore.writer"), (inspector.accesses, "explore.origin"),
        (inspector.why.rows, "explore.origin"), (workspace.counters, "explore.next"),
        (workspace.plot, "explore.play"), (workspace.run_bar.slider, "explore.previous"),
    ):  # fmt: skip
        assert COMMON | {own, "file.share"} <= names(asked(part))
    view = workspace.maps.maps[1, 2]
    box = view.where.rect((*view.where.tiles.cell_of(0), 1, 1))
    assert "explore.origin" in names(asked(view, box.center().toPoint()))
    qtbot.waitUntil(lambda: inspector.now.policy == POLICIES[1], timeout=PATIENCE)
    inspector.tabs.setCurrentIndex(0)
    workspace.desk.commands.trigger("explore.origin")
    qtbot.waitUntil(lambda: workspace.run.view.position in (1, 2, 3), timeout=PATIENCE)


def test_a_click_inspects_and_hovering_tells(daemon: Any, window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt

    daemon.controls.goto(2)
    at(daemon, qtbot, 2)
    view = daemon.maps.maps[1, 0]
    point = view.where.rect((*view.where.tiles.cell_of(3), 1, 1)).center().toPoint()
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=point)
    assert view.painter.selected == 3
    inspector = daemon.inspector
    qtbot.waitUntil(
        lambda: bool(inspector.now and inspector.now.page and inspector.now.page.page == 3), timeout=PATIENCE
    )
    assert daemon.inspector.now.folio is not None
    assert daemon.inspector.now.policy == POLICIES[1], "the policy of the map that was clicked"
    view.hovered.emit(0, QPoint())
    qtbot.waitUntil(lambda: "of Shell is page 0" in daemon.statusBar().currentMessage(), timeout=PATIENCE)


def test_the_keyboard_moves_on_the_map_and_chooses(daemon: Any, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    daemon.controls.goto(1)
    at(daemon, qtbot, 1)
    view = daemon.maps.maps[0, 0]
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert view.painter.page == 1
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert view.painter.selected == 1
    scale = view.where.scale
    qtbot.keyClick(view, Qt.Key.Key_Plus)
    larger = view.where.scale
    assert larger > scale
    daemon.maps.viewport.fit()
    assert view.where.scale < larger and daemon.maps.viewport.seen.contains(daemon.maps.viewport.whole)


def test_close_up_each_page_has_its_mapcount_and_a_folio_its_fields(daemon: Any, qtbot: Any) -> None:
    daemon.controls.goto(2)
    at(daemon, qtbot, 2)
    daemon.maps.tabs.setCurrentIndex(1)
    view = daemon.maps.maps[0, 0]
    daemon.maps.look(0, 4)
    qtbot.waitUntil(lambda: bool(view.painter.pages), timeout=PATIENCE)
    assert view.painter.pages[0].mapcount == 3
    qtbot.waitUntil(lambda: bool(view.painter.folios), timeout=PATIENCE)
    view.grab()  # draws all of it


def test_undo_brings_back_the_choice_before(daemon: Any, window: Window, qtbot: Any) -> None:
    explored(window, qtbot, {"file": DAEMON, "policies": ["exact", "page-mapcount"]})
    qtbot.waitUntil(lambda: daemon.facts is not None and daemon.facts.policies[1] == "page-mapcount", timeout=PATIENCE)
    window.undo.undo()
    qtbot.waitUntil(lambda: daemon.facts is not None and daemon.facts.policies == tuple(POLICIES), timeout=PATIENCE)
    window.undo.redo()
    qtbot.waitUntil(lambda: daemon.facts is not None and daemon.facts.policies[0] == "exact", timeout=PATIENCE)


def test_the_command_that_repeats_it(daemon: Any) -> None:
    assert daemon.command_line == f"foliolab run {DAEMON} --policies mm-id,exact"


def test_pictures_and_tables(daemon: Any, qtbot: Any, tmp_path: Path) -> None:
    from foliolab.gui.window.exporting import export

    daemon.controls.goto(3)
    at(daemon, qtbot, 3)
    offered = list(daemon.exportables())
    assert {"maps", "precision", "counters"} <= {one.name for one in offered}
    for one in offered:
        for form in one.forms:
            export(one, tmp_path / f"{one.name}{form}")
            assert (tmp_path / f"{one.name}{form}").stat().st_size > 50


@pytest.mark.parametrize("policies", [[], ["no-such-policy"], ["exact"] * 5])
def test_a_choice_that_is_none_is_a_notice(window: Window, qtbot: Any, policies: list[str]) -> None:
    from foliolab.gui.explore.choice import Choice

    window.go("explore")
    workspace: Any = window.here
    workspace.start(Choice("scenario", str(DAEMON), tuple(policies)))
    assert window.notices.all[-1].severity == "error"
    assert workspace.run is None


def test_a_damaged_scenario_is_a_notice(window: Window, qtbot: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.scenario"
    file.write_text("scenario bad\nregion heap: 1 x 64K pte\nA: flies\n")
    window.open(file)
    qtbot.waitUntil(
        lambda: any(":3" in one.text or "flies" in one.text for one in window.notices.all), timeout=PATIENCE
    )
    assert window.workspaces["explore"].centre.currentIndex() == 0  # type: ignore[attr-defined]


def test_a_policy_file_edited_into_nonsense_loses_nothing(
    open_window: Callable[..., Window], qtbot: Any, tmp_path: Path
) -> None:
    text = (DAEMON.parent / "lost_update.py").read_text()
    file = tmp_path / "mine.py"
    file.write_text(text)
    window = open_window(file)
    workspace = explored(window, qtbot, {"file": DAEMON, "policies": ["lost-update", "exact"]})
    workspace.controls.goto(3)
    at(workspace, qtbot, 3)
    with qtbot.waitSignal(window.library.changed, timeout=PATIENCE):
        file.write_text("def f(:\n")
    assert any("cannot be used now" in one.text for one in window.notices.all)
    assert workspace.run is not None and workspace.run.view.position == 3, "the run stays"
    with qtbot.waitSignal(window.library.changed, timeout=PATIENCE):
        file.write_text(text.replace("store(folio._shared, 1)", "store(folio._shared, 2)"))
    qtbot.waitUntil(lambda: workspace.facts is not None and workspace.run.view is not None, timeout=PATIENCE)
    at(workspace, qtbot, 3)  # played again, up to the same step


def test_a_policy_that_goes_wrong_is_a_lane_with_an_error(
    open_window: Callable[..., Window], qtbot: Any, tmp_path: Path
) -> None:
    text = (DAEMON.parent / "lost_update.py").read_text()
    file = tmp_path / "mine.py"
    file.write_text(text.replace("    owner = load(folio._owner)\n", "    owner = load(folio._nowhere)\n"))
    window = open_window(file)
    workspace = explored(window, qtbot, {"file": DAEMON, "policies": ["lost-update", "exact"]})
    workspace.controls.goto(3)
    at(workspace, qtbot, 3)
    qtbot.waitUntil(lambda: workspace.counters.rowCount() == 2, timeout=PATIENCE)
    assert "stopped" in workspace.counters.item(0, 1).text()
    assert "100" in workspace.counters.item(1, 1).text(), "the other one goes on"


def test_an_answer_that_never_comes_is_not_waited_for(daemon: Any) -> None:
    from foliolab.gui.explore.queries import facts, nothing

    run = daemon.run
    answers: list[Any] = []
    run.ask("facts", answers.append, facts)
    run.session.close()
    run.ask("nothing", answers.append, nothing)
    run.pull()
    run.leave()
    assert not answers and not run.is_open("facts") and not run.is_open("nothing")


def test_closing_while_it_plays_ends_it(window: Window, qtbot: Any) -> None:
    workspace = explored(window, qtbot, {"pattern": "random", "policies": POLICIES, "play": True})
    worker = workspace.run.session
    window.close()
    assert not worker.process.is_alive()


@pytest.mark.slow
def test_native_code_that_crashes_is_a_notice_and_the_window_goes_on(
    open_window: Callable[..., Window], qtbot: Any, tmp_path: Path
) -> None:
    file = tmp_path / "crashes.py"
    file.write_text(CRASHES)
    window = open_window(file)
    workspace = explored(
        window, qtbot, {"pattern": "snapshot", "mms": 8, "policies": ["crashes", "exact"], "play": True}
    )
    qtbot.waitUntil(lambda: any("SIGSEGV" in one.text for one in window.notices.all), timeout=COMPILING)
    text = next(one.text for one in window.notices.all if "SIGSEGV" in one.text)
    assert "crashes" in text
    assert set(workspace.chooser.choice().policies) == {"crashes", "exact"}, "what was chosen is kept"
    explored(window, qtbot, {"pattern": "random", "policies": POLICIES})
