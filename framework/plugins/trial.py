"""Load a plugin in a process of its own first: one that ends, hangs or changes its process does it there.

What loads well is noted by its content in the cache, and not tried again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

from foliolab.framework.machine import cache
from foliolab.framework.plugins import discovery
from foliolab.framework.plugins.discovery import Attempt, PluginFailure, Source

MORE_SECONDS: Final = 1.0
"""Seconds after the plugin's own limit, which names the line that was running, until its process is killed."""
NOTE: Final = b"loads well"

Read = Callable[[Attempt], None]


def failure_of(source: Source, read: Read) -> PluginFailure | None:
    """The failure of a plugin that `read` loads in a forked process; None if it loads well, or cannot be tried."""
    key = _key(source)
    if cache.read(key) == NOTE:
        return None
    import multiprocessing  # as slow as reading a plugin

    from foliolab.framework.isolation.process import Answer, Child, Crash, can_fork

    # A daemon may have no children. Its parent has loaded the plugin before.
    if not can_fork() or multiprocessing.current_process().daemon:
        return None
    child = Child(_try, source, read, method="fork", leads_group=True)
    try:
        last = child.receive(discovery.SECONDS + MORE_SECONDS)
    finally:
        child.end()
    if isinstance(last, Answer) and last.value is None:
        cache.write(key, NOTE)
        return None
    if isinstance(last, Answer):
        return last.value if isinstance(last.value, PluginFailure) else None
    if isinstance(last, Crash):
        return Attempt(source).failure(f"its process {last.how} when it was loaded")
    return Attempt(source).failure(f"did not end within {discovery.SECONDS:g} s, and took no signal")


def _key(source: Source) -> str:
    """A text that changes with the plugin's files, and with what loads them."""
    files = [Path(source.where)] if source.kind == "file" else []
    for root in source.roots if source.kind == "entry" else ():
        files += sorted(Path(root).rglob("*.py")) if os.path.isdir(root) else [Path(root)]
    whole = sha256(f"{version('foliolab')} {sys.version} {source.name} {source.where} {source.stamp()}".encode())
    for file in files:
        try:
            found = file.stat()
        except OSError:
            continue
        whole.update(f"{file} {found.st_mtime_ns} {found.st_size}".encode())
    return whole.hexdigest()


# -- in the child ----------------------------------------------------------------------------------------
def _try(pipe: object, source: Source, read: Read) -> PluginFailure | None:
    """Load the plugin silently: where it loads well, it is loaded once more."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    streams, handlers, threads, folder = _streams(), _handlers(), threading.active_count(), os.getcwd()
    attempt = Attempt(source)
    failure = attempt.run(read, trial=True)
    if failure is not None:
        return failure
    for changed, what in (
        (_streams() != streams, "closes or replaces standard input or output"),
        (_handlers() != handlers, "changes how signals are handled"),
        (threading.active_count() != threads, "starts threads"),
        (os.getcwd() != folder, "changes the current folder"),
    ):
        if changed:
            return attempt.failure(f"it {what} when it is loaded")
    return None


def _streams() -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for stream in range(3):
        try:
            status = os.fstat(stream)
            found.append((status.st_dev, status.st_ino))
        except OSError:
            found.append(None)
    return found


def _handlers() -> dict[int, object]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}
