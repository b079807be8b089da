"""Groups of verbs, and `foliolab kernel restore`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from foliolab.framework import cli
from foliolab.framework.errors import ExitCode
from foliolab.framework.kernel import settings

pytestmark = pytest.mark.host

Run = Callable[..., Any]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="flock as on Linux")


def test_a_package_is_a_group_of_verbs(foliolab: Run) -> None:
    done = foliolab("--help")
    assert "\n  kernel " in done.out and "\n  bench " not in done.out
    done = foliolab("kernel", "--help")
    assert done.code == 0
    for verb in ("bench", "restore"):
        assert f"\n  {verb} " in done.out
    assert foliolab("kernel", "-h").out == done.out


def test_a_group_without_a_verb_shows_its_help(foliolab: Run) -> None:
    done = foliolab("kernel")
    assert done.code == 2
    assert "restore" in done.out + done.err


def test_an_unknown_verb_of_a_group(foliolab: Run) -> None:
    done = foliolab("kernel", "restor")
    assert done.code == 2
    assert "restor" in done.err


def test_verbs_of_groups_within_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inner = tmp_path / "verbs_for_a_test" / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner.parent.parent, inner.parent, inner):
        (folder / "__init__.py").write_text(f'"""The {folder.name}."""\n')
    (inner / "hello.py").write_text('"""Greet."""\nNAME = "greet"\ndef run() -> None:\n    print("hello")\n')
    (inner / "_hidden.py").write_text("def run() -> None: ...\n")
    (inner / "no_verb.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    import verbs_for_a_test  # type: ignore[import-not-found]  # made just now

    app = typer.Typer()
    app.callback()(lambda: None)
    cli._add_verbs(app, verbs_for_a_test)
    group = typer.main.get_command(app)
    found = group.commands["outer"].commands["inner"]  # type: ignore[attr-defined]  # groups
    assert found.help == "The inner."
    assert list(found.commands) == ["greet"]


def test_the_group_starts_light() -> None:
    code = (
        "import contextlib, io, json, sys\n"
        "sys.argv = ['foliolab', 'kernel', 'bench', '--help']\n"
        "from foliolab.framework.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    main()\n"
        "print(json.dumps([name for name in ('numpy', 'numba', 'msgspec', 'rich.console') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A made-up machine with one folio size, whose setting a killed run has changed."""
    switch = tmp_path / "thp" / "hugepages-64kB" / "enabled"
    switch.parent.mkdir(parents=True)
    switch.write_text("always inherit [madvise] never\n")
    monkeypatch.setattr(settings, "THP", tmp_path / "thp")
    monkeypatch.setattr(settings, "RUN", tmp_path)
    settings.state_file().write_text('{"pid": 1, "values": {"hugepages-64kB/enabled": "never"}}')
    return switch


@on_linux
def test_restore_says_what_it_restored(foliolab: Run, machine: Path) -> None:
    done = foliolab("kernel", "restore")
    assert (done.code, done.out) == (0, f"restored {machine}: never\n")
    assert machine.read_text() == "never"
    done = foliolab("kernel", "restore")
    assert (done.code, done.out) == (0, f"nothing to restore: there is no {settings.state_file()}\n")


@on_linux
def test_restore_where_nothing_had_changed(foliolab: Run, machine: Path) -> None:
    machine.write_text("[never]")
    assert "were already as before" in foliolab("kernel", "restore").out


@on_linux
def test_restore_while_a_run_has_the_settings(foliolab: Run, machine: Path) -> None:
    settings.state_file().unlink()
    with settings.exclusive():
        done = foliolab("kernel", "restore")
    assert done.code == 3
    assert "is using the THP settings of this host" in done.err


@on_linux
def test_restore_of_a_damaged_file(foliolab: Run, machine: Path) -> None:
    settings.state_file().write_text("{")
    done = foliolab("kernel", "restore")
    assert (done.code, done.out) == (3, "")
    assert "kernel-settings.json is damaged" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmarks", "munmpa"], "there is no benchmark 'munmpa'"),
        (["--benchmarks", ","], "no benchmark is named"),
        (["--sizes", "8K"], "8K"),
        (["--memory", "1M"], "too little memory"),
        (["--memory", "900T"], "are available"),
        (["--memory", "much"], "much"),
        (["--json", "/no/such/folder/bench.json"], "there is no folder /no/such/folder"),
        (["--model", "/no/such.json"], "there is no result file /no/such.json"),
        (["--model", "/no/such.json", "--with-model"], "both say where modelled times come from"),
    ],
)
@on_linux
def test_what_cannot_be_asked_is_refused_before_anything_is_measured(
    foliolab: Run, arguments: list[str], message: str
) -> None:
    done = foliolab("kernel", "bench", *arguments)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert message in done.err
