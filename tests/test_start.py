"""From the two starters, `python3 gui` and `python3 tests`, to the process that they become."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest

from foliolab.framework import bootstrap

REPOSITORY = Path(__file__).resolve().parents[1]
STARTERS = ("gui/__main__.py", "tests/__main__.py")


class Started(Exception):
    """Stands for the process that would have been replaced."""


@pytest.fixture
def execv(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the process would have become."""
    calls: list[list[str]] = []

    def replace(program: str, arguments: list[str]) -> None:
        assert program == arguments[0]
        calls.append(arguments)
        raise Started

    monkeypatch.setattr(os, "execv", replace)
    return calls


def test_a_start_becomes_the_module_with_its_arguments(monkeypatch: pytest.MonkeyPatch, execv: list[list[str]]) -> None:
    monkeypatch.setattr(bootstrap, "interpreter", lambda extras, probes: "/there/python")
    with pytest.raises(Started):
        bootstrap.start("foliolab.gui", ["--sizes", "16K, 64K"], [], [])
    assert execv == [["/there/python", "-P", "-m", "foliolab.gui", "--sizes", "16K, 64K"]]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (bootstrap.SetupFault("pip is missing."), 3, "foliolab: pip is missing.\n"),
        (KeyboardInterrupt(), 130, "\nfoliolab: set-up interrupted; the next start begins again.\n"),
    ],
)
def test_a_start_that_cannot_be_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fault: BaseException,
    code: int,
    said: str,
) -> None:
    def refuse(extras: Iterable[str], probes: Iterable[str]) -> str:
        raise fault

    monkeypatch.setattr(bootstrap, "interpreter", refuse)
    with pytest.raises(SystemExit) as caught:
        bootstrap.start("foliolab.gui", [], [], [])
    assert caught.value.code == code
    assert capfd.readouterr() == ("", said)


def test_where_this_interpreter_holds_the_checkout_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "HOME", Path("/no/such/folder"))
    assert bootstrap.interpreter([], ["pytest"]) == sys.executable


def test_another_checkouts_installation_does_not_serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    assert not bootstrap.holds_checkout([])


def test_a_missing_probe_or_installation_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not bootstrap.holds_checkout(["no_such_module"])

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(bootstrap, "version", absent)
    assert not bootstrap.holds_checkout([])


@pytest.mark.parametrize("file", STARTERS)
def test_an_old_python_can_read_the_starters_and_gets_the_projects_floor(file: str) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 6))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert "sys.version_info < (3, 11)" in text


def test_the_first_start_needs_the_standard_library_only() -> None:
    path = str(REPOSITORY / "framework" / "bootstrap.py")
    # -I -S: no site-packages at all.
    code = f"import runpy; runpy.run_path({path!r})"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
