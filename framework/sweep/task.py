"""One task of a sweep: a command of FolioLab that writes a result file, in a process of its own.

A task consists of words: names and parameters, never a policy's code. A plugin that crashes ends only its own task, and
the workers of a cluster need only an installed FolioLab and the plugin files that the words name.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from foliolab.framework.errors import ExitCode, FolioLabError
from foliolab.framework.isolation import safepath
from foliolab.framework.isolation.commands import kept
from foliolab.framework.isolation.memory import oom_kills
from foliolab.framework.isolation.process import ending
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.sweep import forgotten

SHOWN: Final = 400
"""Characters of a failed command's messages that are shown."""
LOOK: Final = 0.5
"""Seconds between two looks whether a task is still wanted."""

_running: Final[set[subprocess.Popen[str]]] = set()
_starting: Final = threading.Lock()


class TaskFailed(FolioLabError):
    """A task's command wrote no complete result."""


class TaskLost(FolioLabError):
    """A task's process was killed from outside; it can be tried again."""


@dataclass(frozen=True)
class FileText:
    """The content of a file at one time.

    Args:
        digest: of the content; "missing" for a file that cannot be read.
        version: size and times, by which a change is noticed.
    """

    digest: str
    version: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """A task.

    Args:
        name: for messages, such as `munmap at 64K, seed 1`.
        words: the command after `foliolab`, without --json.
        limit: seconds after which its process is killed.
        digests: of the texts that the words name: policies, engine and verifier.
        files: paths of the plugins, workloads and traces that the words name.
    """

    name: str
    words: tuple[str, ...]
    limit: float = 3600.0
    digests: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def key(self, versions: str) -> str:
        """What the result depends on: the words, the content of what they name, and the versions."""
        contents = [content(path).digest for path in self.files]
        text = "\0".join([*self.words, versions, *self.digests, *contents])
        return f"{self.words[0]}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def changed(self) -> str:
        """A file that is no longer as it was when the key was made; empty: none."""
        return next((path for path in self.files if _version(path) != content(path).version), "")


@cache
def content(path: str) -> FileText:
    """A file as it is at the first call."""
    version = _version(path)
    try:
        with open(path, "rb") as file:
            return FileText(hashlib.file_digest(file, "sha256").hexdigest(), version)
    except OSError:  # the task itself says what is wrong
        return FileText("missing", version)


def _version(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@dataclass(frozen=True)
class Done:
    """The result of a task.

    Args:
        data: the result file.
        seconds: that the task took.
        host: name of the host and number of the process.
    """

    data: bytes
    seconds: float
    host: str


def run(task: Task) -> Done:
    """Run a task in this process's own child.

    Raises:
        TaskFailed: the command wrote no result; has its messages.
        TaskLost: its process was killed from outside.
    """
    began, kills = time.monotonic(), oom_kills()
    with scratch() as folder:
        path = folder / "result.json"
        words = [sys.executable, safepath.FLAG, "-m", "foliolab.framework.cli", *task.words, "--json", str(path)]
        code, said = _command(kept(words), folder, task)
        if code == -signal.SIGKILL:
            raise TaskLost(f"{task.name}: it {ending(code, kills)}", "try fewer --workers")
        if not path.is_file() or code not in (ExitCode.GOOD, ExitCode.COMPARISON_FAILED, ExitCode.UNDECIDED):
            said = " ".join(said.split())[-SHOWN:]
            raise TaskFailed(f"{task.name}: {ending(code)}: {said or 'no message'}", _repeat(task))
        return Done(path.read_bytes(), time.monotonic() - began, f"{os.uname().nodename}:{os.getpid()}")


def _command(words: list[str], folder: Path, task: Task) -> tuple[int, str]:
    """Run a task's command: its exit code and its messages."""
    with _starting:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace", cwd=folder,
        )  # fmt: skip
        _running.add(process)
    is_forgotten, until = forgotten.watch(), time.monotonic() + task.limit
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                said = process.communicate(timeout=LOOK)[1]
                return process.returncode, said
            if time.monotonic() > until:
                raise TaskFailed(f"{task.name}: did not end within {task.limit:g} s", "choose a smaller grid")
            if is_forgotten():
                raise TaskFailed(f"{task.name}: its sweep has stopped", "start that again")
    finally:
        _running.discard(process)
        process.kill()
        process.wait()


def end_all() -> None:
    """Kill the processes of all tasks that run in this process's threads."""
    with _starting:
        for process in list(_running):
            process.kill()


def _repeat(task: Task) -> str:
    import shlex

    return f"repeat it alone: foliolab {shlex.join(task.words)}"
