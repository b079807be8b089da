"""A server that forks again and again: `python -I -S server.py SECONDS PERIOD`; prints its region and its PID first.

Its children write here and there and end, some execute a program, and some leave a child behind and end at once.
"""

import ctypes
import json
import mmap
import os
import random
import signal
import sys
import time

PAGE = 4096
PAGES = 2048
region = mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
held = ctypes.c_char.from_buffer(region)
base = ctypes.addressof(held)
del held
region.madvise(mmap.MADV_HUGEPAGE)
for offset in range(0, PAGES * PAGE, PAGE):
    region[offset] = 1
print(json.dumps({"base": base // PAGE, "pages": PAGES, "pid": os.getpid()}))
sys.stdout.flush()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def write(until: float, choice: random.Random) -> None:
    """Write a byte of pages by chance, until a time."""
    while time.monotonic() < until:
        region[choice.randrange(PAGES) * PAGE] = 2
        time.sleep(0.02)


def serve(number: int) -> None:
    """A child of the server writes, may fork and exits."""
    choice = random.Random(number)
    if choice.random() < 0.3 and os.fork():
        os._exit(0)
    write(time.monotonic() + choice.random() * 0.6, choice)
    if choice.random() < 0.2:
        os.execv("/bin/true", ["true"])
    os._exit(0)


number, own, end = 0, random.Random(0), time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    number += 1
    if os.fork() == 0:
        serve(number)
    write(time.monotonic() + float(sys.argv[2]), own)
os._exit(0)
