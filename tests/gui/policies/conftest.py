"""The policies workspace for tests, with a folder of its own for verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window
    from foliolab.gui.policies.workspace import PoliciesWorkspace


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))


@pytest.fixture
def workspace(window: Window, monkeypatch: pytest.MonkeyPatch) -> PoliciesWorkspace:
    from foliolab.gui.policies.workspace import PoliciesWorkspace

    found = window.workspaces["policies"]
    assert isinstance(found, PoliciesWorkspace)
    window.resize(1200, 800)
    window.go("policies")
    return found


@pytest.fixture
def unchecked(workspace: PoliciesWorkspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing is compiled; the names of what would have been."""
    asked: list[str] = []
    monkeypatch.setattr(workspace, "_check", asked.extend)
    return asked
