"""Load a plugin in a process of its own first: one that ends, hangs or changes its process does it there.

What loads well is noted in the cache, by the sizes and times of its files, and not tried again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework.machine import cache
from foliolab.framework.plugins import discovery
from foliolab.framework.plugins.discovery import Attempt, PluginFailure, Source

if TYPE_CHECKING:
    from foliolab.framework.isolation.process import Child

MORE_SECONDS: Final = 1.0
"""Seconds after the plugin's own limit, which names the line that was running, until its process is killed."""
NOTE: Final = b"loads well"

Read = Callable[[Attempt], None]


def failure_of(source: Source, read: Read) -> PluginFailure | None:
    """The failure of a plugin that `read` loads in a forked process; None if it loads well, or cannot be tried."""
    trial = begin(source, read)
    if trial is None:
        return None
    try:
        last = trial.child.receive(discovery.SECONDS + MORE_SECONDS)
    finally:
        trial.child.end()
    return trial.failure(last)


def begin(source: Source, read: Read) -> Trial | None:
    """Begin to load a plugin in a forked process; None if it is known to load well, or cannot be tried."""
    key = _key(source)
    if cache.read(key) == NOTE:
        return None
    import multiprocessing  # as slow as reading a plugin

    from foliolab.framework.isolation.process import Child, can_fork

    # A daemon may have no children. Its parent has loaded the plugin before.
    if not can_fork() or multiprocessing.current_process().daemon:
        return None
    return Trial(source, key, Child(_try, source, read, method="fork", leads_group=True))


@dataclass(frozen=True)
class Trial:
    """A plugin that is being loaded in a process of its own.

    Args:
        source: the plugin.
        key: under which the cache notes that it loads well.
        child: the process. It has to be ended, at the latest `MORE_SECONDS` after the plugin's own limit.
    """

    source: Source
    key: str
    child: Child

    def failure(self, last: object) -> PluginFailure | None:
        """The failure that the last message of the process means, or None; no message means that it did not end."""
        from foliolab.framework.isolation.process import Answer, Crash, Failure

        if isinstance(last, Answer):
            if last.value is None:
                cache.write(self.key, NOTE)
            return last.value  # type: ignore[no-any-return]  # what `_try` returns
        text = f"did not end within {discovery.SECONDS:g} s, and took no signal"
        if isinstance(last, Crash):
            text = f"its process {last.how} when it was loaded"
        elif isinstance(last, Failure):
            text = last.error.what
        return Attempt(self.source).failure(text)


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
    own = os.getpid()
    before = {what: look() for what, look in PROCESS.items()}
    attempt = Attempt(source)
    failure = attempt.run(read, dry=True)
    if os.getpid() != own:
        os._exit(1)  # a copy that the plugin made
    if failure is not None:
        return failure
    for what, look in PROCESS.items():
        if look() != before[what]:
            return attempt.failure(f"it {what} when it is loaded")
    return None


def _streams() -> list[object]:
    found: list[object] = [sys.stdin, sys.stdout, sys.stderr, getattr(sys.stderr, "closed", False)]
    for stream in range(3):
        try:
            status = os.fstat(stream)
            found.append((status.st_dev, status.st_ino))
        except OSError:
            found.append(None)
    return found


def _signals() -> object:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, [])


def _has_children() -> bool:
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


PROCESS: Final[dict[str, Callable[[], object]]] = {
    "closes or replaces standard input or output": _streams,
    "changes how signals are handled": _signals,
    "starts threads": threading.active_count,
    "starts processes": _has_children,
    "changes the current folder": os.getcwd,
}
"""What a plugin must leave as it is, since it runs in the program's own process: what it does else -> how to see it."""
