"""Commands that FolioLab starts: recording tools, recorded programs, and itself for a task of a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

KEEPER: Final = Path(__file__).with_name("keeper.py")


def kept(command: Sequence[str], gate: int = -1, user: str = "-", named: bool = False) -> list[str]:
    """The words that start a command which ends, with all its descendants, when this process ends (see `keeper`).

    Args:
        gate: a descriptor to pass on; the command's process writes its PID there and waits for a byte. -1: none.
        user: UID:GID:GROUPS to execute the command as, with commas between groups; "-": as this process.
        named: whether stderr names the processes that are left when the command ends, and that end with it.
    """
    if sys.platform != "linux":
        return list(command)
    keeper = [sys.executable, "-I", "-S", os.fspath(KEEPER), str(os.getpid())]
    return [*keeper, str(gate), user, "named" if named else "-", *command]


@contextmanager
def piped(command: Sequence[str], messages: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A command whose output is read (`stdout`); it is killed if the block ends first.

    Args:
        messages: the file that its messages go to.
    """
    process = subprocess.Popen(kept(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def end(process: subprocess.Popen[Any], seconds: float) -> None:
    """Give a process that was asked to end some seconds for it, kill it after that, and wait for its end."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
