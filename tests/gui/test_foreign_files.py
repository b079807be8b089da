"""Files that the command line reads and no workspace shows as they are."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.report.result_files import kind_of

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

SAMPLES = Path(__file__).parents[1] / "trace" / "samples"
RESULT = Path(__file__).parents[2] / "docs" / "data" / "partial" / "apache-64.json"
PATIENCE = 120_000


@pytest.mark.parametrize("sample", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_tracers_are_recognised_packed_or_not(sample: Path, tmp_path: Path) -> None:
    from foliolab.gui.window.foreign_files import is_of_tracer

    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(sample.read_bytes()))
    assert is_of_tracer(sample) and is_of_tracer(packed)


@pytest.mark.parametrize("text", ["", "hello", "\x00\x01\x02", "{}"])
def test_other_files_are_not(tmp_path: Path, text: str) -> None:
    from foliolab.gui.window.foreign_files import is_of_tracer

    file = tmp_path / "notes.txt"
    file.write_text(text)
    assert not is_of_tracer(file)


def test_what_a_tracer_wrote_is_explored(
    window: Window, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trace that is made of it is a file of the data folder, whatever the text is called."""
    opened: list[Path] = []
    monkeypatch.setattr(window.workspaces["explore"], "show_file", opened.append)
    text = tmp_path / "text"
    text.write_bytes((SAMPLES / "phases.strace.txt").read_bytes())
    assert window.open(text)
    qtbot.waitUntil(lambda: bool(opened), timeout=PATIENCE)
    assert opened[0].name == "text.folio" and window.here.name == "explore"
    renamed = opened[0].rename(tmp_path / "without-suffix")
    assert window.open(renamed) and opened[1] == renamed, "a trace is known by its beginning"


def test_a_result_that_is_not_of_policies_becomes_a_page(tmp_path: Path) -> None:
    from foliolab.framework.errors import FolioLabError
    from foliolab.gui.window.foreign_files import REPORTED, report

    assert kind_of(RESULT) in REPORTED
    page = report(RESULT, tmp_path / "new" / "x.html", (), print)
    assert "partially mapped" in page.read_text("utf-8")
    with pytest.raises(FolioLabError, match="no result"):
        report(SAMPLES / "phases.strace.txt", tmp_path / "x.html", (), print)
