"""The program around the verbs: exit codes, messages, pipes, colours."""

from __future__ import annotations

import errno
import gc
import importlib.metadata
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework import cli
from foliolab.framework.cli._help import FROM_PLUGINS, GROUPS
from foliolab.framework.errors import FolioLabError, NothingMeasured, PluginError
from foliolab.framework.plugins import registry
from foliolab.framework.report.pages.plain_text import Plain

Run = Callable[..., Any]


VERBS = [
    "check", "compare", "consequences", "diff", "doctor", "gui", "history", "import", "list", "new", "partial",
    "precision", "record", "reference", "replay", "report", "review", "run", "show", "step", "sweep", "verify",
]  # fmt: skip


def test_help_names_every_verb_and_the_exit_codes(foliolab: Run) -> None:
    done = foliolab("--help")
    assert done.code == 0
    for verb in VERBS:
        assert f"\n  {verb}" in done.out
    assert "..." not in done.out.partition("The five questions:")[2]
    titles = [f"{title}:" for title in GROUPS]
    assert [line for line in done.out.splitlines() if line in titles] == titles
    assert FROM_PLUGINS not in done.out
    assert {name for names in GROUPS.values() for name in names} == {*VERBS, "kernel"}
    assert "2 usage" in done.out
    assert foliolab("-h").out == done.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(foliolab: Run, verb: str) -> None:
    done = foliolab(verb, "--help")
    assert done.code == 0
    assert "--plugin FILE" in done.out or verb in ("diff", "history", "new", "record", "reference")


def test_verbs_of_plugins_stand_in_the_last_group(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("greet", "foliolab.framework.cli.doctor", "foliolab.verbs")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    last = foliolab("--help").out.partition(f"{FROM_PLUGINS}:\n")[2]
    assert last.startswith("  greet ") and f"{next(iter(GROUPS))}:" not in last


@pytest.mark.parametrize("arguments", [["replay-trace"], ["replay-trace", "a.folio", "--policies", "all"]])
def test_an_old_verb_says_what_to_type_instead(foliolab: Run, arguments: list[str]) -> None:
    done = foliolab(*arguments)
    assert (done.code, done.out, done.err) == (2, "", "foliolab: replay-trace is now: foliolab replay FILE\n")


def test_version(foliolab: Run) -> None:
    assert foliolab("--version").out == f"foliolab {importlib.metadata.version('foliolab')}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lsit"], "Did you mean 'list'"),
        (["list", "--jsn"], "--json"),
        (["list", "more"], "more"),
        (["show"], "POLICY"),
        (["compare", "--repeats", "none"], "--repeats"),
        (["compare", "--repeats", "0"], "--repeats"),
        (["compare", "--seed", "-1"], "--seed"),
    ],
)
def test_wrong_usage_exits_with_2(foliolab: Run, arguments: list[str], says: str) -> None:
    done = foliolab(*arguments)
    assert done.code == 2
    assert says in done.err
    assert done.out == ""


