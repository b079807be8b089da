"""Context menus: they have the actions of the menu bar, and concern what was under the pointer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing

if TYPE_CHECKING:
    from pathlib import Path

    from foliolab.gui.main_window import Window

PATIENCE = 120_000
COMMON = {"edit.text", "edit.bookmark", "file.command", "file.export"}


def asked(widget: Any, point: Any = None) -> Any:
    """The context menu that a right click at a point of a widget opens; by default in the middle."""
    from PySide6.QtGui import QContextMenuEvent
    from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QMenu
    from shiboken6 import isValid

    target = widget.viewport() if isinstance(widget, QAbstractScrollArea) else widget
    point = point if point is not None else target.rect().center()
    for one in widget.window().findChildren(QMenu):
        one.setProperty("before", True)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, point, target.mapToGlobal(point))
    QApplication.sendEvent(target, event)
    made = [one for one in widget.window().findChildren(QMenu) if isValid(one) and not one.property("before")]
    assert len(made) == 1, f"{widget.accessibleName()}: {len(made)} menus"
    return made[0]


def names(menu: Any) -> set[str]:
    found = {action.objectName() for action in menu.actions() if not action.isSeparator()}
    menu.close()
    return found


def test_what_is_at_hand_at_a_start_has_a_menu(window: Window, qtbot: Any) -> None:
    workspaces: Any = window.workspaces
    expected = {
        "compare": (workspaces["compare"].view, "compare.evidence"),
        "benchmark": (workspaces["benchmark"].controls.workloads, "benchmark.start"),
        "policies": (workspaces["policies"].tree, "policies.edit"),
    }
    for name, (widget, own) in expected.items():
        window.go(name)
        found = names(asked(widget))
        assert COMMON | {own} <= found
        assert all(one.startswith((name, "edit.", "file.")) for one in found), "no action of another workspace"


def test_every_menu_has_commands_of_its_workspace(window: Window, qtbot: Any) -> None:
    from foliolab.gui.window.context_menus import ContextMenu

    found = 0
    for name, workspace in window.workspaces.items():
        window.go(name)
        getattr(workspace, "_furnish", lambda: None)()
        for one in workspace.findChildren(ContextMenu):
            shown = names(one.menu())
            assert shown >= COMMON and shown - COMMON, one.parent()
            found += 1
    assert found >= 20, "lists, tables, maps, folios, curves and diagrams"


def test_a_menu_has_the_actions_of_the_menu_bar(
    window: Window, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from PySide6.QtGui import QDesktopServices

    window.go("policies")
    workspace: Any = window.here
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: bool(opened.__iadd__([url.toLocalFile()])))
    group = workspace.tree.topLevelItem(0)
    item = group.child(4)
    menu = asked(workspace.tree, workspace.tree.visualItemRect(item).center())
    action = window.commands.action("policies.edit")
    assert action in menu.actions(), "the same action, not a copy"
    workspace.tree.setCurrentItem(item)
    action.trigger()
    assert opened and opened[0].endswith(".py")
    names(menu)


def test_copy_as_text_copies_what_was_pointed_at(window: Window, qtbot: Any) -> None:
    from PySide6.QtGui import QGuiApplication

    def copied(widget: Any, point: Any = None) -> str:
        names(asked(widget, point))
        window.commands.trigger("edit.text")
        return QGuiApplication.clipboard().text()

    window.go("policies")
    tree: Any = window.here.tree  # type: ignore[attr-defined]
    tree.clearSelection()
    lines = copied(tree).split("\n")
    assert lines[0] == "Policy\tState\tClaims" and any(line.startswith("mm-id\t") for line in lines)
    assert window.commands.pointed is None
    item = tree.findItems("mm-id", tree_flags(), 0)[0]
    tree.setCurrentItem(item)
    row = copied(tree, tree.visualItemRect(item).center())
    assert row.startswith("mm-id\t") and "\n" not in row
    window.go("compare")
    workspace: Any = window.here
    workspace.fill_now()
    workspace.view.setCurrentIndex(workspace.matrix.index(0, 1))
    assert copied(workspace.view) == workspace.matrix.index(0, 1).data()
    assert "false shared" in copied(workspace.home.scatter), "a picture is told in words"
    window.commands.pointed = window.menuBar()
    window.commands.trigger("edit.text")
    assert any("no text to copy" in one.text for one in window.notices.all)


def tree_flags() -> Any:
    from PySide6.QtCore import Qt

    return Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive


@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
def test_pages_fields_and_accesses_have_menus(open_window: Callable[..., Window], qtbot: Any) -> None:
    from foliolab.gui.tours.tour import DAEMON

    window = open_window()
    policies = ["no-page-mapcount", "exact"]
    window.send("explore", {"file": DAEMON, "policies": policies, "step": 4, "wrong": True})
    workspace: Any = window.here
    qtbot.waitUntil(lambda: workspace.on_screen()["inspected"] == (policies[0], "false shared"), timeout=PATIENCE)
    inspector = workspace.inspector
    for part, own in (
        (inspector.picture, "explore.writer"), (inspector.accesses, "explore.origin"),
        (inspector.why.rows, "explore.origin"), (workspace.counters, "explore.next"),
        (workspace.plot, "explore.play"), (workspace.run_bar.slider, "explore.previous"),
    ):  # fmt: skip
        assert COMMON | {own, "file.share"} <= names(asked(part))
    view = workspace.maps.maps[1, 2]
    place = view._rect((*view.tiles.cell_of(0), 1, 1)).center().toPoint()
    menu = asked(view, place)
    assert "explore.origin" in names(menu)
    qtbot.waitUntil(lambda: workspace.on_screen()["inspected"] == (policies[1], "right"), timeout=PATIENCE)
    inspector.policy = policies[0]
    inspector.show_found(inspector._found)
    window.commands.trigger("explore.origin")
    qtbot.waitUntil(lambda: workspace.on_screen()["position"] in (1, 2, 3), timeout=PATIENCE)
