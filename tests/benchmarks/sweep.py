"""What more workers bring to a sweep: the time for a grid of equal tasks with one, two, … of them.

    python tests/benchmarks/sweep.py                # as many as there are processors, at most
    python tests/benchmarks/sweep.py --tasks 24

Each task is one comparison of the same workload and size with another seed. Printed are seconds, and the time with one
worker over that with N; N would be ideal, and what tasks share (memory, caches, the other half of a core) takes some.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from foliolab.framework.plugins import registry
from foliolab.framework.sweep import pool
from foliolab.framework.sweep.folder import Folder
from foliolab.framework.sweep.grid import Grid
from foliolab.framework.sweep.running import sweep


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", type=int, default=12, help="in the grid")
    options.add_argument("--memory", default="32M", help="that each works on")
    chosen = options.parse_args()
    found = registry.load()
    schemes = [found.policy(name) for name in ("page-mapcount", "mm-id")]
    grid = Grid(schemes, [found.workload("munmap")], (4,), range(1, chosen.tasks + 1), memory=chosen.memory, repeats=8)
    tasks = grid.tasks("compare")
    alone = 0.0
    workers = 1
    with tempfile.TemporaryDirectory() as folder:
        sweep(tasks[:1], Folder(Path(folder) / "warm"), lambda: pool.local(1))
        while workers <= len(os.sched_getaffinity(0)):
            began = time.perf_counter()
            state = sweep(tasks, Folder(Path(folder) / str(workers)), lambda nr=workers: pool.local(nr))  # type: ignore[misc]
            passed = time.perf_counter() - began
            if state.failed:
                raise SystemExit(f"a task failed: {next(iter(state.failed.values()))}")
            alone = alone or passed
            print(f"{workers:3} workers: {passed:6.1f} s for {len(tasks)} tasks, {alone / passed:.2f} times as fast")
            workers *= 2


if __name__ == "__main__":
    main()
