"""Context menus: they have the actions of the menu bar, and concern what was under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pointing import COMMON, asked, names

if TYPE_CHECKING:
    from pathlib import Path

    from foliolab.gui.main_window import Window


def test_what_is_at_hand_at_a_start_has_a_menu(window: Window, qtbot: Any) -> None:
    workspaces: Any = window.workspaces
    expected = {
        "compare": (workspaces["compare"].view, "compare.evidence"),
        "benchmark": (workspaces["benchmark"].controls.workloads, "benchmark.start"),
        "policies": (workspaces["policies"].tree, "policies.edit"),
        "explore": (workspaces["explore"].chooser.policies.list, "policy.verify"),
        "verify": (workspaces["verify"].options.policy.lineEdit(), "verify.start"),
    }
    for name, (widget, own) in expected.items():
        window.go(name)
        found = names(asked(widget))
        assert COMMON | {own} <= found
        assert all(one.startswith((name, "edit.", "file.", "policy.")) for one in found), (
            "no action of another workspace"
        )


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
    assert found >= 24, "choosers, lists, tables, maps, folios, curves and diagrams"


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


def test_the_policy_of_a_row_is_shown_elsewhere(window: Window, qtbot: Any) -> None:
    workspaces: Any = window.workspaces
    window.go("benchmark")
    chooser = workspaces["benchmark"].controls.policies
    row = next(at for at in range(chooser.list.count()) if chooser.list.item(at).text() == "rmap-id")
    chooser.list.setCurrentRow(row)
    assert {"policy.policies", "policy.verify", "benchmark.start"} <= names(asked(chooser.list))
    window.commands.trigger("policy.policies")
    assert window.here.name == "policies" and window.here.policy() == "rmap-id"
    window.go("explore")
    source = workspaces["explore"].chooser.source
    assert {"explore.begin", "explore.example"} <= names(asked(source.lineEdit()))
    workspaces["explore"].chooser.policies.list.setCurrentRow(row)
    window.commands.trigger("policy.verify")
    assert window.here.name == "verify" and window.here.policy() == "rmap-id"
    window.go("compare")
    workspaces["compare"].view.setCurrentIndex(workspaces["compare"].matrix.index(1, 1))
    window.commands.trigger("policy.benchmark")
    assert workspaces["compare"].policy() in workspaces["benchmark"].controls.policies.chosen()


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
    workspace.rows.fill_now()
    workspace.view.setCurrentIndex(workspace.matrix.index(0, 1))
    assert copied(workspace.view) == workspace.matrix.index(0, 1).data()
    assert "false shared" in copied(workspace.home.scatter), "a picture is told in words"
    window.commands.pointed = window.menuBar()
    window.commands.trigger("edit.text")
    assert any("no text to copy" in one.text for one in window.notices.all)


def tree_flags() -> Any:
    from PySide6.QtCore import Qt

    return Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive
