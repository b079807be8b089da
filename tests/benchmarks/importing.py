"""How fast `foliolab import` reads long texts, and in how much memory: a recording multiplied, through a pipe.

    python tests/benchmarks/importing.py                   # half a GB of each kind of text
    python tests/benchmarks/importing.py --kind strace     # of one
    python tests/benchmarks/importing.py --gigabytes 10 --text build.strace.txt --text build.perf.txt

A text is written again and again, with later times, and with new PIDs for all processes that end in it; the others are
there all the time, like daemons. Nothing but the trace is on disk. Prints lines a second of processor time
and of wall time, and the largest resident set of each tenth of the text: it must not grow with its length.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

SAMPLES: Final = Path(__file__).resolve().parents[1] / "trace" / "samples"
KINDS: Final = ("perf", "strace", "bpftrace", "trace_pipe", "trace-cmd")
"""The last two are made of the text of perf script."""
FIRST_PID: Final = 1 << 20
"""All PIDs have seven decimal and six hexadecimal digits, so that a line keeps its length."""
LAST_PID: Final = 1 << 22
SECOND: Final = 10**9
FIRST_SECOND: Final = 1_000_000_000
CHUNK: Final = 1 << 22
"""Bytes of a template, at least."""
EACH: Final = 1.0
"""Seconds between two looks at the memory."""

# groups: PID, TID (0 to 2), seconds, fraction
LINES: Final = (
    re.compile(rb"\s(?P<pid>\d+)/(?P<tid>\d+)\s+\[\d+\]\s+(?P<s>\d+)(?P<dot>\.)(?P<part>\d+):"),  # perf script
    re.compile(
        rb".*-(?P<tid>\d+)\s+\( *(?P<pid>\d+)\)\s+\[\d+\]\s+(?:\S+ )?(?P<s>\d+)(?P<dot>\.)(?P<part>\d+):"
    ),  # ftrace
    re.compile(rb"(?P<s>\d{1,10})(?P<dot>)(?P<part>\d{9}) \d+ \w (?P<pid>\d+) (?P<tid>\d+)\b"),  # bpftrace
    re.compile(rb"(?P<pid>\d+)(?P<tid>)\s+(?P<s>\d+)(?P<dot>\.)(?P<part>\d+) "),  # strace
)
TOLD: Final = re.compile(
    rb"task_newtask: +pid=(\d+)|sys_exit_wait4: +0x([0-9a-f]+)"  # tracepoints: a new task, and a waited one
    rb"|^\d+ \d+ T \d+ \d+ (\d+)|^\d+ \d+ W \d+ \d+ ([0-9a-f]+)"  # bpftrace: the same
    rb"|(?:clone3?\(|fork\(|wait4\(|resumed>).*\) = (\d+)"  # strace
)
"""Where else a line has a PID."""
FROM_PERF: Final = re.compile(rb"^\s*(\S+) (\d+)/(\d+) \[(\d+)\] (\d+)\.(\d+): +\w+:(\w+): ([^\n]*)", re.MULTILINE)
BEGINS: Final = re.compile(
    rb"task_newtask: +pid=(\d+)|^\d+ \d+ T \d+ \d+ (\d+)|(?:clone3?|fork)(?:\(| resumed).*\) = (\d+)"
)
ENDS: Final = re.compile(rb"sched_process_exit|^\d+ \d+ X |\+\+\+ (?:exited|killed)")


@dataclass(frozen=True)
class Line:
    """A line: its text, its time in ns, and where it has its time and PIDs.

    Attributes:
        clock: the span of the time; `dot` separates its seconds from their fraction.
        pids: span, value and base of each.
    """

    text: bytes
    time: int
    clock: tuple[int, int]
    dot: bytes
    pids: tuple[tuple[int, int, int, int], ...]


def parsed(text: bytes) -> Line | None:
    """A line of a tracer's text; None for one without a time."""
    found = next(filter(None, (LINES[0].search(text), *(one.match(text) for one in LINES[1:]))), None)
    if found is None:
        return None
    at = int(found["s"]) * SECOND + int(found["part"].ljust(9, b"0"))
    pids = [(*found.span(name), int(found[name]), 10) for name in ("pid", "tid") if found[name]]
    if told := TOLD.search(text):
        group = told.lastindex or 1
        base = 16 if group in (2, 4) else 10
        if int(told[group], base) > 0:
            pids.append((*told.span(group), int(told[group], base), base))
    return Line(text, at, (found.start("s"), found.end("part")), found["dot"], tuple(pids))


