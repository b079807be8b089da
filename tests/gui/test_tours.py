"""The tours: each of its stops shows something, and what they say is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.plugins import registry
from foliolab.framework.verify.explored.attack import Explored

PATIENCE = 120_000
needs_native = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window


def test_the_race_of_the_tour_is_found_and_is_short(until_refuted: Callable[..., Any]) -> None:
    from foliolab.gui.tours.tour import RACE

    scheme = registry.load([RACE]).policy("lost-update")
    findings = until_refuted(Explored(), scheme, 120.0, 256 << 20)
    (refuted,) = [one for one in findings if one.verdict == "refuted"]
    assert refuted.claim == "safe"
    assert refuted.counterexample is not None
    assert len(refuted.counterexample.threads) == 2
    assert all(len(thread) == 1 for thread in refuted.counterexample.threads), "two mappings are enough"


def test_policies_are_chosen_by_what_they_claim(qtbot: Any) -> None:
    from PySide6.QtCore import QObject

    from foliolab.gui.tours import choice
    from foliolab.gui.window.jobs import Jobs
    from foliolab.gui.window.library import Library

    library = Library([], Jobs(QObject()))
    claims = {name: library.scheme(name).capabilities for name in (p.name for p in library.policies)}
    assert "exact" in claims[choice.exact(library)]
    assert "safe" in claims[choice.imprecise(library)] and "exact" not in claims[choice.imprecise(library)]
    assert "page-mapcount" in claims[choice.with_page_mapcounts(library)]
    assert "page-mapcount" not in claims[choice.without_page_mapcounts(library)]
    with pytest.raises(UsageError, match="no installed policy flies"):
        choice.first(library, "flies", lambda claims: False)


def settle(qtbot: Any, window: Window, name: str) -> None:
    """Wait until a workspace shows what a stop opens."""
    workspace = window.workspaces[name]

    def is_open() -> bool:
        seen = workspace.on_screen()
        return name != "explore" or seen["position"] == 0 or bool(seen["inspected"])

    qtbot.waitUntil(is_open, timeout=PATIENCE)
    qtbot.wait(400)


@needs_native
@pytest.mark.slow
def test_a_newcomer_follows_every_tour_word_for_word(
    open_window: Callable[..., Window], qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    from newcomer import Newcomer
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QDesktopServices

    from foliolab.gui.tours.tour import TOURS

    edited: list[Path] = []

    def edit(url: Any) -> bool:
        edited.append(Path(url.toLocalFile()))
        return True

    monkeypatch.setattr(QDesktopServices, "openUrl", edit)
    before = {tour.example: tour.example.read_bytes() for tour in TOURS if tour.example is not None}
    window = open_window()
    window.resize(1280, 720)
    guide: Any = window.guide
    for tour in TOURS:
        window.go("compare")
        newcomer = Newcomer(window, lambda: edited[-1] if edited else None)
        newcomer.does(f"Press “{tour.title}”")
        qtbot.waitUntil(guide.isVisible, timeout=PATIENCE)
        stops = tour.stops(window.library, window.guide.example)
        for at, stop in enumerate(stops):
            assert f"{at + 1} of {len(stops)}: {stop.title}" in guide.title.text() and guide.text.text() == stop.text
            assert window.here.name == stop.workspace
            settle(qtbot, window, stop.workspace)
            assert guide.done == guide.next.isEnabled() == (stop.show is None), stop.title
            assert bool(newcomer.does(stop.text)) == (stop.show is not None), stop.title
            qtbot.waitUntil(lambda: guide.done, timeout=PATIENCE)
            qtbot.wait(50)  # what came with it is drawn
            assert newcomer.does_not_see(stop.text) == [], stop.title
            assert (window.width(), window.height()) == (1280, 720) and cut_off(guide) == [], stop.title
            qtbot.mouseClick(guide.next, Qt.MouseButton.LeftButton)
        assert not guide.isVisible()
    assert {example: example.read_bytes() for example in before} == before, "they work on copies"


def be_small(window: Window, qtbot: Any) -> None:
    """Make the window as small as it has to work, with its docks closed; Explore is in front."""
    for name in (*window.workspaces, "explore"):
        window.go(name)
        for dock in window.here.docks.values():
            dock.hide()
    qtbot.wait(50)
    window.resize(640, 480)
    qtbot.wait(50)


def cut_off(guide: Any) -> list[str]:
    """What of a guide is cut off, or lies on other parts."""
    from clipping import clipped, overlaps
    from PySide6.QtWidgets import QWidget

    parts = [one for one in (guide, *guide.findChildren(QWidget)) if one.isVisible()]
    return [fault for one in parts for fault in (*clipped(one), *overlaps(one))]


@needs_native
@pytest.mark.slow
def test_a_tour_shows_what_it_asks_for_and_goes_on_where_it_was_left(
    open_window: Callable[..., Window], qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from PySide6.QtCore import Qt

    from foliolab.gui.tours.tour import TOURS

    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    window = open_window()
    guide: Any = window.guide

    def click(button: Any) -> None:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    tour = TOURS[0]
    window.tour(tour.name)
    assert guide.at == 0 and not guide.back.isEnabled() and guide.again.isHidden()
    be_small(window, qtbot)
    assert (window.width(), window.height()) == (640, 480) and cut_off(guide) == []
    settle(qtbot, window, "explore")
    assert not guide.done
    click(guide.show_me)
    qtbot.waitUntil(lambda: guide.done, timeout=PATIENCE)
    click(guide.next)
    assert cut_off(guide) == []
    window.resize(1280, 720)
    qtbot.wait(50)
    assert guide.again.isVisible() and cut_off(guide) == []
    click(guide.close_)
    assert guide.isHidden() and guide.tour is None
    window.tour(tour.name)
    assert guide.at == 1 and not guide.done, "it waits again"
    settle(qtbot, window, "explore")
    click(guide.show_me)
    qtbot.waitUntil(lambda: guide.done, timeout=PATIENCE)
    inspector = window.workspaces["explore"].inspector  # type: ignore[attr-defined]
    assert inspector.now.verdict == "false shared" and inspector.why.isVisible()
    click(guide.back)
    assert guide.at == 0 and guide.isVisible()
    click(guide.next)
    assert guide.at == 0, "a stop that is not done yet keeps the tour"
    for kept, shown in ((-1, 0), (99, 0), (3, 3)):
        window.settings.keep(f"tours/{tour.name}", kept)
        window.tour(tour.name)
        assert guide.at == shown
    click(guide.again)
    assert guide.at == 0 and guide.again.isHidden()


def test_every_tour_compiles_ahead_and_the_race_what_attacks_and_the_check_need(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foliolab.framework.testing import alike
    from foliolab.framework.verify.explored import native
    from foliolab.gui.tours.ahead import compile_ahead
    from foliolab.gui.tours.tour import RACE, TOURS

    assert all(tour.policies(window.library) for tour in TOURS)
    compiled: list[str] = []
    steps: list[Any] = []
    monkeypatch.setattr(native, "native", compiled.append)
    monkeypatch.setattr(alike, "difference", lambda scheme: compiled.append(scheme.name))
    compile_ahead(TOURS[-1].policies(window.library), [str(RACE)], RACE, steps.append)
    assert compiled == [*native.SEARCHES, "lost-update"]
    assert [(step.done, step.whole) for step in steps] == [(at, len(compiled)) for at in range(len(compiled))]


def test_a_copy_is_made_kept_and_never_overwritten(tmp_path: Path) -> None:
    from foliolab.gui.tours.tour import TOURS
    from foliolab.gui.tours.working_copy import working_copy

    tour = TOURS[2]
    assert tour.example is not None and tour.repaired is not None
    text = tour.example.read_text()
    copy = working_copy(tour, tmp_path / "tours", anew=True)
    assert copy.read_text() == text and copy != tour.example
    copy.write_text(tour.repaired(text))
    assert working_copy(tour, tmp_path / "tours", anew=False).read_text() == tour.repaired(text)
    assert working_copy(tour, tmp_path / "tours", anew=True).read_text() == text
    assert len(list(copy.parent.iterdir())) == 1, "what the tour itself asks for is no work to keep"
    for number in (1, 2):
        copy.write_text(f"my work {number}")
        assert working_copy(tour, tmp_path / "tours", anew=True).read_text() == text
        assert copy.with_name(f"lost_update-{number}.py").read_text() == f"my work {number}"
    copy.write_bytes(b"\xff")
    assert working_copy(tour, tmp_path / "tours", anew=True).read_text() == text
    assert copy.with_name("lost_update-3.py").read_bytes() == b"\xff"
    (tmp_path / "file").write_text("")
    with pytest.raises(FolioLabError, match="cannot be written"):
        working_copy(tour, tmp_path / "file" / "tours", anew=True)


def test_the_repair_of_the_race_is_what_the_words_say() -> None:
    from foliolab.gui.tours.tour import LOCKING, RACE, repaired

    text = RACE.read_text()
    assert text.count(LOCKING[0]) == 1
    once = repaired(text)
    assert repaired(once) == once != text
    compile(once, "repaired", "exec")


def test_what_a_tour_frames_is_there(window: Window) -> None:
    from PySide6.QtWidgets import QWidget

    from foliolab.gui.tours.tour import TOURS

    for name in ("explore", "benchmark", "verify"):
        window.workspaces[name]._furnish()  # type: ignore[attr-defined]
    for tour in TOURS:
        for stop in tour.stops(window.library, Path("absent")):
            assert window.workspaces[stop.workspace].findChild(QWidget, stop.look) is not None, stop.look


def test_a_tour_without_its_policy_says_which_is_missing(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(window.library), "policies", [])
    window.commands.trigger("help.tour.false-shared")
    assert window.guide.isHidden() and window.guide.tour is None
    assert any("no installed policy" in one.text for one in window.notices.all)


def test_a_broken_copy_is_kept_and_the_tour_begins_again(
    open_window: Callable[..., Window], qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    window = open_window()
    copy = tmp_path / "data" / "tours" / "lost_update.py"
    copy.parent.mkdir(parents=True)
    copy.write_text("POLICY = (\n")
    window.settings.keep("tours/race", 3)
    window.tour("race")
    qtbot.waitUntil(lambda: any("cannot be used" in one.text for one in window.notices.all), timeout=PATIENCE)
    assert window.guide.isHidden() and copy.read_text() == "POLICY = (\n"
    notice = next(one for one in window.notices.all if "cannot be used" in one.text)
    notice.accept.click()
    qtbot.waitUntil(lambda: window.guide.isVisible() and window.guide.at == 0, timeout=PATIENCE)
    assert copy.with_name("lost_update-1.py").read_text() == "POLICY = (\n"
    assert "lost-update" in window.library.registry.policies
