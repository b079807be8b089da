"""Results kept by commit: what is kept, the first commit that changed a figure, the trend, and what is no result."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.results import provenance
from foliolab.framework.results.history import changes, keep, kept, ordered
from foliolab.framework.results.result import Result

FIRST = Path(__file__).parents[1] / "report" / "first.json"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a plugin and one commit; the current folder."""
    (tmp_path / "my.py").write_text("one = 1\n")
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "my.py")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def at(day: int, atomics: float | None = None, faster: float = 1.0) -> Result:
    """The result of a day, with mm-id's atomics and times changed."""
    result = Result.load(FIRST)
    cells = []
    for one in result.cells:
        cell = msgspec.structs.replace(one, samples=[ns / faster for ns in one.samples])
        if atomics is not None and one.policy == "mm-id":
            cell = msgspec.structs.replace(cell, counted={**one.counted, "atomics": atomics})
        cells.append(cell)
    return msgspec.structs.replace(result, cells=cells, started=f"2026-01-{day:02}T00:00:00+00:00")


def test_a_result_is_kept_by_commit_and_nothing_is_replaced(repository: Path) -> None:
    plugin = repository / "my.py"
    commit = git(repository, "rev-parse", "HEAD")
    paths = [keep(at(1), repository / "kept", [plugin]) for _ in range(2)]
    assert len(set(paths)) == 2
    for path in paths:
        assert path.name.startswith(f"compare-20260101T000000-{commit}-") and Result.load(path) == at(1)
        assert kept(path, at(1)).commit == commit and kept(path, at(1)).label == commit[:12]
    plugin.write_text("one = 2\n")
    assert kept(keep(at(2), repository / "kept", [plugin]), at(2)).label == f"{commit[:12]}-dirty"


def test_git_runs_nothing_that_the_folder_names(repository: Path) -> None:
    for name in ("core.fsmonitor", "filter.evil.clean", "core.pager", "alias.rev-parse"):
        git(repository, "config", name, f"touch {repository}/ran; cat")
    (repository / ".gitattributes").write_text("* filter=evil\n")
    (repository / "my.py").write_text("one = 2\n")
    assert provenance.commit_here([repository / "my.py"]).endswith("-dirty")
    assert not (repository / "ran").exists()


def test_outside_of_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    result = msgspec.structs.replace(at(1), git="")
    path = keep(result, tmp_path / "kept")
    assert "-none-" in path.name and kept(path, result).label == path.name


def test_the_first_change_of_each_figure_is_found() -> None:
    days = (3, 4.0), (1, 2.0), (2, 2.0), (4, 5.0)
    history = ordered(kept(Path(f"{day}.json"), at(day, atomics)) for day, atomics in days)
    assert [one.name for one in history] == ["1.json", "2.json", "3.json", "4.json"]
    found = changes(history)
    assert {one.key[2:] for one in found} == {("mm-id", "atomics")} and len(found) == 9
    assert {(one.at, one.before, one.after, one.last, one.times) for one in found} == {(2, 2.0, 4.0, 5.0, 2)}


def test_the_command(foliolab: Callable[..., Any], repository: Path) -> None:
    commits = []
    for day, atomics, faster in ((1, 2.0, 1.0), (2, 2.0, 1.0), (3, 4.0, 2.0)):
        git(repository, "commit", "--allow-empty", "-qm", "next")
        commits.append(git(repository, "rev-parse", "HEAD")[:12])
        keep(at(day, atomics, faster), repository / "kept")
    done = foliolab("history", repository / "kept")
    assert done.code == 0 and f"compare: 3 runs, {commits[0]} to {commits[2]}" in done.out
    (line,) = (line for line in done.out.splitlines() if line.startswith("munmap, 16, mm-id, atomics"))
    assert line.split()[4:] == [commits[2], "2", "4", "4", "1"]
    (line,) = (line for line in done.out.splitlines() if line.startswith("fork, 64, mm-id "))
    assert "−50.0" in line and "██▁" in line and "faster" in line
    assert "−50.0 % (27)" in done.out
    (repository / "kept" / "broken.json").write_text("{\x1b[2J")
    done = foliolab("history", repository / "kept", "--markdown")
    assert (
        done.code == 1 and "left out" in done.out and f"| munmap, 16, mm-id, atomics | {commits[2]} | 2 | 4" in done.out
    )
    assert "\x1b" not in done.out
    assert foliolab("history", repository).code == 2