def lifetimes(lines: list[Line]) -> tuple[set[int], set[int]]:
    """The TIDs that begin in a text, and those that end in it."""
    begun, ended = set(), set()
    for line in lines:
        if found := BEGINS.search(line.text):
            begun.add(int(found[found.lastindex or 1]))
        if ENDS.search(line.text):
            ended.add(line.pids[-1][2])
    return begun, ended


class Template:
    """A text whose times and PIDs can be set: the bytes, and where which digits are.

    Args:
        text: of a tracer.
    """

    def __init__(self, text: bytes) -> None:
        lines = [line for each in text.splitlines(keepends=True) if (line := parsed(each)) is not None]
        if not lines:
            raise SystemExit("no line of a tracer is in this text: strace -f -ttt -o, perf script, trace_pipe")
        begun, ended = lifetimes(lines)
        # a process that goes on behind the end would be one more that never ends, in each repetition
        lines = [line for line in lines if not any(pid in begun - ended for *_, pid, _ in line.pids)]
        self.numbers = {
            pid: number for number, pid in enumerate(sorted({p for line in lines for *_, p, _ in line.pids}))
        }
        self.fresh = np.array([pid in ended for pid in self.numbers])
        self.lines = len(lines)
        self.span = max(line.time for line in lines) - min(line.time for line in lines) + 1000
        self.dot = lines[0].dot
        self.digits = len(lines[0].text[slice(*lines[0].clock)].rpartition(b".")[2]) if self.dot else 9
        self.head = text.partition(b"\n")[0] + b"\n" if text.startswith(b"#") else b""
        self._begin = min(line.time for line in lines)
        self._build(lines)

    def _build(self, lines: list[Line]) -> None:
        out = bytearray()
        times, clocks, pids = [], [], []
        for line in lines:
            edits = [(*line.clock, -1, 10), *line.pids]
            at = 0
            for start, end, value, base in sorted(edits):
                out += line.text[at:start]
                if value < 0:
                    times.append(line.time)
                    clocks.append(len(out))
                    out += b"0" * 10 + self.dot + b"0" * self.digits
                else:
                    pids.append((len(out), self.numbers[value], base))
                    out += b"0" * (7 if base == 10 else 6)
                at = end
            out += line.text[at:]
        self.bytes = np.frombuffer(bytes(out), np.uint8)
        self.times = np.array(times, np.int64) - self._begin
        self.clocks = np.array(clocks, np.int64)
        self.pids = {
            base: np.array([(at, number) for at, number, b in pids if b == base], np.int64).reshape(-1, 2).T
            for base in (10, 16)
        }

    def repeated(self, number: int) -> bytes:
        """The text for the `number`th time, from 0 on."""
        out = self.bytes.copy()
        whole, part = np.divmod(self.times + number * self.span, SECOND)
        _write(out, self.clocks, whole + FIRST_SECOND, 10, 10)
        _write(out, self.clocks + 10 + len(self.dot), part // 10 ** (9 - self.digits), self.digits, 10)
        size = len(self.fresh)
        shift = np.where(self.fresh, (number + 1) * size, 0) % (LAST_PID - FIRST_PID - size)
        pid = FIRST_PID + np.arange(size) + shift
        for base, digits in ((10, 7), (16, 6)):
            at, which = self.pids[base]
            _write(out, at, pid[which], digits, base)
        return out.tobytes()


def _write(out: NDArray[np.uint8], at: NDArray[np.int64], values: NDArray[np.int64], digits: int, base: int) -> None:
    """Write numbers with leading zeros."""
    symbols = np.frombuffer(b"0123456789abcdef", np.uint8)
    for place in range(digits - 1, -1, -1):
        values, digit = np.divmod(values, base)
        out[at + place] = symbols[digit]


class Memory:
    """The resident set of a process, looked at each second.

    Attributes:
        seen: (MiB written so far, MiB resident).
    """

    def __init__(self, pid: int) -> None:
        self.seen: list[tuple[int, int]] = []
        self.written = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(EACH):
            try:
                pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
            except (OSError, IndexError):
                return
            self.seen.append((self.written >> 20, pages * os.sysconf("SC_PAGE_SIZE") >> 20))

    def tenths(self) -> list[int]:
        """The largest resident set of each tenth of the text, in MiB."""
        self._over.set()
        self._thread.join()
        step = max(self.written >> 20, 1) / 10
        largest = [0] * 10
        for written, resident in self.seen:
            place = min(int(written / step), 9)
            largest[place] = max(largest[place], resident)
        return largest


def chunks(template: Template, size: int) -> Iterator[tuple[bytes, int]]:
    """The text until it has `size` bytes, and how many lines each part has."""
    done = number = 0
    while done < size:
        text, lines = b"" if done else template.head, 0
        while len(text) < CHUNK:
            text += template.repeated(number)
            lines += template.lines
            number += 1
        done += len(text)
        yield text, lines


def of_ftrace(text: bytes, padded: bool) -> bytes:
    """The text of ftrace that says what a text of perf script says; `padded` as trace-cmd report pads it."""

    def line(found: re.Match[bytes]) -> bytes:
        comm, pid, tid, cpu, time, part, event, rest = found.groups()
        if padded:
            before, event = b"", (event + b":").ljust(21)
        else:
            before, event = b"..... ", event + b":"
        return b"%16s-%-7s (%7s) [%s] %s%s.%s: %s %s" % (comm, tid, pid, cpu, before, time, part[:6], event, rest)

    return FROM_PERF.sub(line, text)


def sample(kind: str) -> bytes:
    """A recording's text of a kind."""
    if kind in ("perf", "strace", "bpftrace"):
        return (SAMPLES / f"phases.{kind}.txt").read_bytes()
    return of_ftrace(sample("perf"), kind == "trace-cmd")


def measure(name: str, content: bytes, size: int, folder: Path) -> None:
    """Import a multiplied text, and print what it took."""
    template = Template(content)
    out = folder / "out.folio"
    command = [str(Path(sys.executable).with_name("foliolab")), "import", "-", "-o", str(out)]
    began, before = time.monotonic(), os.times()
    lines = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        memory = Memory(process.pid)
        pipe: IO[Any] | None = process.stdin
        assert pipe is not None and process.stdout is not None
        with pipe:
            for text, more in chunks(template, size):
                pipe.write(text)
                memory.written += len(text)
                lines += more
        said = process.stdout.read().decode()
    wall, after = time.monotonic() - began, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    print(said, end="")
    print(f"{name}: {memory.written / 1e9:.1f} GB, {lines:,} lines in {wall:,.0f} s, {processor:,.0f} s of processor")
    print(f"  {lines / processor:,.0f} lines a second of processor time, {lines / wall:,.0f} a second of wall time")
    print(f"  resident, MiB, in each tenth of the text: {', '.join(map(str, memory.tenths()))}")
    print(f"  the trace has {out.stat().st_size / 1e9:.2f} GB")
    if process.returncode:
        raise SystemExit(process.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=0.5, help="of each text")
    parser.add_argument("--kind", choices=KINDS, action="append", help="of the samples; repeatable; all without it")
    parser.add_argument("--text", type=Path, action="append", help="a text of one's own instead; repeatable")
    parser.add_argument("--into", type=Path, help="folder of the trace while it is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.into) as folder:
        texts = {path.name: path.read_bytes() for path in options.text or ()}
        for name, content in (texts or {kind: sample(kind) for kind in options.kind or KINDS}).items():
            measure(name, content, int(options.gigabytes * 1e9), Path(folder))


if __name__ == "__main__":
    main()
