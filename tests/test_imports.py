"""The rooms of the design, and what a start of the command line may load."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("framework", "policies", "workloads", "gui")
HEAVY = (
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "matplotlib",
    "PySide6",
    "pyqtgraph",
    "distributed",
    "hypothesis",
    "pydantic",
)

START = """
import contextlib, io, json, sys
sys.argv = ["foliolab", *{arguments!r}]
from foliolab.framework.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the import contract over a checkout, in a process of its own: the linter changes sys.path."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-P", "-c", command, "--no-logo", "--no-cache"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout / ".src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the checkout's code, to break."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".src", tmp_path / ".src", symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_rooms_import_only_what_the_contract_allows() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("framework/errors.py", "import foliolab.policies"),
        ("framework/errors.py", "import foliolab.gui.launch"),
        ("framework/errors.py", "from foliolab.framework import machine"),
        ("framework/machine/intruder.py", "import foliolab.framework.engine"),
        ("framework/machine/intruder.py", "import typer"),
        ("framework/cli/intruder.py", "import PySide6.QtWidgets"),
        ("policies/intruder.py", "from foliolab.framework import errors"),
        ("policies/intruder.py", "import foliolab.framework.machine.memory"),
        ("policies/intruder.py", "import numba"),
        ("policies/intruder.py", "import foliolab.workloads"),
        ("workloads/intruder.py", "import foliolab.framework.engine"),
    ],
)
def test_the_contract_refuses(copy: Path, file: str, line: str) -> None:
    with (copy / file).open("a", encoding="utf-8") as intruder:
        intruder.write(f"\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"], ["compare", "--help"]])
def test_the_command_line_starts_light(arguments: list[str]) -> None:
    code = START.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
