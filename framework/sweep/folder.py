"""The folder of a sweep: a file a task that is done, written whole or not at all; what lies there is not run again."""

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
    """Results by task.

    Args:
        path: of the folder; made if there is none.

    Raises:
        UsageError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.versions = f"{provenance.versions().get('foliolab', '')} {provenance.git()}"
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise UsageError(f"{path} cannot be made: {fault.strerror}", "choose another --output") from fault

    def place(self, task: Task) -> Path:
        """Where a task's result lies, or will."""
        return self.path / f"{task.key(self.versions)}.json"

    def has(self, task: Task) -> bool:
        """Whether a task is done: its file is there, whole, and was not interrupted."""
        try:
            return msgspec.json.decode(self.place(task).read_bytes(), type=_Complete).complete
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return False

    def keep(self, task: Task, data: bytes) -> None:
        """Write a result.

        Raises:
            ResultFileError: it is none, was interrupted, or the place cannot be written to.
        """
        try:
            whole = msgspec.json.decode(data, type=_Complete).complete
        except (msgspec.DecodeError, msgspec.ValidationError) as fault:
            raise ResultFileError(f"{task.name}: its result is damaged: {fault}", "run the sweep again") from fault
        if not whole:
            raise ResultFileError(f"{task.name}: it was interrupted", "run the sweep again")
        write_atomically(self.place(task), data)

    def files(self, tasks: Sequence[Task]) -> list[Path]:
        """The files of the tasks that are done, in their order."""
        return [self.place(task) for task in tasks if self.has(task)]
