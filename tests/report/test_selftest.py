"""A scenario as a C program: it compiles without a warning, and does on this kernel what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.report.selftest import program
from foliolab.framework.scenario import parser

SMALL = """scenario small
| Order-0 pages: no setting of the host matters. */ int x;

region heap: 4 x 4K pte

A: fork B without heap[3]
A: write heap[0]
B: read heap[0-2]
B: munmap heap[1]
B: dontneed heap[2]
B: write heap[2]
A: mprotect heap[0-3]
B: exit
A: write heap[0]
"""


@pytest.fixture(scope="module")
def found() -> Registry:
    return load()


def test_what_it_expects(found: Registry) -> None:
    text = program(parser.load(found.scenario("third-stays")), found.policy("mm-id"))
    assert '{ "heap", 0, 4, 4, 2 },' in text
    assert '{ "A: fork B", 0, FORK, .other = 1, .value = 2 },' in text
    assert '{ "C: write heap[1-3]", 2, WRITE, .page = 1, .nr = 3, .value = 7, .outcomes = "ccc" },' in text
    exact = program(parser.load(found.scenario("third-stays")), found.policy("exact"))
    assert '.nr = 3, .value = 7, .outcomes = "rrr" },' in exact


def test_what_it_cannot_do(found: Registry) -> None:
    with pytest.raises(UsageError, match="which the program cannot do"):
        program(parser.load(found.scenario("child-exited-pin")), found.policy("mm-id"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_it_compiles_and_runs(found: Registry, tmp_path: Path) -> None:
    text = program(parser.parse(SMALL), found.policy("mm-id"))
    assert "*/ int x" not in text, "a comment stays one"
    source, built = tmp_path / "small.c", tmp_path / "small"
    source.write_text(text)
    command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized" in done.stderr or "fatal error" in done.stderr:
        pytest.skip(f"this compiler or its headers lack something: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    if os.uname().sysname != "Linux":
        pytest.skip("the program is for Linux")
    ran = subprocess.run([str(built)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    lines = ran.stdout.splitlines()
    assert lines[0] == "TAP version 13"
    if ran.returncode == 4:
        assert lines[1].startswith("1..0 # SKIP ")
        pytest.skip(lines[1])
    assert ran.returncode == 0, ran.stdout
    assert lines[1:3] == ["1..9", "ok 1 - A: fork B without heap[3]"]
    assert "ok 2 - A: write heap[0]: expected c, found c" in lines
    assert "ok 6 - B: write heap[2]: expected n, found n" in lines
