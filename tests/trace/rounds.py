"""A program that runs when its recording begins: `python -I -S rounds.py SECONDS`; prints its region, then loops.

Each round forks a child, writes a page that the child shares (a copy), and, after the child's exit, another page of
the same folio (a reuse). No page is written twice.
"""

import ctypes
import json
import mmap
import os
import sys
import time

PAGE = 4096
FOLIO = 16
size = 2048 * PAGE
region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
held = ctypes.c_char.from_buffer(region)
base = ctypes.addressof(held)
del held
region.madvise(mmap.MADV_HUGEPAGE)
for offset in range(0, size, PAGE):
    region[offset] = 1
region.madvise(mmap.MADV_NOHUGEPAGE)
print(json.dumps({"base": base // PAGE, "pages": size // PAGE}))
sys.stdout.flush()
end = time.monotonic() + float(sys.argv[1])
for first in range(0, size // PAGE, FOLIO):
    if time.monotonic() > end:
        break
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go[0], 1)
        os._exit(0)
    region[first * PAGE] = 2
    os.write(go[1], b"g")
    os.waitpid(child, 0)
    region[(first + 1) * PAGE] = 3
    for fd in (*ready, *go):
        os.close(fd)
    time.sleep(0.1)
os._exit(0)
