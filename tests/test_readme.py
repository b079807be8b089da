"""README.md is short, its commands work, and the output that it shows is what the command prints."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
LIMIT = 150
OWN_SCHEME = re.findall(r"^foliolab .+", TEXT, re.MULTILINE)
QUESTIONS = re.findall(r"^\| .+\? \| `(foliolab [^`]+)`", TEXT, re.MULTILINE)


def run(command: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "foliolab.framework.cli", *shlex.split(command)[1:], *more],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= LIMIT


def test_the_two_commands_are_there() -> None:
    for folder in ("gui", "tests"):
        assert (ROOT / folder / "__main__.py").is_file()
        assert f"\npython3 {folder} " in TEXT


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) > 10
    for link in links:
        assert (ROOT / link).is_file(), link


def test_each_question_has_a_command_that_the_tests_run() -> None:
    verbs = [shlex.split(command)[1] for command in QUESTIONS]
    assert verbs == ["verify", "precision", "compare", "consequences", "kernel"]
    tables = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for command in QUESTIONS:
        assert f"| `{command}" in tables


def test_the_output_is_what_the_command_prints(tmp_path: Path) -> None:
    (command, shown) = re.findall(r"```\n\$ (foliolab [^\n]+)\n(.*?)```", TEXT, re.DOTALL)[0]
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    printed = "\n".join(line.rstrip() for line in done.stdout.splitlines())
    assert shown.strip() in printed


@pytest.mark.slow
def test_a_scheme_of_ones_own_works_as_shown(tmp_path: Path) -> None:
    assert len(OWN_SCHEME) == 3
    for command in OWN_SCHEME:
        more = {"check": ["--seconds", "1"], "compare": ["--memory", "16M", "--repeats", "1"]}.get(
            command.split()[1], []
        )
        done = run(command, tmp_path, *more)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
