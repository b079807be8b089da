"""An allocator's life in short: `python arena.py MIB SECONDS OUT`.

It fills an arena, forks two children, and then all three give random runs of pages back with MADV_DONTNEED, as malloc
libraries do with free runs; the parent writes to pages in between.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
import time
from pathlib import Path

PAGE = mmap.PAGESIZE


def give_back(arena: mmap.mmap, pages: int, seed: int, end: float, write: bool) -> int:
    """Give runs of pages back until the end, some 200 a second; how many runs it were."""
    choose, done = random.Random(seed), 0
    while time.monotonic() < end:
        first, nr = choose.randrange(pages), choose.choice((1, 2, 4, 8, 32))
        arena.madvise(mmap.MADV_DONTNEED, first * PAGE, min(nr, pages - first) * PAGE)
        if write:
            arena[choose.randrange(pages) * PAGE] = 1
        time.sleep(0.005)
        done += 1
    return done


def main(mib: int, seconds: float, out: Path) -> None:
    """Fill, fork, give back; leave the number of runs that this process gave back."""
    pages = mib * 256
    arena = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(pages):
        arena[page * PAGE] = 1
    end = time.monotonic() + seconds
    for seed in (1, 2):
        if os.fork() == 0:
            give_back(arena, pages, seed, time.monotonic() + seconds * seed / 3, False)
            os._exit(0)
    done = give_back(arena, pages, 3, end, True)
    for _ in range(2):
        os.wait()
    out.write_text(f"{done}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
