"""Docks of plugins: the one of the documentation, and views that fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

TESTS = Path(__file__).parents[1]
FAILS = """
from foliolab.framework.api import View

def make(desk):
    {}

VIEW = View("mine", "what goes wrong", make)
"""


def test_the_dock_of_the_documentation(open_window: Callable[..., Window], examples: Any, tmp_path: Path) -> None:
    window = open_window(examples.write(tmp_path, "my_fields.py"))
    dock = window.workspaces["policies"].docks["plugin.my-fields"]
    window.go("policies")
    table = dock.widget()
    assert dock.windowTitle() == "Fields of policies" and dock.isVisible()
    assert table.rowCount() == len(window.library.policies)  # type: ignore[attr-defined]
    before = table
    window.library.reload()
    assert dock.widget() is before, "a plugin that has not changed keeps its dock"


def test_a_dock_goes_with_its_plugin_and_is_made_anew_when_it_is_saved(
    open_window: Callable[..., Window], examples: Any, tmp_path: Path
) -> None:
    file = examples.write(tmp_path, "my_fields.py")
    window = open_window(file)
    docks = window.workspaces["policies"].docks
    file.write_text(file.read_text().replace("Fields of policies", "Stored fields"))
    window.library.reload()
    assert docks["plugin.my-fields"].windowTitle() == "Stored fields"
    window.library.close(str(file))
    assert "plugin.my-fields" not in docks


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("return 1 / 0", "view mine has no dock: ZeroDivisionError: division by zero"),
        ("return 7", "view mine has no dock: make returned a int, not a QWidget"),
    ],
)
def test_a_view_that_fails_is_a_notice(
    open_window: Callable[..., Window], tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FAILS.format(text))
    window = open_window(file)
    assert any(says in one.text for one in window.notices.all)
    assert "plugin.mine" not in window.workspaces["compare"].docks
    assert window.here.name == "compare"


def test_a_view_of_an_unknown_workspace_is_a_failed_plugin(open_window: Callable[..., Window], tmp_path: Path) -> None:
    from foliolab.framework.contract.view import WORKSPACES

    file = tmp_path / "mine.py"
    file.write_text(FAILS.format("return None").replace("make)", "make, workspace='cinema')"))
    window = open_window(file)
    assert "there is no workspace 'cinema'" in window.library.failures[0].message
    assert set(window.workspaces) == set(WORKSPACES)
