"""The commands of README.md do what it says; comparisons are run on little memory, once."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
COMMANDS = sorted(
    set(re.findall(r"^\| `(foliolab [^`]+)`", TEXT, re.MULTILINE) + re.findall(r"^foliolab .+", TEXT, re.MULTILINE))
)
SHORT = ["--memory", "16M", "--repeats", "1"]


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "foliolab.framework.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_readme_names_every_verb() -> None:
    verbs = {shlex.split(command)[1] for command in COMMANDS}
    assert verbs == {"compare", "show", "list", "doctor"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--quick" not in c and c != "foliolab compare"])
def test_the_commands_work(command: str, tmp_path: Path) -> None:
    arguments = shlex.split(command)[1:]
    if "--plugin" in arguments:
        example = re.findall(r"```python good-policy\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[0]
        (tmp_path / "my.py").write_text(example.replace('name="total-only"', 'name="mine"'))
        arguments += ["--workloads", "munmap", "--sizes", "64K"]
    if arguments[0] == "compare":
        arguments += SHORT
    done = run(arguments, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["foliolab compare", "foliolab compare --quick"])
def test_the_default_comparison_works(command: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    done = run([*shlex.split(command)[1:], *SHORT, "--csv", str(rows)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    head, *body = rows.read_text().splitlines()
    assert head == "workload,size_kib,policy,ns_per_page,ratio,ratio_low,ratio_high,verdict"
    assert {line.split(",")[2] for line in body} == {"page-mapcount", "mm-id", "no-page-mapcount"}


def test_the_two_commands_of_the_readme_are_there() -> None:
    assert (ROOT / "gui" / "__main__.py").is_file()
    assert (ROOT / "tests" / "__main__.py").is_file()
    assert "python3 gui" in TEXT
    assert "python3 tests" in TEXT
