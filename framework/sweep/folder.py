"""The folder of a sweep: one file for each finished task. A task whose file is there does not run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework.errors import ResultFileError, UsageError
from foliolab.framework.replay.result import ReplayResult
from foliolab.framework.results import provenance
from foliolab.framework.results.result import Result
from foliolab.framework.sweep.task import Task
from foliolab.framework.verify.verifier import Verdicts

Found = Result | Verdicts | ReplayResult
KINDS: Final[dict[str, type[Found]]] = {"compare": Result, "verify": Verdicts, "replay": ReplayResult}
"""The results by the first word of a task."""


class Folder:
    """The results of a sweep, by task.

    Args:
        path: the folder, which is created if necessary.

    Raises:
        UsageError: the folder cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.versions = f"{provenance.versions().get('foliolab', '')} {provenance.git()}"
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise UsageError(f"{path} cannot be created: {fault.strerror}", "choose another --output") from fault

    def path_of(self, task: Task) -> Path:
        return self.path / f"{task.key(self.versions)}.json"

    def has(self, task: Task) -> bool:
        """Whether a task is finished: its file is valid, complete, and of this very task."""
        try:
            found = KINDS[task.words[0]].load(self.path_of(task))
        except ResultFileError:
            return False
        return _whole(found) and found.task == task.key(self.versions)

    def keep(self, task: Task, data: bytes) -> None:
        """Write a result.

        Raises:
            ResultFileError: the result is damaged or incomplete, a file that the task names has changed meanwhile, or
                the result cannot be written.
        """
        again = "run the sweep again"
        try:
            found = KINDS[task.words[0]].decode(data, "its result")
        except ResultFileError as fault:
            raise ResultFileError(f"{task.name}: {fault.what}", again) from fault
        if not _whole(found):
            raise ResultFileError(f"{task.name}: the run was interrupted", again)
        if path := task.changed():
            raise ResultFileError(f"{task.name}: {path} has changed since the sweep began", again)
        msgspec.structs.replace(found, task=task.key(self.versions)).save(self.path_of(task))

    def files(self, tasks: Sequence[Task]) -> list[Path]:
        return [self.path_of(task) for task in tasks if self.has(task)]


def _whole(found: Found) -> bool:
    return not found.interrupted if isinstance(found, Verdicts) else found.complete
