"""A program with known copies and reuses: `python -I -S phases.py KIB FOLIOS [PAUSE]`; prints them as JSON.

Each phase writes a byte to other pages of the same region. The first write after a fork is a fault, and the processes
that map the folio at that time determine whether the kernel copies.
"""

import ctypes
import json
import mmap
import os
import sys
import time

PAGE = 4096
kib, folios = int(sys.argv[1]), int(sys.argv[2])
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
nr = kib * 1024 // PAGE
size = folios * kib * 1024
region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
held = ctypes.c_char.from_buffer(region)
base = ctypes.addressof(held)
del held


def write(first, last, value):
    """Write a byte to the pages from `first` up to `last` of each folio; return the number of pages."""
    for folio in range(folios):
        for page in range(first, last):
            region[(folio * nr + page) * PAGE] = value
    time.sleep(pause)
    return folios * (last - first)


def forked(work):
    """Run `work` in a child; return when it is done, with the child's PID and the pipe that lets it exit."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        work()
        os.write(ready[1], b"r")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    return child, go[1]


def end(child, go):
    """Let the child exit, and wait for it."""
    os.write(go, b"g")
    os.waitpid(child, 0)


quarter = nr // 4
region.madvise(mmap.MADV_HUGEPAGE)
write(0, nr, 1)
region.madvise(mmap.MADV_NOHUGEPAGE)
known = {"base": base // PAGE, "pages": size // PAGE, "new": folios, "order": nr.bit_length() - 1}

child, go = forked(lambda: None)
known["parent_copied"] = write(0, quarter, 2)  # shared with the child
end(child, go)
known["parent_reused"] = write(quarter, 2 * quarter, 3)  # the child is gone

child, go = forked(lambda: write(2 * quarter, 3 * quarter, 4))
known["child_copied"] = folios * quarter
end(child, go)
known["parent_reused"] += write(2 * quarter, nr, 5)  # exclusive again, also where the child had copied
region.madvise(mmap.MADV_DONTNEED, 0, size // 2)
known["unmapped"] = size // 2 // PAGE
print(json.dumps(known))
sys.stdout.flush()
os._exit(0)
