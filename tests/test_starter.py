"""The starting file of a policy loads, keeps what it claims, and can be compared, as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from foliolab.framework.cli import new
from foliolab.framework.errors import UsageError
from foliolab.framework.plugins import registry as room
from foliolab.framework.plugins import starter
from foliolab.framework.plugins.starter import package
from foliolab.framework.verify import attacks, verifier
from foliolab.framework.verify.attack import Budget


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return starter.write("my-idea", tmp_path / starter.file_name("my-idea"))


def test_it_loads_and_nothing_is_refuted(file: Path, computing_time: type[Budget]) -> None:
    registry = room.load([file], strict=True)
    scheme = registry.policy("my-idea")
    assert file.name == "my_idea.py" and scheme.capabilities == {"safe"}
    found = verifier.verify(scheme, attacks.chosen(["random"]), computing_time(0.7), lambda news: None, jobs=0)
    assert not found.refuted
    assert found.verdict("safe") == "held"


def test_without_its_lock_or_mark_it_is_refuted(file: Path, computing_time: type[Budget]) -> None:
    file.write_text(file.read_text().replace("store(folio._state, load(folio._state) | SHARED)", "pass"))
    scheme = room.load([file]).policy("my-idea")
    found = verifier.verify(scheme, attacks.chosen(["random"]), computing_time(0.7), lambda news: None, jobs=0)
    assert found.verdict("safe") == "refuted"


def test_it_can_be_compared(file: Path) -> None:
    from foliolab.framework.run.request import RunRequest
    from foliolab.framework.run.supervise import compare_run

    registry = room.load([file])
    first, workload = next(iter(registry.policies)), next(iter(registry.workloads))
    request = RunRequest(
        (first, "my-idea"), first, (workload,), (4,), 1 << 20, 1, plugins=(str(file),), execution="interpreted"
    )
    result = compare_run(request)
    assert not result.failures and all(cell.samples for cell in result.cells)


@pytest.mark.parametrize("name", ["", "My Idea", "my_idea", "-a", "a-", "1a", 'a"', "a b"])
def test_other_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a valid name"):
        starter.write(name, tmp_path / "x.py")
    assert not (tmp_path / "x.py").exists()


def test_no_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        starter.write("x", tmp_path / "x.py")
    with pytest.raises(UsageError, match="neither a Python file nor a C file"):
        starter.write("x", tmp_path / "x.txt")
    assert (tmp_path / "x.py").read_text() == "mine"


# -- packages ----------------------------------------------------------------------------------------
def foliolab(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foliolab.framework.cli", *words], capture_output=True, text=True, cwd=folder,
        check=False, timeout=100,
    )  # fmt: skip


def _install(place: Path, site: Path) -> None:
    """What pip makes of the package, without its network: the folder it names, and its entry points."""
    project = tomllib.loads((place / "pyproject.toml").read_text())
    name, version = project["project"]["name"], project["project"]["version"]
    for folder in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(place / folder, site / folder)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = project["project"]["entry-points"]
    lines = [f"[{group}]\n{key} = {value}\n" for group, given in groups.items() for key, value in given.items()]
    (info / "entry_points.txt").write_text("".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("kind", package.KINDS)
def test_a_package_passes_as_it_is_written(kind: str, tmp_path: Path) -> None:
    done = foliolab("new", kind, f"my-{kind}", folder=tmp_path)
    assert done.returncode == 0 and "pip install -e" in done.stdout, done.stderr
    place, site = tmp_path / f"my-{kind}", tmp_path / "site"
    _install(place, site)
    for file in place.rglob("test_*.py"):  # as it is written, but for the budget of its attacks
        file.write_text(file.read_text().replace("    seconds = 10\n", "    seconds = 2\n"))
    environment = {name: value for name, value in os.environ.items() if name != "FOLIOLAB_PLUGINS"}
    environment["PYTHONPATH"] = str(site)
    without = ("-p", "no:cacheprovider", "-p", "no:pytest-qt", "-p", "no:hypothesispytest")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *without, "--rootdir", str(place), str(place)],
        capture_output=True, text=True, cwd=place, env=environment, check=False, timeout=200,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "failed" not in run.stdout and "xfailed" not in run.stdout


def test_what_is_written_has_no_gaps(tmp_path: Path) -> None:
    for kind in package.KINDS:
        for path in package.write(kind, "two-words", tmp_path / kind):
            text = path.read_text()
            assert not re.search(r"PLUGIN|SUMMARY|COMMAND|FILE\b", text), path
            if path.suffix == ".py":
                compile(text, str(path), "exec")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["new", "dance", "my-idea"], "there are policy, caller, asker, detector, workload, pattern, reader"),
        (["new", "policy", "My Idea"], "is not a valid name"),
        (["new", "policy", "full"], "exists already"),
        (["new", "workload", "my-load", "--file"], "leave out --file"),
    ],
)
def test_what_cannot_be_begun(words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    done = foliolab(*words, folder=tmp_path)
    assert done.returncode == 2 and says in done.stderr and not (tmp_path / "dance").exists()


def test_a_single_file(tmp_path: Path) -> None:
    done = foliolab("new", "policy", "my-idea", "--file", folder=tmp_path)
    assert done.returncode == 0 and "foliolab check --plugin my_idea.py" in done.stdout
    assert (tmp_path / "my_idea.py").read_text() == starter.text("my-idea")


@pytest.mark.parametrize(
    ("kind", "name", "file"),
    [
        ("policy", "mm-id", False), ("policy", "mm-id", True), ("workload", "munmap", False),
        ("pattern", "last-child", False), ("caller", "mremap-6-17", False), ("asker", "mrelease", False),
        ("detector", "walk-on-demand", False),
    ],
)  # fmt: skip
def test_a_name_that_is_taken_is_refused_with_its_owner(
    kind: str, name: str, file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=rf"there is a {kind} {name} already, of foliolab "):
        new.run(kind, name, file=file)
    assert not list(tmp_path.iterdir())
