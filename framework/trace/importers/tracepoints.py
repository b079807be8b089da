"""Events of the kernel's tracepoints as perf script, ftrace and perf trace print them: fields by name.

What stands before an event is a matter of the tool (`Layout`). The event's text is the print format of its tracepoint,
in which a field is `name=value`; perf and perf trace print `name: value` where they have formats of their own. An
architecture may name fields of a fault differently: x86 and the generic tracepoint have an error code, Arm64's is the
ESR, RISC-V has a cause, which does not say whether the page was present.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from foliolab.framework.contract import trace_records as rec
from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.trace.importers.calls import ARGUMENTS
from foliolab.framework.trace.importers.spaces import CLONE_THREAD

_LOST: Final = re.compile(
    r"(?:(\d{1,40})\.(\d{1,40}): {1,64})?(?:PERF_RECORD_LOST\D{1,32}(\d{1,40})|\bLOST (\d{1,40}) EVENTS)", re.ASCII
)

# Every repetition has a bound, so that the time for a line grows with its length and no faster.
_VALUE: Final = r"(0x[0-9a-f]{1,40}|-?\d{1,40})"
_ADDRESS: Final = re.compile(r"\baddr(?:ess)?[=:] ?(?:(0x[0-9a-f]{1,40})|(?!0x)\S{1,256})(?:,| |\Z)")
_ERROR: Final = re.compile(rf"\b(error_code|esr|cause)[=:] ?{_VALUE}")
_GFP: Final = re.compile(r"\bgfp_flags[=:] ?(\S{0,1024})")
_TASK: Final = re.compile(
    r"\bpid[=:] ?(\d{1,40}),? comm[=:] ?\"?(.{0,64}?)\"?,? clone_flags(?:=([0-9a-f]{1,40})|: ?(\d{1,40}))", re.ASCII
)
_FORK: Final = re.compile(r"\bchild_comm[=:] ?\"?(.{0,64}?)\"?,? child_pid[=:] ?(\d{1,40})", re.ASCII)
_MODIFIERS: Final = re.compile(r":[ukhIGHpPSDWeb]{1,12}\Z")
_NUMBER: Final = re.compile(r"\b(?:0x)?([0-9a-f]{1,40})\b")
_ARGUMENT: Final = re.compile(r": (?:0x)?([0-9a-f]{1,40})\b")
_DEAD: Final = re.compile(r"group_dead[=:] ?(\w{1,8})", re.ASCII)

MIGRATE_MOVABLE: Final = 1
MOVABLE: Final = str(MIGRATE_MOVABLE)
GFP_ZERO: Final = 0x100
KERNEL_ADDRESS: Final = 1 << 63
_SIGN: Final = 1 << 63

RISCV_STORE: Final = {7, 15}
"""RISC-V's causes of a store access fault and of a store page fault."""
ESR_ABORTS: Final = {0x20, 0x21, 0x24, 0x25}
"""Arm64's exception classes (bits 26 to 31 of the ESR) of instruction and data aborts."""
ESR_LENGTH: Final = 1 << 25
"""The ESR's bit IL: the instruction has 32 bits. x86 has no such code."""
ESR_WRITE: Final = 1 << 6
ESR_PRESENT: Final = {2, 3}
"""Of the ESR's fault status, divided by 4: access flag and permission faults, on a page that is present."""

LIVES: Final = frozenset({rec.Task, rec.Exit})
"""Records of the life of a thread."""
USUAL: Final = (
    r"(?:exceptions:)?page_fault_(user|kernel): {1,32}address=0x([0-9a-f]{1,40}) ip=[^\s=:]{1,256}"
    r" error_code=0x([0-9a-f]{1,40})\n?\Z"
    r"|(?:kmem:)?mm_page_alloc: {1,32}page=[^\s=:]{1,40} pfn=(0x[0-9a-f]{1,40}|[1-9]\d{0,39}) order=(\d)"
    r" migratetype=(\d) gfp_flags=(\S{0,1024})\n?\Z"
)
"""The two events that long texts have most, with all their fields at once.

A layout's `usual` has it behind what the tool prints before an event. A line takes a third of the time that it takes to
search for each field by its name.
"""

Context = tuple[int, int, int, int]
"""The time in ns, the CPU, the PID and the thread ID of an event."""
Parse = Callable[[Context, str, Any], "Record | None"]
Parts = tuple[str, "str | None", "str | None", "str | None", str, "str | None", str]
"""comm, pid, tid, cpu, whole and decimal part of the time, event: as text. A tool may print one task number only."""


