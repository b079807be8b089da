"""Ctrl-C ends a run within half a second, keeps what was measured and leaves a valid result file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foliolab.framework.results.result import Result

PATIENCE = 120.0


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "foliolab.framework.cli", "compare", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives it
    )


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def wait_for_work(process: subprocess.Popen[str], seconds: float) -> None:
    """Until the worker has used that much CPU time: imports, counting and a few rounds."""
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
def test_ctrl_c_ends_within_half_a_second_and_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "partial.json"
    asked = ["--workloads", "munmap,fork", "--sizes", "64K", "--memory", "1G", "--repeats", "1000"]
    warm = start([*asked[:-1], "5"])  # native code gets into the cache
    assert warm.wait(PATIENCE) == 0, warm.communicate()
    took = []
    for _ in range(2):  # the better of two: what a busy machine adds is not the program's
        process = start([*asked, "--json", str(file)])
        wait_for_work(process, 4.0)
        before = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)
        took.append(time.monotonic() - before)
        output, errors = process.communicate()
        assert process.returncode == 130, errors
        assert "Traceback" not in output + errors
    assert min(took) < 0.5
    result = Result.load(file)
    assert not result.complete
    measured = [cell for cell in result.cells if cell.samples]
    assert measured
    assert all(0 < len(cell.samples) <= 1000 for cell in measured)


@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.7, 0.9, 1.2])
def test_ctrl_c_at_the_start_is_as_quiet(tmp_path: Path, seconds: float) -> None:
    process = start(["--workloads", "munmap", "--json", str(tmp_path / "nothing.json")])
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    assert process.returncode in (130, 3, -signal.SIGINT)
    assert "Traceback" not in output + errors
