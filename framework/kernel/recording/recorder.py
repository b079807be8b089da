"""What all ways of recording have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.kernel.recording.target import Attached, Target


class Recorder(ABC):
    """One way of recording.

    Args:
        folder: for its text, which may become large.

    Attributes:
        name: of the way.
        notes: what the header should say.
        status: what the command ended with.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.status = 0

    @abstractmethod
    def run(self, target: Target, attached: Attached) -> None:
        """Record until the target ends.

        Args:
            target: what.
            attached: called with processes that ran before, once they are being recorded.

        Raises:
            KernelError: this way does not work here.
        """

    @abstractmethod
    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        """What was recorded, in the order of time; adds the texts that it reads to `sources`."""
