"""What a view shows becomes one page; what cannot be shared is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.errors import FolioLabError

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.gui.main_window import Window

PATIENCE = 120_000
"""Milliseconds that a page may take on a loaded host."""


def example(law: str = "mapcount") -> Counterexample:
    """A schedule that breaks nothing."""
    from foliolab.framework.verify.counterexample import Counterexample

    return Counterexample(
        policy="mm-id",
        attack="explored",
        law=law,
        claim="",
        message="two threads unmap",
        shape={"nr_pages": 16, "nr_mms": 2, "nr_vpns": 8, "nr_cpus": 2, "max_order": 2},
        setup=["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"],
        threads=[["unmap mm=0 start=0 nr=1"], ["unmap mm=1 start=0 nr=1"]],
        schedule="0*5 1*5",
    )


def test_a_counterexample_is_shared(
    window: Window, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foliolab.gui.window import dialogs

    window.go("verify")
    window.outputs.ask_share()
    assert any("nothing to share yet" in one.text for one in window.notices.all)
    sent = tmp_path / "race.html"
    monkeypatch.setattr(dialogs, "ask_save", lambda *arguments: sent)
    window.here.shown_example.example = example()  # type: ignore[attr-defined]
    window.outputs.ask_share()
    qtbot.waitUntil(lambda: any(str(sent) in one.text for one in window.notices.all), timeout=PATIENCE)
    text = sent.read_text("utf-8")
    assert "foliolab step race.html" in text and "unmap mm=1 start=0 nr=1" in text
    assert str(tmp_path) not in text


def test_why_a_page_is_not_written(tmp_path: Path) -> None:
    from foliolab.gui.window.sharing import Shareable, share

    with pytest.raises(FolioLabError, match="no-such-scenario"):
        share(Shareable("x", ("no-such-scenario",)), tmp_path / "x.html", print)


def test_explore_shares_the_steps_up_to_this_one() -> None:
    from foliolab.gui.explore.choice import Choice
    from foliolab.gui.explore.workspace import ExploreWorkspace

    def shared(choice: Choice, position: int) -> Any:
        run = SimpleNamespace(choice=choice, view=SimpleNamespace(position=position, nr_steps=100))
        whole = SimpleNamespace(steps=None)
        window: Any = SimpleNamespace(run=run, with_plugins=list, shown_part=whole)
        return ExploreWorkspace.shareable(window)

    daemons = shared(Choice("pattern", "daemons", ("mm-id", "exact")), 90)
    pattern = ["--mms", "4", "--size", "64K", "--folios", "64"]
    assert list(daemons.words) == ["daemons", "--steps", "30-89", *pattern, "--policies", "mm-id,exact"]
    scenario = shared(Choice("scenario", "/a/third.scenario", ("mm-id",)), 0)
    assert list(scenario.words) == ["/a/third.scenario", "--steps", "0-59", "--policies", "mm-id"]
    assert scenario.name == "third"
    assert shared(Choice("counterexample", "", ("mm-id",), example=example()), 3).example == example()
