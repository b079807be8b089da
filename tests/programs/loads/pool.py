"""A pool of forked workers that build tables and drop them: `python pool.py WORKERS TASKS OUT`.

Python's allocator gives an arena of 1 MiB back to the kernel when the last object in it is gone.
"""

from __future__ import annotations

import sys
from multiprocessing import get_context
from pathlib import Path


def task(number: int) -> int:
    """Build a table of a size that varies, drop most of it, and count what is left."""
    table = [[number, row, str(row)] for row in range(40_000 + 10_000 * (number % 5))]
    del table[number % 3 :: 2]
    return len(table)


def main(workers: int, tasks: int, out: Path) -> None:
    """Load a table, which the workers inherit; let them work, and leave the number of rows they had at the end."""
    kept = {str(row): [row] for row in range(60_000)}
    with get_context("fork").Pool(workers) as pool:
        done = sum(pool.map(task, range(tasks), chunksize=1))
    out.write_text(f"{len(kept) + done}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