class Unreadable(ValueError):
    """The text of an event is not what its tracepoint prints."""


REMEMBERED: Final = 4096
"""Tasks of which something is remembered: a text may have millions."""


class _Repetitions:
    """Recognises lines that perf delivers twice, one soon after the other: the same thread and time, and all else."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: dict[int, tuple[int, str]] = {}  # by thread: the time and the first line of it
        self._more: dict[int, set[str]] = {}  # the further lines, of threads that have several at one time

    def __call__(self, tid: int, time: int, line: str) -> bool:
        """Whether the line was delivered before."""
        newest = self._newest.get(tid)
        if newest is None or newest[0] != time:
            if newest is None and len(self._newest) >= REMEMBERED:
                self._newest.clear()
                self._more.clear()
            self._newest[tid] = time, line
            if self._more:
                self._more.pop(tid, None)
            return False
        more = self._more.setdefault(tid, set())
        repeated = line == newest[1] or line in more
        more.add(line)
        self.count += repeated
        return repeated


class _Threads:
    """Which process a thread belongs to, for tools that print one task number only, and what processes are called.

    A thread may have records after its exit, so those that exited last are remembered.

    Attributes:
        process_of: by TID, of threads that are not the first of their process.
        names: by PID, the name that was told last.
    """

    def __init__(self) -> None:
        self.process_of: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self._ended: deque[int] = deque()

    def name(self, pid: int, comm: str) -> None:
        if len(self.names) >= REMEMBERED:
            self.names.clear()
        self.names[pid] = comm

    def see(self, record: Record) -> None:
        """Note that a task was made, or that one exits."""
        if isinstance(record, rec.Task):
            if (record.flags or 0) & CLONE_THREAD:
                self.process_of[record.child] = record.pid
            else:
                self.process_of.pop(record.child, None)
        elif isinstance(record, rec.Exit) and record.tid in self.process_of:
            self._ended.append(record.tid)
            if len(self._ended) > REMEMBERED:
                self.process_of.pop(self._ended.popleft(), None)


@dataclass(frozen=True)
class Layout:
    """What a tool prints before an event's text.

    Attributes:
        pattern: found in a line that has an event; the text follows it.
        parts: the parts of a line, by its match.
        tool: its name, for notes.
        better: the command whose output has PIDs and TIDs.
        digits: decimal digits of a unit of time in ns.
        usual: matches most lines that have an event. Its groups are the parts, without the event; those of USUAL; and
            the name of another event.
    """

    pattern: re.Pattern[str]
    parts: Callable[[re.Match[str], str], Parts]
    tool: str
    better: str
    digits: int = 9
    usual: Callable[[str], re.Match[str] | None] = lambda line: None

    def read(self, source: TraceSource) -> Iterator[Record]:
        """The records of the events in a text that the tool has printed.

        Raises:
            TraceFileError: an event of `PARSERS` cannot be read.
        """
        threads = _Threads()
        process_of, names = threads.process_of, threads.names
        repeated, without_pid, time = _Repetitions(), False, 0
        usual, search, parts, digits, parsers = self.usual, self.pattern.search, self.parts, self.digits, PARSERS
        for line in source:
            parse: Parse | None = None
            fields: Any = None
            if found := usual(line) if line[0] != "\t" else None:  # behind a tab stands a stack
                comm, pid_text, tid_text, cpu, seconds, fraction, *fields, event = found.groups()
                parse = _of_fields if event is None else parsers.get(event) or parser_of(event)
            elif found := search(line):
                comm, pid_text, tid_text, cpu, seconds, fraction, event = parts(found, line)
                parse = parsers.get(event) or parser_of(event)
            if found is None or parse is None:
                if lost := _passed_over(source, line, time):
                    yield lost
                continue
            time = _time(seconds, fraction, digits)
            tid = int(tid_text or pid_text or 0)
            pid = int(pid_text) if tid_text and pid_text else process_of.get(tid, tid)
            if pid <= 0 or tid <= 0 or repeated(tid, time, line):
                continue
            without_pid |= tid_text is None or pid_text is None
            text = line[found.end() :].rstrip("\n") if event else fields
            try:
                record = parse((time, int(cpu or 0), pid, tid), comm, text)
            except Unreadable as why:
                source.unreadable(line, f"{event} cannot be read, {why}")
                continue
            if record is not None:
                if record.__class__ in LIVES:
                    threads.see(record)
                yield record
            if tid == pid and names.get(pid) != comm:
                threads.name(pid, comm)
                yield rec.Name(time, pid, comm)
        source.notes += self._notes(repeated.count, without_pid)

    def _notes(self, repetitions: int, without_pid: bool) -> Iterator[str]:
        """What was dropped or is doubtful, a sentence each."""
        if repetitions:
            yield f"perf delivered {repetitions} records twice; they were dropped."
        if without_pid:
            yield f"Lines had no pid/tid, so threads that were there before look like processes; use {self.better}."

    def recognise(self, head: str) -> bool:
        """Whether a line near the beginning of a text is an event of `PARSERS`."""
        lines = [line for line in head.splitlines()[:2000] if line.strip() and not line.startswith("#")][:200]
        return any(parser_of(self.parts(found, line)[6]) for line in lines if (found := self.pattern.search(line)))


def _passed_over(source: TraceSource, line: str, time: int) -> rec.Lost | None:
    """Count a line without a known event, unless it says how many were lost; at `time` if it has none of its own."""
    found = _LOST.search(line.upper()) if "LOST" in line else None
    if found is None:
        source.foreign += 1
        if source.last:
            source.cut_off()
        return None
    return rec.Lost(_time(found[1], found[2], 9) if found[1] else time, int(found[3] or found[4]))


_UNIT: Final = {digits: int(10**digits) for digits in (6, 9)}


def _time(whole: str, fraction: str | None, digits: int) -> int:
    """ns of a time in seconds (9 digits) or milliseconds (6); without a fraction it counts what a clock counts."""
    if fraction is None:
        return int(whole)
    if len(fraction) == digits:
        return int(whole) * _UNIT[digits] + int(fraction)
    return int(whole) * _UNIT[digits] + int(fraction[:digits].ljust(digits, "0"))


# -- fields ----------------------------------------------------------------------------------------------
@cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b{name}[=:] ?{_VALUE}", re.ASCII)


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    if found := pattern.search(text):
        return found
    raise Unreadable("its fields are not those of this event")


def _field(name: str, text: str) -> int:
    """The value of a number; perf trace leaves out zeros."""
    found = _pattern(name).search(text)
    if found is None and "=" in text:
        raise Unreadable(f"it has no {name.removeprefix('(?:scan_)?')}")
    return int(found[1], 0) if found else 0


def _error(name: str, value: int) -> int:
    """The bits of `Fault.error`, of x86's error code, Arm64's ESR or RISC-V's cause."""
    if name == "cause":
        return rec.PRESENT_UNKNOWN | (2 if value in RISCV_STORE else 0)
    if name == "esr" or (value >> 26 in ESR_ABORTS and value & ESR_LENGTH):
        write = 2 if value & ESR_WRITE and value >> 26 in (0x24, 0x25) else 0
        return write | ((value & 0x3F) >> 2 in ESR_PRESENT)
    return value


