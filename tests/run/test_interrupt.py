"""Ctrl-C ends a run, keeps what was measured and leaves a valid file; `tests/benchmarks/interrupt.py` times it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foliolab.framework.results.result import Result

PATIENCE = 240.0
"""Seconds after which a test gives up."""

SAYS_READY = """
from foliolab.framework import cli
run = cli._run
def ready():
    print("ready", flush=True)
    return run()
cli._run = ready
cli.main()
"""
"""The program, which says when it handles Ctrl-C."""


def start(arguments: list[str], code: str = "from foliolab.framework.cli import main; main()") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, "compare", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives it
    )


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_work(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait until the worker has used that much CPU time: imports, counting and a few rounds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        used = 0.0
        for child in children(process.pid):
            try:
                fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if used > seconds:
            return
        time.sleep(0.05)
    raise AssertionError(f"the worker did not get to work: {process.communicate()}")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc to see the worker at work")
@pytest.mark.slow
def test_ctrl_c_keeps_what_was_measured_and_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "partial.json"
    asked = ["--workloads", "munmap,fork", "--sizes", "64K", "--memory", "1G", "--repeats", "1000"]
    warm = start([*asked[:-1], "5"])  # native code gets into the cache
    assert warm.wait(PATIENCE) == 0, warm.communicate()
    process = start([*asked, "--json", str(file)])
    wait_for_work(process, 4.0)
    left = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "Traceback" not in output + errors
    deadline = time.monotonic() + PATIENCE
    while any(map(alive, left)):
        if time.monotonic() >= deadline:
            pytest.fail("a process is left")
        time.sleep(0.05)
    result = Result.load(file)
    assert not result.complete
    measured = [cell for cell in result.cells if cell.samples]
    assert measured
    assert all(0 < len(cell.samples) < 1000 for cell in measured)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_ctrl_c_at_the_start_is_as_quiet(tmp_path: Path, seconds: float) -> None:
    process = start(["--workloads", "munmap", "--json", str(tmp_path / "nothing.json")], SAYS_READY)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "Traceback" not in output + errors
