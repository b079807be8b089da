"""The folder of a sweep: one file for each finished task. A task whose file is there does not run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import ResultFileError, UsageError
from foliolab.framework.results import provenance
from foliolab.framework.sweep.task import Task


class _Complete(msgspec.Struct):
    complete: bool = True


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
        """Whether a task is finished: its file is readable, and the run was not interrupted."""
        try:
            return msgspec.json.decode(self.path_of(task).read_bytes(), type=_Complete).complete
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return False

    def keep(self, task: Task, data: bytes) -> None:
        """Write a result.

        Raises:
            ResultFileError: the result is damaged or incomplete, or the file cannot be written.
        """
        try:
            whole = msgspec.json.decode(data, type=_Complete).complete
        except (msgspec.DecodeError, msgspec.ValidationError) as fault:
            raise ResultFileError(f"{task.name}: its result is damaged: {fault}", "run the sweep again") from fault
        if not whole:
            raise ResultFileError(f"{task.name}: the run was interrupted", "run the sweep again")
        write_atomically(self.path_of(task), data)

    def files(self, tasks: Sequence[Task]) -> list[Path]:
        return [self.path_of(task) for task in tasks if self.has(task)]
