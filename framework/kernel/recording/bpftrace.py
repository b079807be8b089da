"""Recording with bpftrace: the tracepoints of `foliolab.bt`, which need neither BTF nor kprobes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TextIO

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.isolation.commands import kept
from foliolab.framework.kernel.recording import tracefs
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.target import (
    Target,
    finish,
    gated,
    last_message,
    require_tool,
    until,
)
from foliolab.framework.trace.header import Shows
from foliolab.framework.trace.importers import READERS, bpftrace
from foliolab.framework.trace.importers.order import in_order

SCRIPT: Final = Path(__file__).with_name("foliolab.bt")
LIMITS: Final = {"BPFTRACE_PERF_RB_PAGES": "8192", "BPFTRACE_MAP_KEYS_MAX": "65536"}
"""Buffer pages per CPU, and the number of processes that the script can follow at once."""
STUCK_SECONDS: Final = 30.0
"""How long bpftrace may use no processor time before it says that its probes are attached."""
DRAIN_SECONDS: Final = 60.0
"""How long bpftrace may take to print what it has when a recording is over, and then to end."""
EVERY, QUIET = 0.02, 0.2
"""Seconds between two looks at an output; seconds without more of it after which it is complete."""
TAIL: Final = 16 << 20
"""Bytes of an output, at least those that follow the exit of a command's first process."""
READY_LINE: Final = "# attached"


def program(pids: list[int]) -> str:
    """The script that follows these processes and their descendants; none: every process but bpftrace itself."""
    marks = " ".join(f"@t[{pid}] = 1;" for pid in pids) or "@own = pid;"
    begin = f'BEGIN {{ {marks} printf("{bpftrace.MAGIC}\\n"); }}\n'
    text = SCRIPT.read_text("utf-8")
    if not pids:
        kept = text.replace("/@t[pid]", "/pid != @own").replace("  @t[args->pid] = 1;\n", "").splitlines()
        text = "".join(f"{line}\n" for line in kept if "delete(@t" not in line and "@t[args->pid]" not in line)
    if not _has_group_dead():
        text = text.replace("args->group_dead", "pid == tid")
    # bpftrace runs BEGIN before it attaches the other probes, one by one. So the first and the last of them each
    # print a line, and the recording is ready when both lines are there.
    ready = [f'interval:ms:10 /!@ready[{n}]/ {{ @ready[{n}] = 1; printf("{READY_LINE} {n}\\n"); }}\n' for n in (1, 2)]
    return begin + ready[0] + text + ready[1] + f"END {{ clear({'@t' if pids else '@own'}); clear(@ready); }}\n"


def _has_group_dead() -> bool:
    """Whether sched_process_exit marks the last thread of a process (Linux 6.16); True if its format is unreadable."""
    try:
        return "group_dead" in Path(tracefs.PATH, "events/sched/sched_process_exit/format").read_text()
    except OSError:
        return True


class _Appeared:
    """Whether words have appeared so many times in an output, which grows fast where the whole host is recorded.

    Args:
        said: the output, which is read once.
        words: what is looked for.
        times: how often it must appear.
    """

    def __init__(self, said: TextIO, words: str, times: int = 1) -> None:
        self._said = said
        self._words = words
        self._left = times
        self._rest = ""

    def __call__(self) -> bool:
        text = self._rest + self._said.read()
        self._left -= text.count(self._words)
        self._rest = text[1 - len(self._words) :]
        return self._left <= 0


class BpftraceRecorder(Recorder):
    """Records tracepoints with bpftrace."""

    name = "bpftrace"
    shows = "the same as perf, at a higher cost"
    kinds = Shows(faults=True, allocations=True, threads=True, ranges=True)

    def trial(self) -> None:
        require_tool("bpftrace")
        with self._running([os.getpid()], "trial"):
            pass

    def run(self, target: Target, attachment: Attachment) -> None:
        require_tool("bpftrace")
        with ExitStack() as stack:
            if target.command:
                command = stack.enter_context(gated(target.command, target.account))
                process = stack.enter_context(self._running([command.pid], "main"))
                command.go()
                self.wait(target, lambda: command.process.poll() is not None)
                finish(command.process)
                self._drain(process, command.pid)
                self.status = command.process.returncode
            else:
                attachment.whole_host = True
                process = stack.enter_context(self._running([], "main", attachment.look_meanwhile))
                attachment.read()
                self.wait(target, lambda: process.poll() is not None or target.over(), attachment.watch)

    @contextmanager
    def _running(
        self, pids: list[int], name: str, meanwhile: Callable[[], object] = bool
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run the script on these processes; all its probes are attached inside of the context.

        Args:
            meanwhile: called again and again until they are.
        """
        script, out, log = (self.folder / f"{name}.{kind}" for kind in ("bt", "txt", "log"))
        tracefs.ensure_mounted()
        script.write_text(program(pids), "utf-8")
        with log.open("wb") as messages, out.open("wb") as text:
            process = subprocess.Popen(  # without bpftrace's -o, which is buffered even with -B line
                kept(["bpftrace", "-B", "line", str(script)]), stdin=subprocess.DEVNULL, stdout=text, stderr=messages,
                env={**os.environ, **LIMITS}, start_new_session=True,
            )  # fmt: skip
        try:
            with out.open(encoding="utf-8", errors="replace") as said:
                until(_Appeared(said, READY_LINE, 2), process, "bpftrace", STUCK_SECONDS, log, meanwhile, self.tell)
            yield process
        finally:
            finish(process, signal.SIGINT, DRAIN_SECONDS)

    def _drain(self, process: subprocess.Popen[bytes], pid: int) -> None:
        """Wait until bpftrace has printed the end of a command: asked to end, it prints no more of what it has."""
        out, over = self.folder / "main.txt", time.monotonic() + DRAIN_SECONDS
        with out.open(encoding="utf-8", errors="replace") as said:
            said.seek(max(out.stat().st_size - TAIL, 0))
            ended = _Appeared(said, f" X {pid} {pid} ")
            while not ended():
                if process.poll() is not None or time.monotonic() > over:
                    self.notes.append(
                        "bpftrace did not print the end of the recording; how much is missing is not known."
                    )
                    return
                time.sleep(EVERY)
        size = -1  # the buffers of other processors
        while size != out.stat().st_size and time.monotonic() < over:
            size = out.stat().st_size
            time.sleep(QUIET)

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        yield from in_order(self.read_output("main.txt", "bpftrace's output", READERS["bpftrace"], sources))
        if "Lost" in (message := last_message(self.folder / "main.log")):
            self.notes.append(f"bpftrace said: {message}.")
