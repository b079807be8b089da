"""A program that detaches by forking twice, as daemons do: `python detach.py MIB SECONDS at-once|when-ready OUT`.

The program loads its data, forks, and exits; the child forks and exits, too; the grandchild, which nobody waits
for, goes on and writes to the data that it alone maps now. The first process only waits for the grandchild's end.
The program exits at once, or, as daemon(7) asks for, when the grandchild has said that it is ready.
"""

from __future__ import annotations

import mmap
import os
import random
import subprocess
import sys
import time

PAGE = 4096


def daemon(mib: int, seconds: float, when_ready: bool, out: str) -> None:
    """Load data, detach, write a hundredth of its pages at random ten times a second; leave the number of writes."""
    size = mib << 20
    data = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for place in range(0, size, PAGE):
        data[place] = 1
    ready, say = os.pipe()
    if os.fork():
        if when_ready:
            os.close(say)
            os.read(ready, 1)
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(say, b"r")
    time.sleep(0.2)
    pages, rng, end, done = size // PAGE, random.Random(1), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for _ in range(pages // 100):
            data[rng.randrange(pages) * PAGE] = 2
            done += 1
        time.sleep(0.1)
    with open(out, "w", encoding="ascii") as file:
        file.write(f"{done}\n")


def main() -> None:
    """Start the daemon, and wait until it has closed its end of a pipe."""
    mib, seconds, how, out = sys.argv[1:5]
    if len(sys.argv) > 5:
        daemon(int(mib), float(seconds), how == "when-ready", out)
        return
    read, write = os.pipe()
    words = [sys.executable, "-I", "-S", __file__, mib, seconds, how, out, "daemon"]
    subprocess.run(words, pass_fds=(write,), check=True)
    os.close(write)
    os.read(read, 1)


if __name__ == "__main__":
    main()
