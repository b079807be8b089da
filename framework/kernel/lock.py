"""One run at a time: a lock on a file, which ends with the process, and which forked children do not keep.

It is a flock(2), as `flock FILE COMMAND` takes it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError

POLL: Final = 0.05
"""Seconds between two looks at a lock that another run holds."""

_held: set[int] = set()
"""Descriptors of locks that this process holds."""


def _forget_locks() -> None:
    """In a forked child: the lock is the parent's; a child that outlives it must not keep it."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


@contextmanager
def locked(path: Path, wait: float | None, what: str) -> Iterator[None]:
    """Hold a lock.

    Args:
        path: the file; made where it is not there, with its folder.
        wait: seconds to wait for another run; None without limit.
        what: what the lock is for, as in "the machine's THP settings".

    Raises:
        KernelError: another run holds it (says which), or the file cannot be opened.
    """
    file = _open(path, what)
    _held.add(file)
    owner = os.getpid()
    try:
        _take(file, path, wait, what)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{owner} {' '.join(sys.argv)}"[:200].encode(errors="replace"), 0)
        yield
        os.ftruncate(file, 0)  # after an exception a stale name is left: `_holder` is asked only while it is locked
    finally:
        if os.getpid() == owner:  # a forked child closed its own at the fork
            _held.discard(file)
            os.close(file)


def _open(path: Path, what: str) -> int:
    if sys.platform != "linux":
        raise KernelError(f"the running kernel is not Linux but {sys.platform}", "use the model: --on model")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as fault:
        raise KernelError(
            f"{path}, the lock of whoever changes {what}, cannot be opened: {fault.strerror}",
            "run as root; they are the whole machine's",
        ) from fault


def _take(file: int, path: Path, wait: float | None, what: str) -> None:
    import fcntl

    end = None if wait is None else time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as fault:
            if end is not None and time.monotonic() >= end:
                raise KernelError(
                    f"{_holder(file)} is using {what} ({path} is locked)",
                    "wait until it ends, or end it",
                ) from fault
        time.sleep(POLL)


def _holder(file: int) -> str:
    pid, _, command = os.pread(file, 256, 0).decode(errors="replace").partition(" ")
    return f"process {pid} ({command})" if pid.isdigit() else "another process"
