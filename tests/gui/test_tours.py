"""The tours: each of its stops shows something, and what they say is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.plugins import registry
from foliolab.framework.verify.explored.attack import Explored

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


def test_a_tour_leads_through_its_stops_and_ends(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    from foliolab.gui.tours.tour import TOURS

    (tour,) = [one for one in TOURS if one.name == "false-shared"]
    window.commands.trigger(f"help.tour.{tour.name}")
    guide = window.guide
    stops = tour.stops(window.library)
    for at, stop in enumerate(stops):
        assert guide.isVisible()
        assert guide.text.text() == stop.text
        assert f"{at + 1} of {len(stops)}" in guide.title.text()
        assert window.here.name == stop.workspace
        qtbot.mouseClick(guide.next, Qt.MouseButton.LeftButton)
    assert not guide.isVisible()


def test_one_can_go_back_and_leave(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    from foliolab.gui.tours.tour import TOURS

    window.tour(TOURS[0].name)
    assert not window.guide.back.isEnabled()
    window.guide.go_on()
    qtbot.mouseClick(window.guide.back, Qt.MouseButton.LeftButton)
    assert window.guide.at == 0
    qtbot.mouseClick(window.guide.close_, Qt.MouseButton.LeftButton)
    assert not window.guide.isVisible()


def test_what_a_tour_points_at_is_there(window: Window) -> None:
    from PySide6.QtWidgets import QWidget

    from foliolab.gui.tours.tour import TOURS

    for name in ("explore", "benchmark", "verify"):
        window.workspaces[name]._furnish()  # type: ignore[attr-defined]
    for tour in TOURS:
        for stop in tour.stops(window.library):
            if stop.look:
                assert window.workspaces[stop.workspace].findChild(QWidget, stop.look) is not None, stop.look
