"""What is recorded: a command that is started, or processes that run already, with everything that they fork."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError, UsageError

PROC: Path = Path("/proc")
POLL: Final = 0.05
STOP: Final = 5.0
"""Seconds that a tool or command gets to end before it is killed."""

Attached = Callable[[list[int]], object]
"""Called with processes that are being recorded from now on, and have mapped memory before."""

GATE: Final = "import os, sys\nif os.read(int(sys.argv[1]), 1):\n    os.execvp(sys.argv[2], sys.argv[2:])\n"
"""Waits for a byte, then becomes the command: what follows a process by its pid must know it before it runs."""


@dataclass(frozen=True)
class Target:
    """What to record.

    Args:
        command: to start; empty for a running process.
        pid: that process; 0 for a command.
        seconds: how long at most; 0 until the command or the process ends.
    """

    command: tuple[str, ...] = ()
    pid: int = 0
    seconds: float = 0

    def check(self) -> None:
        """See that it is there.

        Raises:
            UsageError: it is neither or both, there is no such command or process.
        """
        if bool(self.command) == bool(self.pid):
            raise UsageError("there is nothing to record", "name --pid PID, or a command after --")
        if self.seconds < 0:
            raise UsageError("a recording cannot take less than no time", "choose --seconds from 0 up")
        if self.command and shutil.which(self.command[0]) is None:
            raise UsageError(f"there is no command {self.command[0]!r}", "check its name, and $PATH")
        if self.pid and not (PROC / str(self.pid)).exists():
            raise UsageError(f"there is no process {self.pid}", "check the pid")

    @property
    def text(self) -> str:
        """As a user would type it."""
        return shlex.join(self.command) if self.command else f"--pid {self.pid}"


def children() -> dict[int, list[int]]:
    """The running processes by their parent."""
    found: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                if fields[0] != "Z":
                    found.setdefault(int(fields[1]), []).append(int(folder.name))
    return found


def tree(*roots: int) -> list[int]:
    """Processes and all that descend from them, as far as they run."""
    below, found, left = children(), [], list(roots)
    running = {pid for pids in below.values() for pid in pids}
    while left:
        pid = left.pop()
        if pid not in found and pid in running:
            found.append(pid)
            left += below.get(pid, [])
    return found


@contextmanager
def gated(command: tuple[str, ...]) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], None]]]:
    """A command that waits to be let go: its process, and the function that lets it."""
    read, write = os.pipe()
    try:
        child = subprocess.Popen(  # the caller waits for it
            [sys.executable, "-I", "-S", "-c", GATE, str(read), *command], pass_fds=(read,)
        )
    finally:
        os.close(read)
    opened = [write]

    def go() -> None:
        os.write(write, b"x")
        os.close(opened.pop())

    try:
        yield child, go
    finally:
        for fd in opened:
            os.close(fd)
        finish(child)


def finish(process: subprocess.Popen[bytes], first: signal.Signals = signal.SIGTERM) -> None:
    """See that a process has ended: ask it, and after a while insist."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """Ctrl-C ends what is recorded, not the recorder: the list is no longer empty after it."""
    pressed: list[bool] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(True))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def wait(target: Target, done: Callable[[], bool], tick: Callable[[], object] = lambda: None) -> None:
    """Wait until `done`, the target's time is over, or Ctrl-C; call `tick` again and again."""
    end = time.monotonic() + target.seconds if target.seconds else None
    with interruptible() as pressed:
        while not done() and not pressed and (end is None or time.monotonic() < end):
            tick()
            time.sleep(POLL)


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str, seconds: float, log: Path) -> None:
    """Wait until a tool is ready.

    Raises:
        KernelError: it ended, or took too long; with what it said.
    """
    end = time.monotonic() + seconds
    while not ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > end:
            if ended and ready():
                return
            said = said_in(log)
            raise KernelError(
                f"{what} {'ended' if ended else f'was not ready after {seconds:g} s'}{f': {said}' if said else ''}",
                "`foliolab doctor` says what can record here; choose another with --by",
            )
        time.sleep(POLL / 5)


def said_in(log: Path) -> str:
    """The last line of a tool's messages that says something."""
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""
    return ""
