"""`foliolab review`: a plugin's file, its exit code, and the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.isolation.process import can_fork

Run = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.skipif(not can_fork(), reason="this platform cannot fork")
def test_a_wrong_policy_of_a_file(foliolab: Run, plugins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "data"))
    file, page = plugins.write_never(tmp_path), tmp_path / "review.html"
    done = foliolab("review", "--plugin", file, "--budget", "2", "--html", page)
    assert done.code == 1
    assert "✗ Right: It breaks what it claims." in done.out and "safe refuted by" in done.out
    assert "✗ Precise: It calls a shared folio exclusive." in done.out
    assert f"more: foliolab verify never --plugin {file}" in done.out
    assert "✗ Right: It breaks what it claims." in page.read_text()
    assert list((tmp_path / "data" / "verify").glob("never-*.json")), "the verdicts are kept"


def test_what_cannot_be_reviewed(foliolab: Run, tmp_path: Path) -> None:
    assert foliolab("review").code == 2
    done = foliolab("review", "no-such-policy")
    assert done.code == 2 and "no-such-policy" in done.err
    done = foliolab("review", "mm-id", "--html", tmp_path / "none" / "page.html")
    assert done.code == 2 and "there is no folder" in done.err
