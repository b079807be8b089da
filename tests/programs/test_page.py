"""The page is what the committed data says."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripts import script  # type: ignore[import-not-found]  # beside this file

page = script("page")
DATA: Path = page.DATA


def test_the_committed_page_is_what_its_generator_makes_of_the_committed_data() -> None:
    assert page.PAGE.read_text("utf-8") == page.write(*page.load(DATA))


def test_there_are_twenty_five_programs_with_five_runs_each() -> None:
    cases, _ = page.load(DATA)
    assert len({case.program.name for case in cases if case.found.kib == 64 and len(case.runs) >= 5}) >= 25


def test_the_page_follows_the_data(tmp_path: Path) -> None:
    for path in DATA.glob("daemon-64.json"):
        (tmp_path / path.name).write_text(path.read_text().replace('"kernel":"', '"kernel":"7.7.7-changed-'))
    cases, left = page.load(tmp_path)
    made = page.write(cases, left)
    assert "Linux 7.7.7-changed-" in made
    assert "In 1 of 1 programs two slots' imprecision costs anything, in 1 a hundredth" in made
    assert "redis" not in made
    (case,) = cases
    right = [
        msgspec.structs.replace(run, policies={name: msgspec.structs.replace(one, copies=0, longest=0, false_share=0.0)
                                               for name, one in run.policies.items()})
        for run in case.runs
    ]  # fmt: skip
    clean = replace(case, found=msgspec.structs.replace(case.found, runs=right))
    assert "In 0 of 1 programs two slots' imprecision costs anything" in page.write([clean], left)


def test_what_was_left_out_is_named_with_the_reason() -> None:
    cases, _ = page.load(DATA)
    left = page.LeftOut(
        programs={"r": "no *R* here"}, runs={"git-64-3": "it did none of its work"}, small={"git-2048": 3}
    )
    made = page.write(cases, left)
    assert "- R with mclapply: no \\*R\\* here" in made
    assert "- run git-64-3: it did none of its work" in made
    assert "git repack (3)" in made


def test_check_says_whether_the_page_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(sys, "argv", ["page.py", "--check"])
    assert page.main() == 1
    (tmp_path / "page.md").write_text(page.write(*page.load(DATA)), "utf-8")
    assert page.main() == 0
    monkeypatch.setattr(page, "DATA", tmp_path / "none")
    assert page.main() == 1


def test_results_are_small_of_known_programs_and_name_no_folder_of_a_machine() -> None:
    programs = script("programs").PROGRAMS
    expected = {f"{p.name}-{kib}" for p in programs for kib in page.SIZES} | {page.LEFT_OUT}
    found = {path.stem: path.read_text() for path in DATA.glob("*.json")}
    assert found.keys() <= expected
    assert sum(map(len, found.values())) < 400_000
    assert not [name for name, text in found.items() if any(one in text for one in ("/work/", "/root/", "/tmp/"))]
