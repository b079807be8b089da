"""The page about partially mapped folios is what the committed data says, and the recorded programs end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripts import HERE, script  # type: ignore[import-not-found]  # beside this file

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
    programs = script("unmapping").UNMAPPING
    kinds = ("", "-consequences")
    expected = {f"{p.name}-{kib}{kind}" for p in programs for kib in partial_page.SIZES for kind in kinds}
    found = {path.stem: path for path in DATA.glob("*.json")}
    assert found.keys() <= expected
    for path in found.values():
        text = path.read_text()
        assert len(text) < 100_000
        assert not any(folder in text for folder in ("/work/", "/root/", "/tmp/")), path


@pytest.mark.parametrize("words", [("pool.py", "2", "2"), ("arena.py", "2", "0.2")])
def test_the_programs_end(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(HERE / words[0]), *words[1:]],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
