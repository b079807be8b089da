"""No process runs code of the current folder, where a stranger may have put modules with the names of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework.isolation.safepath import FLAG

STANDARD = ("types", "json", "random", "sitecustomize", "usercustomize")
OTHERS = ("foliolab", "numpy", "numba", "typer", "click", "msgspec", "pluggy", "platformdirs", "PySide6")
PROGRAM = "from foliolab.framework.cli import main\n\nif __name__ == '__main__':\n    main()\n"
CHILDREN = """
import sys
from foliolab.framework.isolation.process import Child
from foliolab.framework.sweep import pool

def path(*pipe):
    import foliolab.framework.engine.engine, json, random, types
    return sys.path

if __name__ == "__main__":
    executor = pool.local(1)
    with Child(path) as child:
        print(child.receive(60).value)
    print(executor.submit(path).result())
    executor.shutdown()
"""
PATIENCE = 120
SMALL = (
    "--policies",
    "page-mapcount,mm-id",
    "--workloads",
    "munmap",
    "--sizes",
    "16K",
    "--memory",
    "4M",
    "--repeats",
    "5",
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of modules that note that they ran."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in (*STANDARD, *OTHERS):
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__ + ' ')\nraise SystemExit\n"
        )
    (folder / "matplotlibrc").write_text("this is no setting\n")
    return folder


def run(folder: Path, text: str, *arguments: str) -> str:
    """Run a program's text in a process in the folder, as a console script; what it printed."""
    program = folder.parent / "program.py"
    program.write_text(text)
    return _run(folder, [str(program), *arguments])


def _run(folder: Path, words: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, env=environment,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    ran = folder.parent / "ran"
    assert not ran.exists(), ran.read_text()
    assert done.returncode in (0, 1, 5), done.stderr
    assert "matplotlibrc" not in done.stderr
    return done.stdout


def test_children_and_the_tracker_of_their_resources(hostile: Path) -> None:
    for line in run(hostile, CHILDREN).splitlines():
        assert str(hostile) not in line and "''" not in line


def test_a_module_by_its_name(hostile: Path) -> None:
    """Python itself has looked for a few modules before it hands over; see SECURITY.md."""
    for name in (*STANDARD, "foliolab"):
        (hostile / f"{name}.py").unlink()
    assert "foliolab" in _run(hostile, ["-m", "foliolab.framework.cli", "--version"])
    assert "gui" in _run(hostile, [FLAG, "-m", "foliolab.framework.cli", "gui", "--help"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("verify", "total-mapped-pages", "--budget", "1"),
        ("sweep", "-o", "out", "--kind", "verify", "--policies", "total-mapped-pages", "--budget", "1"),
    ],
    ids=lambda words: words[0],
)
def test_verbs(hostile: Path, words: tuple[str, ...]) -> None:
    run(hostile, PROGRAM, *words)


@pytest.mark.slow
def test_a_comparison_and_its_picture(hostile: Path) -> None:
    pytest.importorskip("matplotlib")
    sizes = ("--sizes", "16K,64K")
    run(hostile, PROGRAM, "compare", "--execution", "interpreted", *SMALL, *sizes, "--json", "r.json")
    run(hostile, PROGRAM, "report", "r.json", "--format", "png", "-o", "r.png")
