"""Pools of workers that are forked from a process with data."""

from __future__ import annotations

import sys
from typing import Final

from program import (  # type: ignore[import-not-found]  # found where this script lies
    LOADS,
    Program,
    printed,
    script,
)

POOLS: Final = (
    Program(
        "pool", "Python pool of 4 workers",
        "Forked workers build tables and drop most of them; the allocator gives back arenas of 1 MiB.", "rows",
        script(sys.executable, "-I", str(LOADS / "pool.py"), "4", "80"), printed("done"), end=0,
    ),
    Program(
        "loader", "data loader of a training, 4 workers",
        "In each of 3 epochs workers are forked that read a corpus of the parent's, which trains meanwhile.",
        "batches", script(sys.executable, "-I", str(LOADS / "loader.py"), "4", "3"), printed("done"), end=0,
    ),
    Program(
        "r", "R with mclapply", "R forks 4 workers, which collect garbage in what they inherited.", "tasks",
        script("R", "--vanilla", "--no-echo", "-f", str(LOADS / "forks.R"), "--args"), printed("done"),
        packages=("r-base-core",), end=0,
    ),
)  # fmt: skip