def test_no_verb_shows_the_help(foliolab: Run) -> None:
    done = foliolab()
    assert done.code == 2
    assert "compare" in done.out + done.err


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (FolioLabError("it failed", "do this"), 1, "foliolab: it failed\n  do this\n"),
        (NothingMeasured("nothing there"), 3, "foliolab: nothing there\n"),
        (PluginError("bad one", "mend it"), 4, "foliolab: bad one\n  mend it\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_a_message_a_hint_and_a_code(
    foliolab: Run, monkeypatch: pytest.MonkeyPatch, fault: BaseException, code: int, says: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(registry, "load", fail)
    done = foliolab("list")
    assert (done.code, done.out, done.err) == (code, "", says)


def test_a_defect_is_one_line_and_a_way_to_see_more(
    foliolab: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(registry, "load", fail)
    done = foliolab("list")
    assert done.code == 1
    assert done.err.startswith("foliolab: unexpected ZeroDivisionError: oh at test_cli.py:")
    assert "FOLIOLAB_DEBUG=1" in done.err
    monkeypatch.setenv("FOLIOLAB_DEBUG", "1")
    with pytest.raises(AssertionError):  # the fixture's: now there is a traceback
        foliolab("list")


def test_the_module_runs_like_the_program(process: Run) -> None:
    assert process("--version").stdout.startswith("foliolab ")
    assert process("show", "none").returncode == 2


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "foliolab.framework.cli", "show", "mm-id"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0


def test_a_full_disk_is_said(process: Run) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "foliolab.framework.cli", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert "Traceback" not in done.stderr


def test_pipes_get_no_colour_and_no_wrapping(process: Run) -> None:
    done = process("list", COLUMNS="40")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) > 60


def test_an_ascii_terminal_gets_ascii(process: Run) -> None:
    for arguments in (["list"], ["show", "mm-id"], ["doctor"]):
        done = process(*arguments, PYTHONIOENCODING="ascii")
        assert done.stdout.isascii()
        assert done.returncode == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert Plain(Terminal()).paint("x", "strong bad") == "\x1b[1;31mx\x1b[0m"
    assert Plain(io.StringIO()).paint("x", "strong") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Plain(Terminal()).paint("x", "strong") == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert Plain(Terminal()).paint("x", "strong") == "x"


def test_long_text_wraps_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    out = Terminal()
    Plain(out, colour=False).item("name", "word " * 30, column=10)
    lines = out.getvalue().splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 50
    assert all(line.startswith(" " * 10) for line in lines[1:])


def test_control_characters_do_not_reach_the_terminal() -> None:
    out = io.StringIO()
    Plain(out).line("a\x1b[31mb\x07")
    assert out.getvalue() == "a\\x1b[31mb\\x07\n"


@pytest.mark.parametrize(
    "words",
    [
        ["\x1b[2Jverb"],
        ["compare", "\x1b[2J"],
        ["compare", "--\x1b[2J"],
        ["compare", "--repeats", "\x1b[2J"],
        ["compare", "--policies", "\x1b[2J\u202e"],
        ["compare", "--policies", "mm-id:\x1b[2J=1"],
        ["compare", "--workloads", "\x1b[2J"],
        ["compare", "--sizes", "\x1b[2J"],
        ["compare", "--plugin", "\x1b[2J.py"],
        ["run", "\x1b[2J"],
        ["report", "\x1b[2J.json"],
        ["report", "none.json", "--format", "\x1b[2J"],
        ["step", "\x1b[2J.json"],
        ["replay", "\x1b[2J.folio"],
        ["import", "\x1b[2J.txt"],
        ["diff", "\x1b[2J.json", "\x9b2J.json"],
        ["new", "policy", "\x1b[2J"],
        ["sweep", "-o", "out", "--seeds", "\x1b[2J"],
    ],
    ids=ascii,
)
def test_what_messages_quote_cannot_steer_the_terminal(foliolab: Run, tmp_path: Path, words: list[str]) -> None:
    done = foliolab(*words)
    assert done.code in (2, 3) and done.err
    assert not {"\x1b", "\x9b", "\u202e"} & set(done.out + done.err), done


def test_garbage_is_collected_again_once_started(foliolab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.framework.report import listing

    seen: list[bool] = []
    monkeypatch.setattr(listing, "render", lambda *arguments: seen.append(gc.isenabled()))
    assert foliolab("list").code == 0
    assert seen == [True]
    assert foliolab("--version").code == 0
    assert gc.isenabled()


def test_every_verb_is_one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["foliolab", "--help"])
    names = {command.name for command in cli.application().registered_commands}
    assert names == {*VERBS}
    groups = {group.name for group in cli.application().registered_groups}
    assert groups == {"kernel"}


def test_verbs_of_other_packages_arrive_and_a_broken_one_is_said(
    foliolab: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    group = cli.VERBS
    arriving = [
        metadata.EntryPoint("elsewhere", "foliolab.framework.cli.doctor", group),
        metadata.EntryPoint("gone", "no_such_module_anywhere", group),
        metadata.EntryPoint("compare", "foliolab.framework.cli.doctor", group),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: arriving)
    done = foliolab("--help")
    assert "\n  elsewhere" in done.out and "\n  gone" not in done.out
    assert "the verb gone of no_such_module_anywhere is left out" in done.err
    assert "FolioLab has a verb of that name" in done.err
    assert "left out" not in foliolab("compare", "--help").err  # entry points are asked only where they are needed
