"""The interface of all recorders."""

from __future__ import annotations

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Final

from foliolab.framework.contract.trace_reader import TraceReader, TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.target import Target, wait
from foliolab.framework.trace.header import Shows
from foliolab.framework.trace.importers.checked import records_of

RAW: Final = frozenset({".data", ".txt", ".jsonl"})
"""What the names of files with raw data end with."""


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
        most: bytes that the tool's files may have; 0: any number.
        tell: is told when the recording of a target that runs already has begun.
        every: seconds between two snapshots; 0: as often as is usual.
    """

    name: ClassVar[str]
    shows: ClassVar[str]
    kinds: ClassVar[Shows] = Shows()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.status = 0
        self.most = 0
        self.tell: Callable[[str], object] = bool
        self.every = 0.0

    def wait(self, target: Target, done: Callable[[], bool], tick: Callable[[], object] = bool) -> None:
        """Wait until `done`, until the target's time is over, until the tool's files are too large, or until a signal.

        Args:
            tick: called again and again meanwhile.
        """
        if target.runs_already:
            self.tell(f"recording with {self.name} since {time.strftime('%H:%M:%S')}; Ctrl-C ends it")
        wait(target, lambda: done() or self._is_full(), tick)

    def _is_full(self) -> bool:
        if not self.most or sum(path.stat().st_size for path in self.raw()) < self.most:
            return False
        self.notes.append(f"The recording ended when its raw data reached {self.most:,} bytes.")
        return True

    def raw(self) -> list[Path]:
        """The files with what the tool recorded."""
        return [path for path in sorted(self.folder.glob("*.*")) if path.suffix in RAW and path.is_file()]

    def keep(self, out: str | os.PathLike[str]) -> list[str]:
        """Keep the raw data beside a trace that could not be made; the names of the files."""
        kept = []
        for path in self.raw():
            if path.stat().st_size:
                kept.append(f"{os.fspath(out)}.{path.name}")
                shutil.move(path, kept[-1])
        return kept

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
