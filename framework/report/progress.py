"""Progress on stderr: a bar with the remaining time for whatever takes longer than a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final, Self

QUIET: Final = 1.0
"""Seconds before a bar appears: what ends sooner shows none."""


class Progress:
    """Shows phases of a run while the block runs; silent where stderr is no terminal.

    Calling it reports a step: `progress(phase, done, total)`, total 0 where it is unknown.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.bars: Any = None
        self.phase = ""
        self.task: Any = None
        self.wanted = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """A step of a phase is done."""
        if not self.wanted or time.monotonic() - self.began < QUIET:
            return
        if self.bars is None:
            self._start()
        if phase != self.phase:
            if self.task is not None:
                self.bars.remove_task(self.task)
            self.phase, self.task = phase, self.bars.add_task(phase, total=None)
        self.bars.update(self.task, completed=done, total=total or None)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bars = Bars(*columns, console=console, transient=True)
        self.bars.start()