def _fault(kernel: bool) -> Parse:
    def parse(context: Context, comm: str, text: str) -> Record:
        address, error = _matched(_ADDRESS, text)[1], _ERROR.search(text)
        if error is None and "=" in text:
            raise Unreadable("it has no error_code")
        number = int(address, 16) if address else KERNEL_ADDRESS  # perf prints a kernel address as a symbol
        return rec.Fault(*context, number, _error(error[1], int(error[2], 0)) if error else 0, kernel)

    return parse


def _of_fields(context: Context, comm: str, fields: Sequence[str | None]) -> Record | None:
    """The record of the fields of USUAL."""
    mode, address, code, frame, order, migratetype, gfp = fields
    if address and code:
        error = int(code, 16)
        return rec.Fault(
            *context, int(address, 16), error if error < ESR_LENGTH else _error("error_code", error), mode == "kernel"
        )
    assert frame and order and gfp is not None
    pfn = int(frame, 0) if migratetype == MOVABLE else 0
    return rec.Alloc(*context, pfn, int(order), _cleared(gfp)) if pfn else None


def _alloc(context: Context, comm: str, text: str) -> Record | None:
    if _field("migratetype", text) != MIGRATE_MOVABLE:
        return None
    frame, order = _field("pfn", text), _field("order", text)
    return rec.Alloc(*context, frame, order, _cleared(_matched(_GFP, text)[1])) if frame > 0 else None


@lru_cache(1024)
def _cleared(gfp: str) -> bool:
    """Whether the flags of an allocation have __GFP_ZERO."""
    gfp = gfp.rstrip(",)")
    return int(gfp, 0) & GFP_ZERO != 0 if gfp.isdecimal() or gfp.startswith("0x") else "__GFP_ZERO" in gfp


