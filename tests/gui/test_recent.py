"""Every measurement and counterexample is kept as a file, listed, and opens again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.gui.window import recent
from foliolab.gui.window.recent import Recent

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window


def test_files_are_kept_once_and_listed_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Recent(tmp_path)
    assert kept.all() == []
    kept.keep("cost", "mm-id-slots:slots=3,exact", lambda: b"{}")
    kept.keep("cost", "mm-id-slots:slots=3,exact", lambda: b"{}")
    kept.keep("counterexample", "../../lost update\n,safe", lambda: b"[1]")
    kept.wait()
    found = {one.kind: one for one in kept.all()}
    assert len(kept.all()) == 2, "the same contents are kept once"
    assert found["cost"].about == "mm-id-slots:slots=3,exact" and found["cost"].path.read_bytes() == b"{}"
    assert found["counterexample"].path.parent == tmp_path / recent.FOLDER
    assert abs((datetime.now() - found["cost"].time).total_seconds()) < 24 * 3600
    (tmp_path / recent.FOLDER / "stranger.json").write_text("{}")
    assert len(kept.all()) == 2
    monkeypatch.setattr(recent, "MOST", 1)
    kept.keep("cost", "exact", lambda: b"[2]")
    kept.wait()
    assert len(kept.all()) == 1
    kept.shut()


def test_a_disk_that_takes_nothing_loses_only_the_list(tmp_path: Path) -> None:
    (tmp_path / recent.FOLDER).write_text("a file where the folder should be")
    kept = Recent(tmp_path)
    kept.keep("cost", "exact", lambda: b"{}")
    kept.wait()
    assert kept.all() == []
    kept.shut()


def test_the_list_opens_what_it_shows(
    open_window: Callable[..., Window], qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtCore import Qt

    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.gui.tours.tour import RACE
    from foliolab.gui.widgets.recent_dialog import RecentDialog

    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    window = open_window()
    example = Counterexample(
        policy="exact", attack="random", law="mapcount", claim="", message="made up", shape={"nr_pages": 64}
    )
    window.recent.keep("counterexample", "exact,mapcount", example.encoded)
    window.recent.wait()
    window.settings.remember("window/files", str(RACE))
    window.commands.trigger("file.recent")
    (shown,) = window.findChildren(RecentDialog)
    cells = {(shown.table.item(row, 1).text(), shown.table.item(row, 2).text()) for row in range(2)}  # type: ignore[union-attr]
    assert cells == {("counterexample", "exact,mapcount"), ("file", RACE.name)}
    row = next(row for row in range(2) if shown.table.item(row, 1).text() == "file")  # type: ignore[union-attr]
    shown.table.setCurrentCell(row, 0)
    shown.table.setFocus()
    with qtbot.waitSignal(shown.wanted) as told:
        qtbot.keyClick(shown.table, Qt.Key.Key_Return)
    assert told.args == [RACE]
    assert window.here.name == "policies"
    window.palette_.ask()
    assert any(one.kind == "Recent" and "mapcount" in one.text for one in window.palette_._things)
    window.palette_.hide()
