"""What keeps the window's loop short: imports ahead, long lists in slices, verdicts that are read once."""

from __future__ import annotations

import importlib
import importlib.util
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from foliolab.gui.main_window import Window


def test_all_modules_that_are_imported_ahead_exist() -> None:
    from foliolab.gui.ahead import LATER

    assert [name for name in LATER if importlib.util.find_spec(name) is None] == []


def test_imports_ahead_end_with_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon thread that imports while the interpreter ends can crash it."""
    from foliolab.gui import ahead

    first = threading.Event()
    made = ahead.Ahead()

    def imported(name: str) -> None:
        seen.append(name)
        first.set()
        while not made._over.is_set():  # the window closes during the first import
            made._over.wait(1)

    seen: list[str] = []
    monkeypatch.setattr(importlib, "import_module", imported)
    done = [made.done]
    made.begin()
    assert first.wait(60)
    done.append(made.done)
    made.shut()
    assert ([*done, made.done], seen) == ([True, False, True], [ahead.LATER[0]])


def test_a_long_list_of_accesses_is_filled_in_slices(qtbot: Any) -> None:
    from foliolab.framework.explore.accesses import Access
    from foliolab.gui.inspector.access_list import AT_ONCE, AccessList

    one = Access(op="atomic_inc", field="folio._mapcount", old=0, new=1, file=__file__, line=1)
    accesses = [replace(one, new=number) for number in range(3 * AT_ONCE + 1)]
    shown = AccessList()
    qtbot.addWidget(shown)
    shown.show_accesses(accesses, -1)
    assert shown.topLevelItemCount() == AT_ONCE
    shown.go(2 * AT_ONCE)  # what is chosen is listed at once
    assert shown.indexOfTopLevelItem(shown.currentItem()) == 2 * AT_ONCE
    qtbot.waitUntil(lambda: shown.topLevelItemCount() == len(accesses), timeout=60_000)
    qtbot.waitUntil(lambda: not shown._filling.isActive(), timeout=60_000)
    shown.show_accesses(accesses[:2], 0)
    assert shown.topLevelItemCount() == 2


def test_kept_verdicts_are_read_again_only_when_they_have_changed(
    window: Window, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from foliolab.framework.verify import ledger

    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    folder = ledger.folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.json").write_text(json.dumps({"schema": ledger.SCHEMA, "records": []}))
    before = window.library.ledger()
    assert window.library.ledger() is before
    (folder / "two.json").write_text("damaged")
    after = window.library.ledger()
    assert after is not before and any("two.json" in one for one in after.problems)
