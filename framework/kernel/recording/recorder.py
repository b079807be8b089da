"""The interface of all recorders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from foliolab.framework.contract.trace_reader import TraceReader, TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.target import Target
from foliolab.framework.trace.header import Shows
from foliolab.framework.trace.importers.checked import records_of


class Recorder(ABC):
    """One method of recording.

    Args:
        folder: for the files that the tool writes; they may become large.

    Attributes:
        name: the method, as `--by` takes it.
        shows: what its traces contain, in a few words.
        kinds: which kinds of events they can show, whether or not one occurs.
        notes: sentences for the trace's header.
        status: the exit status of the recorded command.
    """

    name: ClassVar[str]
    shows: ClassVar[str]
    kinds: ClassVar[Shows] = Shows()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.status = 0

    @abstractmethod
    def trial(self) -> None:
        """Check on a short run that the method works on this host.

        Raises:
            KernelError: it does not; the message contains what the tool printed.
        """

    @abstractmethod
    def run(self, target: Target, attachment: Attachment) -> None:
        """Record until the target ends.

        Args:
            target: the command or processes.
            attachment: for processes that ran before. Recorders whose traces have no faults, or begin with a snapshot,
                do not read with it what is mapped.

        Raises:
            KernelError: the method does not work on this host.
        """

    @abstractmethod
    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        """Yield the records in the order of time, and add the texts that they come from to `sources`.

        Raises:
            TraceFileError: the tool's output cannot be read.
            KernelError: the tool that converts the recording failed.
        """

    def read_output(self, file: str, title: str, reader: TraceReader, sources: list[TraceSource]) -> Iterator[Record]:
        """Read a text file of the folder with a trace reader; `title` names the file in messages.

        There are no records where the tool ended before it opened its file.
        """
        if not (self.folder / file).exists():
            return
        with (self.folder / file).open(encoding="utf-8", errors="replace") as text:
            source = TraceSource(title, text)
            sources.append(source)
            yield from records_of(reader, source)
