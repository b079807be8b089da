"""Recording with perf: tracepoints of the command or process, and a few tracepoints of the whole host.

Two instances of perf record. The events of a task end with its exit, which from Linux 6.16 on precedes the teardown of
its memory, and they never show what kernel threads do (docs/real-kernels.md, "Recording programs"). So a second perf
records the ends of teardowns and khugepaged on the whole host. Both use CLOCK_MONOTONIC, and their records are merged
by time.
"""

from __future__ import annotations

import heapq
import io
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.commands import kept, piped
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
from foliolab.framework.trace.importers import READERS, perf
from foliolab.framework.trace.importers.checked import records_of
from foliolab.framework.trace.importers.opening import perf_script

BUFFER_PAGES: Final = (4096, 512, 64)
"""Buffer sizes per CPU to try, in pages: an unprivileged user may lock less memory."""
ONLY_MOVABLE: Final = ("kmem:mm_page_alloc", "migratetype==1")
READY_SECONDS: Final = 20.0
"""Of `true`; and how long perf may use no processor time before it says that it records."""
DRAIN_SECONDS: Final = 60.0
"""Time that perf has to write out its buffers."""

_BUFFERS: Final[dict[str, int]] = {}
"""The buffer size with which each perf program worked: a trial takes more than a second."""


def _options(events: tuple[str, ...], buffer: int, out: Path) -> list[str]:
    args = ["perf", "record", "-q", "-k", "mono", "-c", "1", "-m", str(buffer), "-o", str(out)]
    for event in events:
        args += ["-e", event]
        if event == ONLY_MOVABLE[0]:
            args += ["--filter", ONLY_MOVABLE[1]]
    return args


def _largest_buffer(folder: Path) -> int:
    """The largest buffer with which perf can record these events on this host.

    Raises:
        KernelError: perf cannot record them; the message has what perf printed.
    """
    tool = require_tool("perf", "linux-perf")
    if tool in _BUFFERS:
        return _BUFFERS[tool]
    out, log = folder / "trial.data", folder / "trial.log"
    for buffer in BUFFER_PAGES:
        with log.open("wb") as messages:
            try:
                done = subprocess.run(
                    kept([*_options(perf.EVENTS, buffer, out), "--", "true"]),
                    stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, timeout=READY_SECONDS, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired as fault:
                raise KernelError(
                    f"perf did not record `true` within {READY_SECONDS:g} s", "see `perf record true`"
                ) from fault
        if done.returncode == 0 and out.exists() and out.stat().st_size:
            out.unlink()
            _BUFFERS[tool] = buffer
            return buffer
    lines = [line.strip(" \t\\_").strip() for line in log.read_text("utf-8", "replace").splitlines()]
    reasons = [line for line in lines if re.search(r"permission|permitted|can't|unknown tracepoint", line, re.I)]
    reason = next(iter(reasons or filter(None, lines)), "no reason given")
    raise KernelError(
        f"perf cannot record tracepoints here: {reason}",
        "it needs root (or CAP_PERFMON and a readable tracefs), and a kernel with these tracepoints",
    )


class PerfRecorder(Recorder):
    """Records tracepoints with perf."""

    name = "perf"
    shows = "faults with their outcome, lifecycles, ranges"
    kinds = Shows(faults=True, allocations=True, threads=True, ranges=True)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._data: list[Path] = []

    def trial(self) -> None:
        _largest_buffer(self.folder)

    def run(self, target: Target, attachment: Attachment) -> None:
        buffer = _largest_buffer(self.folder)
        with ExitStack() as stack:
            try:
                whole_host = self._start(perf.WHOLE_HOST, min(buffer, 512), ["-a"], "host")
                stack.callback(self._stop, whole_host)
            except KernelError as fault:
                self.notes.append(f"The ends of teardowns were not recorded, waits stand for them: {fault.what}.")
            if target.command and (account := target.account):
                # perf itself stays root, so it cannot start the command
                command = stack.enter_context(gated(target.command, account))
                stack.callback(self._stop, self._start(perf.EVENTS, buffer, ["-p", str(command.pid)], "main"))
                command.go()
                self.wait(target, lambda: command.process.poll() is not None)
                finish(command.process)
                self.status = command.process.returncode
            elif target.command:
                self._command(target, buffer)
            else:
                attachment.whole_host = True
                process = self._start(perf.EVENTS, buffer, ["-a"], "main", attachment.look_meanwhile)
                stack.callback(self._stop, process)
                attachment.read()
                self.wait(target, lambda: process.poll() is not None or target.over(), attachment.watch)

    def _command(self, target: Target, buffer: int) -> None:
        out = self.folder / "main.data"
        self._data.append(out)
        process = subprocess.Popen(kept([*_options(perf.EVENTS, buffer, out), "--", *target.command], named=True))
        try:
            self.wait(target, lambda: process.poll() is not None)
        finally:
            self._stop(process)
        self.status = process.returncode

    def _start(
        self, events: tuple[str, ...], buffer: int, scope: list[str], name: str, meanwhile: Callable[[], object] = bool
    ) -> subprocess.Popen[bytes]:
        """Start a perf and wait until it records: perf acknowledges the command `enable` on its control FIFO.

        Args:
            meanwhile: called again and again until then.
        """
        control, answer = self.folder / f"{name}.control", self.folder / f"{name}.answer"
        os.mkfifo(control)
        os.mkfifo(answer)
        log, out = self.folder / f"{name}.log", self.folder / f"{name}.data"
        with log.open("wb") as messages:
            process = subprocess.Popen(
                kept([*_options(events, buffer, out), *scope, "-D", "-1", f"--control=fifo:{control},{answer}"]),
                stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, start_new_session=True,
            )  # fmt: skip
        # FolioLab keeps both FIFOs open for reading and writing, so that no open blocks and no read sees an end of file
        to, back = os.open(control, os.O_RDWR | os.O_NONBLOCK), os.open(answer, os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(to, b"enable\n")
            until(lambda: _readable(back), process, "perf record", READY_SECONDS, log, meanwhile, self.tell)
        except BaseException:
            finish(process)
            raise
        finally:
            os.close(to)
            os.close(back)
        self._data.append(out)
        return process

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if not finish(process, signal.SIGINT, DRAIN_SECONDS):
            self.notes.append(
                f"perf did not end within {DRAIN_SECONDS:g} s and was killed; the end of the trace is missing."
            )

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        streams = [self._script(path, sources) for path in self._data if path.exists()]
        yield from heapq.merge(*streams, key=lambda record: record.time)

    def _script(self, data: Path, sources: list[TraceSource]) -> Iterator[Record]:
        log = data.with_suffix(".script.log")
        with log.open("wb") as messages, piped(perf_script(str(data)), messages) as process:
            assert process.stdout is not None
            text = io.TextIOWrapper(process.stdout, "utf-8", "replace")
            source = TraceSource(f"perf script of {data.name}", text)
            sources.append(source)
            yield from records_of(READERS["perf"], source)
            if process.wait():
                raise KernelError(
                    f"perf script failed: {last_message(log)}", "is there room in the folder of the output?"
                )


def _readable(fd: int) -> bool:
    try:
        return bool(os.read(fd, 64))
    except BlockingIOError:
        return False
