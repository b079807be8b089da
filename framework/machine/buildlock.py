"""A lock on an entry of the native cache while it is built: others wait, and then load what the builder has made.

It is a POSIX lock on a file beside the entry. The kernel releases it when the builder's process ends, also after
kill -9, and a forked child does not inherit it. A killed builder leaves an empty file, which the next one removes.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from foliolab.framework.machine import cache

PATIENCE: Final = 60.0
"""Seconds to wait for another builder, which may be stopped; afterwards the entry is built twice."""
_PAUSE: Final = 0.02


@contextmanager
def building(key: str) -> Iterator[None]:
    """Lock an entry while the block runs; look for the entry inside. Where no code is kept, nothing is locked."""
    try:
        path = cache.location(key).with_suffix(".lock")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield
        return
    try:
        locked = _lock(handle)
        try:
            yield
        finally:
            if locked:  # those who wait have the file open, and will find the entry
                with suppress(OSError):
                    path.unlink()
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Whether the lock was had before PATIENCE ran out."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX allows either where another process has the lock
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            return False
        else:
            return True
    return False
