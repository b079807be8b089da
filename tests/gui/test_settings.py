"""The window's settings: a layout counts only as it was stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


def settings(path: Path) -> Any:
    from PySide6.QtCore import QSettings

    from foliolab.gui.window.settings import Settings

    return Settings(QSettings(str(path), QSettings.Format.IniFormat))


def test_a_layout_is_kept(qtbot: Any, store: Path) -> None:
    from PySide6.QtCore import QByteArray

    kept = settings(store)
    kept.keep("explore/docks", QByteArray(b"\0a layout\xff"))
    kept.write()
    assert settings(store).state("explore/docks").data() == b"\0a layout\xff"
    assert settings(store).state("verify/docks").isEmpty()


@pytest.mark.parametrize(("before", "after"), [(b"layout", b"lay0ut"), (b"explore", b"verify")])
def test_a_layout_that_was_changed_or_moved_is_none(qtbot: Any, store: Path, before: bytes, after: bytes) -> None:
    from PySide6.QtCore import QByteArray

    kept = settings(store)
    kept.keep("explore/docks", QByteArray(b"\0a layout\xff"))
    kept.write()
    store.write_bytes(store.read_bytes().replace(before, after))
    os.utime(store, (0, 0))  # Qt reads a file of the same size again only if its time differs, in milliseconds
    for key in ("explore/docks", "verify/docks"):
        assert settings(store).state(key).isEmpty()


def test_without_a_secret_no_layout_is_kept(qtbot: Any, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PySide6.QtCore import QByteArray

    monkeypatch.setenv("FOLIOLAB_CACHE", "/dev/null/none")
    kept = settings(store)
    kept.keep("explore/docks", QByteArray(b"\0a layout\xff"))
    kept.write()
    assert settings(store).state("explore/docks").isEmpty()


def test_windows_keep_their_layouts(open_window: Any, store: Path) -> None:
    first = open_window()
    docks = first.workspaces["explore"].docks
    dock = next(iter(docks.values()))
    dock.setFloating(True)
    first.close()
    again = open_window()
    name = dock.objectName()
    assert next(one for one in again.workspaces["explore"].docks.values() if one.objectName() == name).isFloating()
