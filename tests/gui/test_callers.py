"""Callers in the window: each workspace with policies can put one under a caller, and a session keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

CALLER = "mremap-6-17"
UNDER = f"mm-id+{CALLER}"
PATIENCE = 120_000


def put_under(chooser: Any) -> None:
    """Add mm-id under the caller, as a user does."""
    (item,) = [one for row in range(chooser.list.count()) if (one := chooser.list.item(row)).text() == "mm-id"]
    chooser.list.setCurrentItem(item)
    chooser.caller.choose(CALLER)
    chooser.under.click()


def test_a_policy_is_sent_under_a_caller_and_a_session_keeps_it(
    open_window: Callable[..., Window], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    first, file = open_window(), tmp_path / "x.folio-session"
    spaces: dict[str, Any] = dict(first.workspaces)
    first.send("policies", {"policy": "mm-id"})
    spaces["policies"].details.caller.choose(CALLER)
    spaces["policies"].details.buttons["verify"].click()
    verify = spaces["verify"]
    assert (
        first.here.name == "verify"
        and verify.options.attempt().policy == UNDER
        and verify.options.caller.caller == CALLER
    )
    assert verify.command_line.split()[:3] == ["foliolab", "verify", UNDER]
    verify.options.caller.choose("fork-page-by-page")
    assert verify.options.policy.currentText() == "mm-id+fork-page-by-page"
    verify.options.caller.choose("")
    assert verify.options.policy.currentText() == "mm-id"
    verify.options.policy.setCurrentText(f"rmap-id:stage=all+{CALLER}")
    assert verify.options.caller.caller == CALLER
    put_under(spaces["benchmark"].controls.policies)
    spaces["benchmark"].controls.baseline.setCurrentText(UNDER)
    assert UNDER in spaces["benchmark"].controls.wish().policies
    first.sessions.save(file)
    first.close()

    second = open_window()
    assert second.open(file)
    again: dict[str, Any] = dict(second.workspaces)
    assert again["policies"].policy() == UNDER
    assert again["verify"].options.attempt().policy == f"rmap-id:stage=all+{CALLER}"
    assert again["verify"].options.caller.caller == CALLER
    wish = again["benchmark"].controls.wish()
    assert UNDER in wish.policies and wish.baseline == UNDER


def test_without_a_caller_or_a_policy_nothing_is_added(window: Window) -> None:
    chooser: Any = window.workspaces["explore"].chooser.policies  # type: ignore[attr-defined]
    before = chooser.chosen()
    chooser.list.setCurrentRow(0)
    chooser.under.click()
    assert chooser.chosen() == before and "choose a caller first" in window.notices.all[-1].text


@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
def test_explore_plays_a_policy_beside_itself_under_a_caller(window: Window, qtbot: Any, tmp_path: Path) -> None:
    file = tmp_path / "moved.scenario"
    file.write_text(
        "scenario moved\nregion heap: 2 x 16K pte\n"
        "A: fork B\nB: exit\nA: write heap[0]\nA: mremap heap[0-3] to heap[4]\nA: write heap[5]\n"
    )
    window.send("explore", {"file": file, "policies": ["mm-id", UNDER]})
    explore: Any = window.here
    qtbot.waitUntil(lambda: explore.facts is not None and explore.run.view is not None, timeout=PATIENCE)
    assert explore.run.choice.policies == ("mm-id", UNDER)
    assert explore.chooser.policies.chosen() == ["mm-id", UNDER]
