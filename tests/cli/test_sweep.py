"""`foliolab sweep`: what it would run, and what it refuses. Sweeps themselves are in tests/sweep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.engine.engine import native_missing

pytestmark = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
Run = Callable[..., Any]
GRID = ("--policies", "page-mapcount,mm-id", "--workloads", "munmap,fork", "--sizes", "16K,64K")


def test_commands_can_be_looked_at_first(foliolab: Run, tmp_path: Path) -> None:
    done = foliolab("sweep", "-o", tmp_path / "out", *GRID, "--dry-run")
    assert len(done.out.splitlines()) == 4 and done.out.startswith("foliolab compare --policies")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--kind", "dance"], "kinds are"),
        (["--kind", "replay"], "no trace"),
        (["--seeds", "x"], "--seeds x"),
        (["--parameter", "mm-id"], "not understood"),
        (["--policies", "nobody"], "nobody"),
        (["--sizes", "17K"], "17K"),
    ],
)
def test_what_cannot_be_swept(foliolab: Run, tmp_path: Path, words: list[str], says: str) -> None:
    done = foliolab("sweep", "-o", tmp_path / "out", *words)
    assert done.code == 2 and says in done.err
