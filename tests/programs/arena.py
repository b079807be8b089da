"""An allocator's life in short: `python arena.py MIB SECONDS`.

It fills an arena, forks two children, and then all three give random runs of pages back with MADV_DONTNEED, as malloc
libraries do with free runs; the parent writes to pages in between.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
import time

PAGE = mmap.PAGESIZE


def give_back(arena: mmap.mmap, pages: int, seed: int, end: float, write: bool) -> None:
    """Give runs of pages back until the end, some 200 a second."""
    choose = random.Random(seed)
    while time.monotonic() < end:
        first, nr = choose.randrange(pages), choose.choice((1, 2, 4, 8, 32))
        arena.madvise(mmap.MADV_DONTNEED, first * PAGE, min(nr, pages - first) * PAGE)
        if write:
            arena[choose.randrange(pages) * PAGE] = 1
        time.sleep(0.005)


def main(mib: int, seconds: float) -> None:
    """Fill, fork, give back."""
    pages = mib * 256
    arena = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(pages):
        arena[page * PAGE] = 1
    end = time.monotonic() + seconds
    for seed in (1, 2):
        if os.fork() == 0:
            give_back(arena, pages, seed, time.monotonic() + seconds * seed / 3, False)
            os._exit(0)
    give_back(arena, pages, 3, end, True)
    for _ in range(2):
        os.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
