"""Records with strace: lifecycles and ranges only, but without any privilege."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.target import Attached, Target, finish, said_in, tree, wait
from foliolab.framework.trace.importers import strace

OPTIONS: Final = ("-f", "-ttt", "-e", "trace=%memory,%process", "-e", "signal=none")
READY: Final = 20.0


def trial(folder: Path) -> None:
    """See that strace can follow a child.

    Raises:
        KernelError: it cannot; with what it says.
    """
    if shutil.which("strace") is None:
        raise KernelError("there is no strace", "install it: apt-get install strace")
    log = folder / "trial.log"
    with log.open("wb") as messages:
        done = subprocess.run(
            ["strace", *OPTIONS, "-o", str(folder / "trial.txt"), "true"],
            stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, timeout=READY, check=False,
        )  # fmt: skip
    if done.returncode:
        raise KernelError(f"strace does not work here: {said_in(log)}", "is ptrace forbidden, as in some containers?")


class StraceRecorder(Recorder):
    """Records by strace."""

    name = "strace"

    def run(self, target: Target, attached: Attached) -> None:
        """Record; `attached` is not called: without faults, what is mapped at the start is of no use."""
        if shutil.which("strace") is None:
            raise KernelError("there is no strace", "install it: apt-get install strace")
        whom = target.command or [word for pid in tree(target.pid) for word in ("-p", str(pid))]
        process = subprocess.Popen(["strace", *OPTIONS, "-o", str(self.folder / "main.txt"), *whom])
        try:
            wait(target, lambda: process.poll() is not None)
        finally:
            finish(process)
        self.status = process.returncode

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        """What was recorded."""
        with (self.folder / "main.txt").open(encoding="utf-8", errors="replace") as text:
            source = TraceSource("strace's output", text)
            sources.append(source)
            yield from strace.read(source)
