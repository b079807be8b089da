"""Recording with strace: process lifecycles and ranges, without faults and without privileges."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.commands import kept
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.target import (
    Target,
    finish,
    last_message,
    require_tool,
)
from foliolab.framework.trace.importers import READERS

OPTIONS: Final = ("-f", "-ttt", "-e", "trace=%memory,%process", "-e", "signal=none")
TRIAL_SECONDS: Final = 20.0


class StraceRecorder(Recorder):
    """Records the system calls that change address spaces."""

    name = "strace"
    shows = "lifecycles and ranges, no faults"

    def trial(self) -> None:
        require_tool("strace")
        log = self.folder / "trial.log"
        with log.open("wb") as messages:
            done = subprocess.run(
                kept(["strace", *OPTIONS, "-o", str(self.folder / "trial.txt"), "true"]),
                stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, timeout=TRIAL_SECONDS, check=False,
            )  # fmt: skip
        if done.returncode:
            raise KernelError(
                f"strace does not work here: {last_message(log)}", "is ptrace forbidden, as in some containers?"
            )

    def run(self, target: Target, attachment: Attachment) -> None:
        require_tool("strace")
        started = list(target.command)
        if account := target.account:
            names = [word for name, value in account.names.items() for word in ("-E", f"{name}={value}")]
            started = ["-u", account.name, *names, *started]
        pids = target.running() if target.runs_already else []
        traced = started or [word for pid in pids for word in ("-p", str(pid))]
        process = subprocess.Popen(kept(["strace", *OPTIONS, "-o", str(self.folder / "main.txt"), *traced]))
        try:
            self.wait(target, lambda: process.poll() is not None)
        finally:
            finish(process)
        self.status = process.returncode

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        return self.read_output("main.txt", "strace's output", READERS["strace"], sources)
