"""Programs that unmap parts of large folios, and what is done to them meanwhile."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Final

from programs import (  # type: ignore[import-not-found]  # found where this script lies
    HERE,
    KEYS,
    PROGRAMS,
    Program,
    redis,
    run,
    wait_for,
)

FILES: Final = 400
COMMITS: Final = 4
DELETE: Final = "for i = 0, ARGV[1] do if i % 4 > 0 then redis.call('del', string.format('key:%012d', i)) end end"


def drive_deletions(folder: Path) -> None:
    """Fill redis, delete three keys of four, and let the allocator give back what is free; twice."""
    wait_for(folder / "redis")
    at = ("-s", str(folder / "redis"))
    for _ in range(2):
        run("redis-benchmark", *at, "-q", "-t", "set", "-d", "400", "-r", str(KEYS), "-n", str(2 * KEYS), "-P", "64")
        run("redis-cli", *at, "eval", DELETE, "0", str(KEYS))
        run("redis-cli", *at, "memory", "purge")
        time.sleep(1.5)
    run("redis-cli", *at, "shutdown", "nosave", check=False)


def prepare_git(folder: Path) -> None:
    """A repository with some history, from seeded texts."""
    words, place = random.Random(1), folder / "repository"
    run("git", "init", "-q", str(place))
    for number in range(COMMITS):
        for name in range(FILES):
            lines = (f"{words.getrandbits(64):x} {number if line % 7 else name}" for line in range(900))
            (place / f"{name}.txt").write_text("\n".join(lines))
        at = ("git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b")
        run(*at, "add", "-A")
        run(*at, "commit", "-q", "-m", str(number))


def git(folder: Path) -> list[str]:
    return ["git", "-C", str(folder / "repository"), "repack", "-a", "-d", "-f", "-q", "--threads=2"]


UNMAPPING: Final = (
    *(program for program in PROGRAMS if program.name in ("redis", "postgres", "bash")),
    Program(
        "redis-delete", "redis-server with deletions",
        "It is filled, three keys of four are deleted, and the allocator gives back what is free; twice.",
        ("redis-server", "redis-benchmark", "redis-cli"), redis, drive_deletions,
    ),
    Program(
        "pool", "Python pool of 4 workers",
        "Forked workers build tables and drop most of them; the allocator gives back arenas of 1 MiB.",
        (), lambda folder: [sys.executable, "-I", str(HERE / "pool.py"), "4", "120"],
    ),
    Program(
        "git", "git repack",
        "It compresses a repository of some 1,600 versions of files anew, in two threads.",
        ("git",), git, lambda folder: None, prepare_git,
    ),
    Program(
        "arena", "arena with MADV_DONTNEED",
        "No program of its own right: three related processes give random runs of pages of an arena back.",
        (), lambda folder: [sys.executable, "-I", str(HERE / "arena.py"), "64", "6"],
    ),
)  # fmt: skip
