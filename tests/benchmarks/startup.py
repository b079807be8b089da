"""How long FolioLab takes to start: `python tests/benchmarks/startup.py`.

Each figure is the median over fresh processes: the native code of the default policies, out of a warm cache and
built into an empty one, and the command line's `--help` and `list`. It reports; it does not gate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Final

from foliolab.framework.engine.engine import native_missing

WARM_S: Final = 0.5
COLD_S: Final = 10.0
COMMAND_S: Final = 0.3

LOAD: Final = """
import time
start = time.perf_counter()
import numpy
numpy_there = time.perf_counter()
import numba
numba_there = time.perf_counter()
from foliolab.framework.engine import entrypoints
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.policies import mm_id, no_page_mapcount, page_mapcount
there = time.perf_counter()
e = entrypoints
wanted = (e.populate, e.fork_range, e.zap_range, e.split_range, e.write_range, e.mm_create, e.mm_drop)
for module in (page_mapcount, mm_id, no_page_mapcount):
    machine = Machine(module.POLICY.with_parameters(), Shape(1024, 2, 512))
    for entry in wanted:
        machine.entry_point(entry)
ready = time.perf_counter()
print(ready - start, numpy_there - start, numba_there - numpy_there, there - numba_there, ready - there)
"""
"""What the first measurement of a run waits for, timed from inside."""
PARTS: Final = ("numpy", "numba", "FolioLab", "native code")


def _run(command: list[str], environment: Mapping[str, str]) -> tuple[float, str]:
    """Wall time of a fresh process and what it printed.

    Raises:
        subprocess.CalledProcessError: it failed; with its messages.
    """
    start = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=300
    )
    return time.perf_counter() - start, done.stdout


def _load(folder: str) -> list[float]:
    """Seconds until the native code is there: all of it, then its parts."""
    _, printed = _run([sys.executable, "-c", LOAD], {"FOLIOLAB_CACHE": folder})
    return [float(word) for word in printed.split()]


def _print(what: str, rows: list[list[float]], target: float) -> None:
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    parts = ", ".join(f"{name} {t:.2f}" for name, t in zip(PARTS, medians[1:], strict=False))
    verdict = "" if medians[0] <= target else "  above the target"
    spread = f"{min(r[0] for r in rows):.2f}–{max(r[0] for r in rows):.2f}"
    print(f"{what:28} {medians[0]:7.2f} s  ({spread}; target {target:g}){verdict}{'  ' + parts if parts else ''}")


def _last_line(fault: subprocess.CalledProcessError) -> str:
    lines: list[str] = fault.stderr.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def main() -> int:
    """Measure everything; 3 where nothing can be measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="fresh processes a figure (7)")
    parser.add_argument("--cold-repeats", type=int, default=1, help="builds into an empty cache (1)")
    options = parser.parse_args()
    if reason := native_missing():
        print(f"startup: nothing measured: {reason}", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="foliolab-startup-") as folder:
        try:
            cold = [_load(f"{folder}/{i}") for i in range(options.cold_repeats)]
            _print("default kernels, cold", cold, COLD_S)
            _print("default kernels, warm", [_load(f"{folder}/0") for _ in range(options.repeats)], WARM_S)
        except subprocess.CalledProcessError as fault:
            print(f"default kernels: not measured: {_last_line(fault)}")
    for arguments in (["--help"], ["list"]):
        command = [sys.executable, "-c", "from foliolab.framework.cli import main; main()", *arguments]
        try:
            times = [[_run(command, {})[0]] for _ in range(options.repeats)]
        except subprocess.CalledProcessError as fault:
            print(f"foliolab {arguments[0]}: not measured: {_last_line(fault)}")
        else:
            _print(f"foliolab {arguments[0]}", times, COMMAND_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
