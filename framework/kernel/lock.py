"""A lock file, so that one run at a time changes settings of the host.

The lock is a flock(2), as the command `flock` takes it: the kernel releases it when the process ends, also after
kill -9. A flock belongs to the open file, which a forked child inherits, so a child that outlives the run would keep
the lock. Therefore a child closes the descriptor right after the fork.
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
"""Seconds between two attempts to take a lock that another run has."""

_held: set[int] = set()
"""Descriptors of the locks that this process has."""


def _close_inherited() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


@contextmanager
def locked(path: Path, wait: float | None, what: str) -> Iterator[None]:
    """Take a lock for the duration of the context.

    Args:
        path: the lock file; it is made with its folder if it does not exist.
        wait: seconds to wait for another run; None: without limit.
        what: what the lock protects, for messages.

    Raises:
        KernelError: another run has the lock (the message names it), or the file cannot be opened.
    """
    file = _open(path, what)
    _held.add(file)
    owner = os.getpid()
    try:
        _take(file, path, wait, what)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{owner} {' '.join(sys.argv)}"[:200].encode(errors="replace"), 0)
        yield
        os.ftruncate(file, 0)  # not after an exception; `_holder` reads the file only while it is locked
    finally:
        if os.getpid() == owner:  # a forked child has closed its descriptor already
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
            f"{path}, the lock file for {what}, cannot be opened: {fault.strerror}",
            "run as root; the settings are global to the host",
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
