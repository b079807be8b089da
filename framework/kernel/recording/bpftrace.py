"""Records with bpftrace: the tracepoints of `foliolab.bt`, without BTF or kprobes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording import tracefs
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.target import Attached, Target, finish, gated, said_in, tree, until, wait
from foliolab.framework.trace.importers import bpftrace
from foliolab.framework.trace.importers.order import in_order

SCRIPT: Final = Path(__file__).with_name("foliolab.bt")
LIMITS: Final = {"BPFTRACE_PERF_RB_PAGES": "8192", "BPFTRACE_MAP_KEYS_MAX": "65536"}
"""Pages of buffer a CPU, and how many processes can be followed at once."""
READY: Final = 30.0
DRAIN: Final = 60.0
READY_LINE: Final = "# attached"


def program(pids: list[int]) -> str:
    """The script that follows these processes and their descendants."""
    marks = " ".join(f"@t[{pid}] = 1;" for pid in pids)
    begin = f'BEGIN {{ {marks} printf("{bpftrace.MAGIC}\\n"); }}\n'
    text = SCRIPT.read_text("utf-8")
    if not _has_group_dead():
        text = text.replace("args->group_dead", "pid == tid")
    # BEGIN runs before the other probes are attached, one by one: the first and the last of them say so themselves
    ready = [f'interval:ms:10 /!@ready[{n}]/ {{ @ready[{n}] = 1; printf("{READY_LINE} {n}\\n"); }}\n' for n in (1, 2)]
    return begin + ready[0] + text + ready[1] + "END { clear(@t); clear(@ready); }\n"


def _has_group_dead() -> bool:
    """Whether sched_process_exit tells the last thread of a process (6.16 on); assumed where it cannot be seen."""
    try:
        return "group_dead" in Path(tracefs.PLACE, "events/sched/sched_process_exit/format").read_text()
    except OSError:
        return True


def trial(folder: Path) -> None:
    """See that bpftrace can run the script here.

    Raises:
        KernelError: it cannot; with what it says.
    """
    if shutil.which("bpftrace") is None:
        raise KernelError("there is no bpftrace", "install it: apt-get install bpftrace")
    with _running([os.getpid()], folder, "trial"):
        pass


@contextmanager
def _running(pids: list[int], folder: Path, name: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The script at work on these processes, and the file that it prints to."""
    script, out, log = (folder / f"{name}.{kind}" for kind in ("bt", "txt", "log"))
    tracefs.ensure()
    script.write_text(program(pids), "utf-8")
    with log.open("wb") as messages, out.open("wb") as text:
        process = subprocess.Popen(  # not its -o, which is buffered whatever -B says
            ["bpftrace", "-B", "line", str(script)], stdin=subprocess.DEVNULL, stdout=text, stderr=messages,
            env={**os.environ, **LIMITS}, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: _attached(out), process, "bpftrace", READY, log)
        yield process, out
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(DRAIN)
        except subprocess.TimeoutExpired:
            finish(process)


def _attached(out: Path) -> bool:
    """Whether the first and the last probe are at work."""
    return out.read_text("utf-8", "replace").count(READY_LINE) >= 2


class BpftraceRecorder(Recorder):
    """Records by bpftrace."""

    name = "bpftrace"

    def run(self, target: Target, attached: Attached) -> None:
        """Record; `attached` is called with the running processes once they are being recorded."""
        if shutil.which("bpftrace") is None:
            raise KernelError("there is no bpftrace", "install it: apt-get install bpftrace")
        with ExitStack() as stack:
            if target.command:
                child, go = stack.enter_context(gated(target.command))
                process, _ = stack.enter_context(_running([child.pid], self.folder, "main"))
                go()
                wait(target, lambda: child.poll() is not None)
                finish(child)
                self.status = child.returncode
            else:
                pids = tree(target.pid)
                process, _ = stack.enter_context(_running(pids, self.folder, "main"))
                attached(pids)
                wait(target, lambda: process.poll() is not None or not Path(f"/proc/{target.pid}").exists())

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        """What was recorded, in the order of time."""
        out = self.folder / "main.txt"
        with out.open(encoding="utf-8", errors="replace") as text:
            source = TraceSource("bpftrace's output", text)
            sources.append(source)
            yield from in_order(bpftrace.read(source))
        if "Lost" in (said := said_in(self.folder / "main.log")):
            self.notes.append(f"bpftrace said: {said}.")
