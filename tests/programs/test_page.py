"""The page is what the committed data says, and the parts of the scripts that need no root work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripts import HERE, script  # type: ignore[import-not-found]  # beside this file

DATA = HERE.parents[1] / "docs" / "data"


page = script("page")


def test_the_committed_page_is_what_its_generator_makes_of_the_committed_data() -> None:
    assert page.PAGE.read_text("utf-8") == page.write(page.load(DATA))


def test_the_page_follows_the_data(tmp_path: Path) -> None:
    for path in DATA.glob("daemon-64-*.json"):
        text = json.loads(path.read_text())
        text["recording"]["header"]["kernel"] = "7.7.7-changed"
        (tmp_path / path.name).write_text(json.dumps(text))
    runs = page.load(tmp_path)
    assert [run.kib for run in runs] == [64]
    made = page.write(runs)
    assert "Linux 7.7.7-changed on" in made
    assert "It matters in 1 of 1 recordings" in made
    assert "redis" not in made


def test_check_says_whether_the_page_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(sys, "argv", ["page.py", "--check"])
    assert page.main() == 1
    (tmp_path / "page.md").write_text(page.write(page.load(DATA)), "utf-8")
    assert page.main() == 0
    monkeypatch.setattr(page, "DOCS", tmp_path / "none")
    assert page.main() == 1


def test_every_result_is_small_and_of_a_program_that_there_is() -> None:
    programs = script("programs").PROGRAMS
    expected = {f"{p.name}-{kib}-{at}" for p in programs for kib in page.SIZES for at in ("exit", "gone")}
    found = {path.stem: path.stat().st_size for path in DATA.glob("*.json")}
    assert found.keys() <= expected
    assert max(found.values()) < 100_000


def test_nothing_of_this_machine_is_in_the_data() -> None:
    for path in DATA.glob("*.json"):
        text = path.read_text()
        assert "/work/" not in text, path
        assert "/root/" not in text, path


def test_what_is_missing_is_named_with_its_package() -> None:
    install = script("install")
    assert install.missing(lambda command: "/usr/bin/x") == {}
    assert install.missing(lambda command: None if command == "gunicorn" else "/x") == {"gunicorn": "gunicorn"}


def test_the_storm_ends(tmp_path: Path) -> None:
    done = subprocess.run(["bash", str(HERE / "storm.sh"), "2"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["at-once", "when-ready"])
def test_the_detaching_program_waits_for_its_grandchild(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(HERE / "detach.py"), "1", "0.3", how],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_request_reads_a_part_of_the_table() -> None:
    preloaded = script("preloaded")
    said: list[object] = []
    (body,) = preloaded.app({}, lambda status, headers: said.append(status))
    assert said == ["200 OK"]
    assert int(body) > preloaded.READ
