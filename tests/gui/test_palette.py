"""The palette and the search fields: everything is found by typing a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.gui.window.matching import rank, says

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

DAEMON = Path(__file__).parents[2] / "gui" / "tours" / "false_shared.scenario"
PATIENCE = 120_000


def titles(window: Window) -> list[str]:
    shown = window.palette_.list
    return [shown.item(row).text() for row in range(shown.count())]


def typed(window: Window, qtbot: Any, text: str) -> None:
    window.palette_.ask()
    qtbot.keyClicks(window.palette_.entry, text)


def test_letters_match_in_their_order_and_words_in_any() -> None:
    assert rank("dl", "Dark or light") is not None and rank("ld", "Dark l") is None
    whole, scattered = rank("play", "Play"), rank("play", "Copy a layer of it")
    assert whole is not None and (scattered is None or whole < scattered)
    assert says("light DARK", "Dark or light") and not says("dark red", "Dark or light")


@pytest.mark.parametrize(
    ("text", "title", "place"),
    [
        ("mm-id-sl", "Policy: mm-id-slots", "policies"),
        ("child-reuse", "Workload: child-reuse-byte", "benchmark"),
        ("to the workspace benchmark", "", ""),
        ("explore step back", "Explore: Step back", "explore"),
    ],
)
def test_it_shows_what_was_typed_whatever_is_in_front(
    window: Window, qtbot: Any, text: str, title: str, place: str
) -> None:
    from PySide6.QtCore import Qt

    typed(window, qtbot, text)
    if not title:
        assert not titles(window)
        return
    assert titles(window)[0].startswith(title)
    qtbot.keyClick(window.palette_.entry, Qt.Key.Key_Return)
    assert window.here.name == place and not window.palette_.isVisible()


def test_every_policy_workload_pattern_and_scenario_is_in_it(window: Window) -> None:
    window.palette_.ask()
    offered = {(one.kind, one.text) for one in window.palette_._things}
    registry = window.library.registry
    assert offered >= {("Policy", name) for name in registry.policies}
    assert offered >= {("Workload", name) for name, one in registry.workloads.items() if not one.program}
    assert offered >= {("Sharing pattern", name) for name in registry.patterns}
    assert offered >= {("Scenario", name) for name in registry.scenarios}
    assert ("Go", "Verify") in offered
    window.palette_.hide()


def test_a_file_that_was_opened_is_found_again(window: Window, qtbot: Any, tmp_path: Path) -> None:
    from PySide6.QtCore import Qt

    file = tmp_path / "mine-again.py"
    file.write_text("raise ValueError('broken on purpose')\n")
    window.open(file)
    window.go("compare")
    typed(window, qtbot, "mine-again")
    assert titles(window)[0] == "Recent file: mine-again.py"
    qtbot.keyClick(window.palette_.entry, Qt.Key.Key_Return)
    assert window.here.name == "policies"


@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
def test_steps_are_found_by_their_number_and_by_their_words(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window.send("explore", {"file": DAEMON, "policies": ["mm-id", "exact"]})  # what other tests compiled
    explore: Any = window.here
    qtbot.waitUntil(lambda: explore.facts is not None and explore.run.view is not None, timeout=PATIENCE)
    window.go("compare")
    typed(window, qtbot, "shell exits")
    qtbot.waitUntil(lambda: any(text.startswith("Step 4: ") for text in titles(window)), timeout=PATIENCE)
    row = next(at for at, text in enumerate(titles(window)) if text.startswith("Step 4: "))
    window.palette_.list.setCurrentRow(row)
    qtbot.keyClick(window.palette_.entry, Qt.Key.Key_Return)
    assert window.here.name == "explore"
    qtbot.waitUntil(lambda: explore.run.view.position == 4, timeout=PATIENCE)
    typed(window, qtbot, "2")
    qtbot.waitUntil(lambda: "Go to: step 2 of 7" in titles(window), timeout=PATIENCE)
    window.palette_.hide()


def test_lists_have_search_fields(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window.go("explore")
    explore: Any = window.here
    window.commands.trigger("view.search")
    chooser = explore.chooser.policies
    assert window.focusWidget() is chooser.search
    qtbot.keyClicks(chooser.search, "mm-id-slots")
    shown = [row for row in range(chooser.list.count()) if not chooser.list.item(row).isHidden()]
    assert [chooser.list.item(row).text() for row in shown] == ["mm-id-slots"]
    chooser.refill()
    qtbot.waitUntil(lambda: sum(not chooser.list.item(row).isHidden() for row in range(chooser.list.count())) == 1)
    qtbot.keyClick(chooser.search, Qt.Key.Key_Return)
    assert chooser.list.hasFocus() and chooser.list.currentItem().text() == "mm-id-slots"
    qtbot.keyClick(chooser.search, Qt.Key.Key_Escape)
    assert not any(chooser.list.item(row).isHidden() for row in range(chooser.list.count()))

    window.go("policies")
    window.commands.trigger("view.search")
    field, tree = window.focusWidget(), window.here.tree  # type: ignore[attr-defined]
    qtbot.keyClicks(field, "no such policy")
    assert all(tree.topLevelItem(at).isHidden() for at in range(tree.topLevelItemCount()))
    window.commands.trigger("view.search")
    qtbot.keyClicks(field, "mm-id-slots")
    qtbot.keyClick(field, Qt.Key.Key_Down)
    assert tree.entry.name == "mm-id-slots"


def test_what_to_play_is_found_by_a_part_of_its_name(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window.go("explore")
    source = window.here.chooser.source  # type: ignore[attr-defined]
    entry = source.lineEdit()
    entry.selectAll()
    qtbot.keyClicks(entry, "double-fork-in")
    qtbot.keyClick(entry, Qt.Key.Key_Return)
    assert source.currentText() == "daemon-double-fork-in-order (scenario)"
    entry.selectAll()
    qtbot.keyClicks(entry, "nothing like this")
    qtbot.keyClick(entry, Qt.Key.Key_Return)
    assert source.currentText() == "daemon-double-fork-in-order (scenario)", "what is no entry is taken back"
