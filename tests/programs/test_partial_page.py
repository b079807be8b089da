"""The page about partially mapped folios is what the committed data says, and results are kept small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripts import script  # type: ignore[import-not-found]  # beside this file

partial_page = script("partial_page")
DATA: Path = partial_page.DATA


def test_the_committed_page_is_what_its_generator_makes_of_the_committed_data() -> None:
    assert partial_page.PAGE.read_text("utf-8") == partial_page.write(partial_page.load(DATA))


def test_the_page_follows_the_data(tmp_path: Path) -> None:
    for path in DATA.glob("redis-delete-64*.json"):
        text = json.loads(path.read_text())
        for run in text.get("runs", ()):
            run["recording"]["header"]["kernel"] = "7.7.7-changed"
            run["folios"] = 4242
        (tmp_path / path.name).write_text(json.dumps(text))
    cases = partial_page.load(tmp_path)
    assert [case.kib for case in cases] == [64]
    made = partial_page.write(cases)
    assert "Linux 7.7.7-changed on" in made
    assert "| 4,242 |" in made
    assert "git repack" not in made


def test_check_says_whether_the_page_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(sys, "argv", ["partial_page.py", "--check"])
    assert partial_page.main() == 1
    (tmp_path / "page.md").write_text(partial_page.write(partial_page.load(DATA)), "utf-8")
    assert partial_page.main() == 0
    monkeypatch.setattr(partial_page, "DATA", tmp_path / "none")
    assert partial_page.main() == 1


def test_results_are_small_and_name_no_folder_of_a_machine() -> None:
    table = script("programs")
    programs = (*table.PROGRAMS, table.ARENA)
    kinds = ("", "-consequences")
    expected = {f"{p.name}-{kib}{kind}" for p in programs for kib in partial_page.SIZES for kind in kinds}
    found = {path.stem: path for path in DATA.glob("*.json")}
    assert found.keys() <= expected
    for path in found.values():
        text = path.read_text()
        assert len(text) < 100_000
        assert not any(folder in text for folder in ("/work/", "/root/", "/tmp/")), path


def test_a_result_without_its_defaults_is_read_as_the_same(tmp_path: Path) -> None:
    capture = script("partial_capture")
    for path in (DATA / "redis-64.json", DATA / "redis-64-consequences.json"):
        kind = capture.ConsequencesResult if "consequences" in path.name else capture.PartialResult
        result = kind.load(path)
        capture.keep(result, tmp_path / path.name)
        assert kind.load(tmp_path / path.name) == result