def _task(context: Context, comm: str, text: str) -> Record:
    pid, child_comm, flags, decimal = _matched(_TASK, text).groups()
    return rec.Task(*context, int(pid), int(flags, 16) if flags else int(decimal), child_comm)


def _fork(context: Context, comm: str, text: str) -> Record:
    child_comm, pid = _matched(_FORK, text).groups()
    return rec.Task(*context, int(pid), None, child_comm)


def _exit(context: Context, comm: str, text: str) -> Record:
    dead = _DEAD.search(text)
    return rec.Exit(*context, dead[1] in ("true", "1") if dead else context[2] == context[3])


def _result(text: str) -> int:
    found = _NUMBER.search(text.partition("(")[0])
    if found is None:
        raise Unreadable("it has no result")
    value = int(found[1], 16)
    return value - 2 * _SIGN if value >= _SIGN else value


def _reaped(context: Context, comm: str, text: str) -> Record | None:
    child = _result(text)
    return rec.Reaped(*context, child) if 0 < child < 1 << 31 else None


def _enter(call: str) -> Parse:
    needed = ARGUMENTS[call]

    def parse(context: Context, comm: str, text: str) -> Record:
        args = tuple(int(number, 16) for number in _ARGUMENT.findall(text))
        if len(args) < needed:
            raise Unreadable(f"it has {len(args)} arguments instead of {needed}")
        return rec.Enter(*context, call, args)

    return parse


def _leave(call: str) -> Parse:
    return lambda context, comm, text: rec.Leave(*context, call, _result(text))


def _either(call: str) -> Parse:
    """ftrace prints `sys_brk(brk: 0)` and `sys_brk -> 0x1000`."""
    enter, leave = (_enter(call), _leave(call)) if call in ARGUMENTS else (None, _reaped)

    def parse(context: Context, comm: str, text: str) -> Record | None:
        if "->" in text[:4]:
            return leave(context, comm, text)
        return enter(context, comm, text) if enter else None

    return parse


def _scanned(context: Context, comm: str, text: str) -> Record | None:
    if "status=succeeded" not in text:
        return None
    # `scan_pfn` in the tracepoint's print format, `pfn` where a tool prints the fields by their own names
    return rec.Hint(context[0], _field("(?:scan_)?pfn", text), "khugepaged collapsed pages")


def _collapsed(context: Context, comm: str, text: str) -> Record | None:
    return rec.Hint(context[0], 0, "pages were collapsed") if "status=succeeded" in text else None


def _migrated(context: Context, comm: str, text: str) -> Record | None:
    return rec.Hint(context[0], 0, "pages were migrated") if _field("nr_succeeded", text) else None


_OF_SYSTEMS: Final[dict[str, Parse]] = {
    "exceptions:page_fault_user": _fault(kernel=False),
    "exceptions:page_fault_kernel": _fault(kernel=True),
    "kmem:mm_page_alloc": _alloc,
    "filemap:mm_filemap_add_to_page_cache": lambda context, comm, text: rec.Cached(*context, _field("pfn", text)),
    "task:task_newtask": _task,
    "sched:sched_process_fork": _fork,
    "sched:sched_prepare_exec": lambda context, comm, text: rec.ExecBegin(*context),
    "sched:sched_process_exec": lambda context, comm, text: rec.Exec(*context, comm),
    "sched:sched_process_exit": _exit,
    "mmap:exit_mmap": lambda context, comm, text: rec.Torn(*context),
    "syscalls:sys_exit_wait4": _reaped,
    "huge_memory:mm_khugepaged_scan_pmd": _scanned,
    "huge_memory:mm_collapse_huge_page": _collapsed,
    "migrate:mm_migrate_pages": _migrated,
    **{f"syscalls:sys_enter_{call}": _enter(call) for call in ARGUMENTS},
    **{f"syscalls:sys_exit_{call}": _leave(call) for call in ARGUMENTS},
}
PARSERS: Final[dict[str, Parse]] = {
    **_OF_SYSTEMS,
    **{event.partition(":")[2]: parse for event, parse in _OF_SYSTEMS.items()},
    **{f"sys_{call}": _either(call) for call in (*ARGUMENTS, "wait4")},
}
"""By the name of the event, with its system (perf) and without it (ftrace)."""


@lru_cache(1024)
def parser_of(event: str) -> Parse | None:
    """The parser of an event, which perf names with its modifiers (`exceptions:page_fault_user:u`); None if unknown."""
    return PARSERS.get(event) or PARSERS.get(_MODIFIERS.sub("", event))
