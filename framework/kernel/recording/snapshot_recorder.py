"""Recording with snapshots, one after the other; `trace.importers.snapshots` infers what happened between two."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.processes import process_tree
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.snapshots import line, take
from foliolab.framework.kernel.recording.target import Target, finish, gated
from foliolab.framework.trace.importers import READERS, snapshots

INTERVAL: Final = 0.25
"""Seconds from the end of a snapshot to the beginning of the next; a snapshot of 1 GiB takes about 0.1 s."""


class SnapshotRecorder(Recorder):
    """Records snapshots of the page tables."""

    name = "snapshots"
    shows = "which process maps which folio, some times a second"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._known: set[int] = set()
        self._taken = 0

    def trial(self) -> None:
        if not any(len(process.page) for process in take([os.getpid()]).processes):
            raise KernelError(
                "the frames of processes cannot be seen here", "it needs root: CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH"
            )

    def run(self, target: Target, attachment: Attachment) -> None:
        self.trial()
        with (self.folder / "main.jsonl").open("w", encoding="utf-8") as file:
            file.write(json.dumps({"foliolab": snapshots.MAGIC, "version": snapshots.VERSION}) + "\n")
            if target.command:
                with gated(target.command, target.account) as command:
                    command.go()
                    self._known = {command.pid}
                    self._follow(target, file, lambda: command.process.poll() is not None)
                    finish(command.process)
                self.status = command.process.returncode
            else:
                self._follow(target, file, target.over)
        self.notes.append(
            f"{self._taken} snapshots, {self.every or INTERVAL:g} s and more apart: what came and went between two is "
            "missed, and the order of what happened between two is not known."
        )

    def _follow(self, target: Target, file: IO[str], done: Callable[[], bool]) -> None:
        last = [0.0]

        def tick() -> None:
            if last[0] and time.monotonic() - last[0] < (self.every or INTERVAL):
                return
            # init adopts a process whose parent has exited, so every process stays a root of the search while it lives
            self._known = {*process_tree(*self._known), *(target.running() if target.runs_already else ())}
            file.write(line(take(sorted(self._known))))
            self._taken += 1
            last[0] = time.monotonic()

        with suppress(KeyboardInterrupt):
            self.wait(target, done, tick)

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        # what was recorded here is as large as it is
        whole = replace(READERS["snapshots"], read=partial(snapshots.read, most=1 << 40))
        return self.read_output("main.jsonl", "the snapshots", whole, sources)
