"""Records with perf: tracepoints of the command or process, and, beside it, a few of the whole machine.

A task's own events end with its exit, before its memory is torn down (6.16 on), and never show what kernel threads
do; so a second perf listens to the end of teardowns and to khugepaged everywhere. Both use CLOCK_MONOTONIC.
"""

from __future__ import annotations

import heapq
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.target import Attached, Target, finish, said_in, tree, until, wait
from foliolab.framework.trace.importers import perf

BUFFER_PAGES: Final = (4096, 512, 64)
"""Buffer sizes a CPU to try, in pages; an unprivileged user may lock less memory."""
ONLY_MOVABLE: Final = ("kmem:mm_page_alloc", "migratetype==1")
READY: Final = 20.0
DRAIN: Final = 60.0
"""Seconds that perf gets to write out its buffers."""

_TRIED: Final[dict[str, int]] = {}
"""The buffer with which a perf worked; a trial takes more than a second."""


def options(events: tuple[str, ...], buffer: int, out: Path) -> list[str]:
    """perf record's arguments for these events."""
    args = ["perf", "record", "-q", "-k", "mono", "-c", "1", "-m", str(buffer), "-o", str(out)]
    for event in events:
        args += ["-e", event]
        if event == ONLY_MOVABLE[0]:
            args += ["--filter", ONLY_MOVABLE[1]]
    return args


def trial(folder: Path) -> int:
    """The largest buffer with which perf can record these events here.

    Raises:
        KernelError: it cannot; with what it says.
    """
    tool = shutil.which("perf")
    if tool is None:
        raise KernelError("there is no perf", "install it: apt-get install linux-perf")
    if tool in _TRIED:
        return _TRIED[tool]
    out, log = folder / "trial.data", folder / "trial.log"
    for buffer in BUFFER_PAGES:
        with log.open("wb") as messages:
            try:
                done = subprocess.run(
                    [*options(perf.EVENTS, buffer, out), "--", "true"],
                    stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, timeout=READY, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired as fault:
                raise KernelError(f"perf did not record `true` within {READY:g} s", "see `perf record true`") from fault
        if done.returncode == 0 and out.exists() and out.stat().st_size:
            out.unlink()
            _TRIED[tool] = buffer
            return buffer
    lines = [line.strip(" \t\\_").strip() for line in log.read_text("utf-8", "replace").splitlines()]
    told = [line for line in lines if re.search(r"permission|permitted|can't|unknown tracepoint", line, re.IGNORECASE)]
    said = next(iter(told or filter(None, lines)), "no reason given")
    raise KernelError(
        f"perf cannot record tracepoints here: {said}",
        "it needs root (or CAP_PERFMON and a readable tracefs), and a kernel with these tracepoints",
    )


class PerfRecorder(Recorder):
    """Records by perf."""

    name = "perf"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._data: list[Path] = []

    def run(self, target: Target, attached: Attached) -> None:
        """Record; `attached` is called with the running processes once they are being recorded."""
        buffer = trial(self.folder)
        with ExitStack() as stack:
            try:
                beside = self._start(perf.WHOLE_MACHINE, min(buffer, 512), ["-a"], "beside")
                stack.callback(self._stop, beside)
            except KernelError as fault:
                self.notes.append(f"The ends of teardowns were not recorded, waits stand for them: {fault.what}.")
            if target.command:
                self._command(target, buffer)
            else:
                pids = tree(target.pid)
                process = self._start(perf.EVENTS, buffer, ["-p", ",".join(map(str, pids))], "main")
                stack.callback(self._stop, process)
                attached(pids)
                wait(target, lambda: process.poll() is not None)

    def _command(self, target: Target, buffer: int) -> None:
        out = self._place("main")
        process = subprocess.Popen([*options(perf.EVENTS, buffer, out), "--", *target.command])
        try:
            wait(target, lambda: process.poll() is not None)
        finally:
            self._stop(process)
        self.status = process.returncode

    def _place(self, name: str) -> Path:
        out = self.folder / f"{name}.data"
        self._data.append(out)
        return out

    def _start(self, events: tuple[str, ...], buffer: int, whom: list[str], name: str) -> subprocess.Popen[bytes]:
        """A perf that records from the moment on at which this returns."""
        control, answer = self.folder / f"{name}.control", self.folder / f"{name}.answer"
        os.mkfifo(control)
        os.mkfifo(answer)
        log, out = self.folder / f"{name}.log", self.folder / f"{name}.data"
        with log.open("wb") as messages:
            process = subprocess.Popen(
                [*options(events, buffer, out), *whom, "-D", "-1", f"--control=fifo:{control},{answer}"],
                stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, start_new_session=True,
            )  # fmt: skip
        # both ends are kept open by us, so that no open blocks and no read ends early
        to, back = os.open(control, os.O_RDWR | os.O_NONBLOCK), os.open(answer, os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(to, b"enable\n")
            until(lambda: _readable(back), process, "perf record", READY, log)
        except BaseException:
            finish(process)
            raise
        finally:
            os.close(to)
            os.close(back)
        self._data.append(out)
        return process

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        """Let perf write its file to the end."""
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(DRAIN)
        except subprocess.TimeoutExpired:
            finish(process)
            self.notes.append(f"perf did not end within {DRAIN:g} s and was killed; the end of the trace is missing.")

    def records(self, sources: list[TraceSource]) -> Iterator[Record]:
        """What was recorded, through `perf script`, never all of it in memory.

        Raises:
            KernelError: perf script fails.
        """
        streams = [self._script(path, sources) for path in self._data if path.exists()]
        yield from heapq.merge(*streams, key=lambda record: record.time)

    def _script(self, data: Path, sources: list[TraceSource]) -> Iterator[Record]:
        log = data.with_suffix(".script.log")
        args = ["perf", "script", "--ns", "-f", "-F", perf.FIELDS, "--show-lost-events", "-i", str(data)]
        with log.open("wb") as messages:
            process = subprocess.Popen(
                args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages, text=True,
                encoding="utf-8", errors="replace",
            )  # fmt: skip
        try:
            assert process.stdout is not None
            source = TraceSource(f"perf script of {data.name}", process.stdout)
            sources.append(source)
            yield from perf.read(source)
            if process.wait():
                raise KernelError(f"perf script failed: {said_in(log)}", "is there room in the folder of the output?")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _readable(fd: int) -> bool:
    try:
        return bool(os.read(fd, 64))
    except BlockingIOError:
        return False
