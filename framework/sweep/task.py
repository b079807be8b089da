"""One task of a sweep: a command of FolioLab that writes a result file, run in a process of its own.

A task is words: names and parameters, never a policy's code. So a plugin that crashes costs its own task, and a
cluster's workers need nothing but an installed FolioLab (and the plugin files, where some are named).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from foliolab.framework.errors import FolioLabError

SHOWN = 400
"""Characters of what a failed command said."""


class TaskFailed(FolioLabError):
    """A task's command wrote no result, or only a part of one."""


@dataclass(frozen=True)
class Task:
    """A task.

    Args:
        name: for people, such as `munmap at 64K, seed 1`.
        words: the command behind `foliolab`, without --json.
        limit: seconds after which its process is ended.
    """

    name: str
    words: tuple[str, ...]
    limit: float = 3600.0

    def key(self, versions: str) -> str:
        """What its result is called: the same for the same command of the same FolioLab."""
        text = "\0".join([*self.words, versions])
        return f"{self.words[0]}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


@dataclass(frozen=True)
class Done:
    """What came of a task.

    Args:
        data: the result file.
        seconds: how long it took.
        host: where it ran, and in which process.
    """

    data: bytes
    seconds: float
    host: str


def run(task: Task) -> Done:
    """Run a task here.

    Raises:
        TaskFailed: it wrote no result; with what it said.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foliolab-sweep-") as folder:
        place = Path(folder) / "result.json"
        words = [sys.executable, "-m", "foliolab.framework.cli", *task.words, "--json", str(place)]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                errors="replace", timeout=task.limit, check=False, cwd=folder,
            )  # fmt: skip
        except subprocess.TimeoutExpired as fault:
            raise TaskFailed(f"{task.name}: did not end within {task.limit:g} s", "give it less to do") from fault
        if not place.is_file() or done.returncode not in (0, 1):
            said = " ".join(done.stderr.split())[-SHOWN:]
            raise TaskFailed(f"{task.name}: ended with {done.returncode}: {said or 'no message'}", _repeat(task))
        return Done(place.read_bytes(), time.monotonic() - began, f"{os.uname().nodename}:{os.getpid()}")


def _repeat(task: Task) -> str:
    import shlex

    return f"repeat it alone: foliolab {shlex.join(task.words)}"
