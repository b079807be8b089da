"""One task of a sweep: a command of FolioLab that writes a result file, in a process of its own.

A task consists of words: names and parameters, never a policy's code. A plugin that crashes ends only its own task, and
the workers of a cluster need only an installed FolioLab and the plugin files that the words name.
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
from foliolab.framework.isolation import safepath
from foliolab.framework.isolation.process import ending

SHOWN = 400
"""Characters of a failed command's messages that are shown."""


class TaskFailed(FolioLabError):
    """A task's command wrote no complete result."""


@dataclass(frozen=True)
class Task:
    """A task.

    Args:
        name: for messages, such as `munmap at 64K, seed 1`.
        words: the command after `foliolab`, without --json.
        limit: seconds after which its process is killed.
    """

    name: str
    words: tuple[str, ...]
    limit: float = 3600.0

    def key(self, versions: str) -> str:
        text = "\0".join([*self.words, versions])
        return f"{self.words[0]}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


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
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foliolab-sweep-") as folder:
        path = Path(folder) / "result.json"
        words = [sys.executable, safepath.FLAG, "-m", "foliolab.framework.cli", *task.words, "--json", str(path)]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                errors="replace", timeout=task.limit, check=False, cwd=folder,
            )  # fmt: skip
        except subprocess.TimeoutExpired as fault:
            raise TaskFailed(f"{task.name}: did not end within {task.limit:g} s", "choose a smaller grid") from fault
        if not path.is_file() or done.returncode not in (0, 1):
            said = " ".join(done.stderr.split())[-SHOWN:]
            raise TaskFailed(f"{task.name}: {ending(done.returncode)}: {said or 'no message'}", _repeat(task))
        return Done(path.read_bytes(), time.monotonic() - began, f"{os.uname().nodename}:{os.getpid()}")


def _repeat(task: Task) -> str:
    import shlex

    return f"repeat it alone: foliolab {shlex.join(task.words)}"
