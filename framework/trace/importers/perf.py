"""The reader of `perf script --ns -F comm,pid,tid,cpu,time,event,trace --show-lost-events`.

An event's text is the print format of its tracepoint; perf has formats of its own for system calls. The reader skips
other events. `perf record -p` delivers some records twice (the same time, thread and event); the reader drops the
repetitions, which would look like reuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from foliolab.framework.contract import trace_records as rec
from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.trace.importers.calls import ARGUMENTS

EVENTS: Final = (
    "exceptions:page_fault_user", "exceptions:page_fault_kernel", "kmem:mm_page_alloc",
    "filemap:mm_filemap_add_to_page_cache", "task:task_newtask", "sched:sched_prepare_exec",
    "sched:sched_process_exec", "sched:sched_process_exit", "syscalls:sys_exit_wait4",
    *(f"syscalls:sys_{way}_{call}" for call in ARGUMENTS for way in ("enter", "exit")),
)  # fmt: skip
"""The tracepoints to record of a command or process and its descendants."""
WHOLE_HOST: Final = (
    "mmap:exit_mmap", "huge_memory:mm_khugepaged_scan_pmd", "huge_memory:mm_collapse_huge_page",
    "migrate:mm_migrate_pages",
)  # fmt: skip
"""The tracepoints to record on the whole host: ends of teardowns, and what kernel threads do."""
FIELDS: Final = "comm,pid,tid,cpu,time,event,trace"

# Every repetition has a bound, so that the time for a line grows with its length and no faster.
LINE: Final = re.compile(
    r"\s(-?\d{1,40})(?:/(-?\d{1,40}))?\s{1,32}\[(\d{1,40})\]\s{1,32}(\d{1,40})\.(\d{1,40}): {1,64}(\S{1,128}): ?",
    re.ASCII,
)
"""What follows the name of the thread."""
LOST: Final = "PERF_RECORD_LOST"
_LOST_TIME: Final = re.compile(r"(\d{1,40})\.(\d{1,40}): {1,64}\Z", re.ASCII)
_LOST_COUNT: Final = re.compile(r"LOST\s{1,32}(\d{1,40})", re.ASCII)

_HEX: Final = "0x[0-9a-f]{1,40}"
_ADDRESS: Final = re.compile(rf"address=(?:({_HEX})|(?!0x)\S{{1,256}}) ")
_ERROR: Final = re.compile(rf"error_code=({_HEX})")
_ALLOC: Final = re.compile(
    rf"pfn=({_HEX}|-?\d{{1,40}}) order=(\d{{1,40}}) migratetype=(\d{{1,40}}) gfp_flags=(\S{{0,1024}})", re.ASCII
)
_PFN: Final = re.compile(rf"pfn=({_HEX}|\d{{1,40}})", re.ASCII)
_TASK: Final = re.compile(r"pid=(\d{1,40}) comm=(.{0,64}) clone_flags=([0-9a-f]{1,40})", re.ASCII)
_FORK: Final = re.compile(r"pid=\d{1,40} child_comm=(.{0,64}) child_pid=(\d{1,40})", re.ASCII)
_NUMBER: Final = re.compile(r"0x([0-9a-f]{1,40})")
_SUCCEEDED: Final = re.compile(r"nr_succeeded=(\d{1,40})", re.ASCII)

MIGRATE_MOVABLE: Final = "1"
KERNEL_ADDRESS: Final = 1 << 63
_SIGN: Final = 1 << 63

Context = tuple[int, int, int, int]
"""time, cpu, pid, tid."""
Parse = Callable[[Context, str, str], "Record | None"]


class Unreadable(ValueError):
    """The text of an event is not what its tracepoint prints."""


class _Repetitions:
    """Recognises records that perf delivers twice: the same thread, time and event."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: dict[int, tuple[int, set[str]]] = {}

    def __call__(self, tid: int, time: int, event: str) -> bool:
        """Whether the record was delivered before."""
        newest = self._newest.get(tid)
        if newest is None or newest[0] != time:
            self._newest[tid] = time, {event}
            return False
        repeated = event in newest[1]
        newest[1].add(event)
        self.count += repeated
        return repeated


def read(source: TraceSource) -> Iterator[Record]:
    """The records of a text.

    Raises:
        TraceFileError: an event of `PARSERS` cannot be read.
    """
    names: dict[int, str] = {}
    repeated, without_pid, time = _Repetitions(), False, 0
    search, parsers = LINE.search, PARSERS
    for line in source:
        found = search(line)
        parse = parsers.get(found[6]) if found else None
        if found is None or parse is None:
            if lost := _lost(line, time):
                yield lost
            else:
                source.foreign += 1
            continue
        pid_text, tid_text, cpu, seconds, fraction, event = found.groups()
        comm, text = line[: found.start()].strip(), line[found.end() :].rstrip("\n")
        time, pid = _time(seconds, fraction), int(pid_text)
        tid = int(tid_text) if tid_text else pid
        without_pid |= tid_text is None
        if pid <= 0 or tid <= 0 or repeated(tid, time, event):
            continue
        try:
            record = parse((time, int(cpu), pid, tid), comm, text)
        except Unreadable as why:
            source.unreadable(line, f"{event} cannot be read, {why}")
            continue
        if record is not None:
            yield record
        if tid == pid and names.get(pid) != comm:
            names[pid] = comm
            yield rec.Name(time, pid, comm)
    if repeated.count:
        source.notes.append(f"perf delivered {repeated.count} records twice; they were dropped.")
    if without_pid:
        source.notes.append(f"Lines had no pid/tid, so threads look like processes; use perf script -F {FIELDS}.")


def _lost(line: str, time: int) -> rec.Lost | None:
    """The record of a line that says how many events were lost; at `time` if it has none of its own."""
    before, mark, behind = line.upper().partition(LOST)
    count = _LOST_COUNT.search(f"LOST{behind}" if mark else "")
    if count is None:
        return None
    when = _LOST_TIME.search(before[-100:])
    return rec.Lost(_time(*when.groups()) if when else time, int(count[1]))


def _time(seconds: str, fraction: str) -> int:
    return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    if found := pattern.search(text):
        return found
    raise Unreadable("its fields are not those of this event")


def _fault(kernel: bool) -> Parse:
    def parse(context: Context, comm: str, text: str) -> Record:
        address, error = _matched(_ADDRESS, text)[1], _matched(_ERROR, text)[1]
        number = int(address, 16) if address else KERNEL_ADDRESS  # perf prints a kernel address as a symbol
        return rec.Fault(*context, number, int(error, 16), kernel)

    return parse


def _alloc(context: Context, comm: str, text: str) -> Record | None:
    pfn, order, migratetype, gfp = _matched(_ALLOC, text).groups()
    frame = int(pfn, 0)
    if migratetype != MIGRATE_MOVABLE or frame <= 0:
        return None
    return rec.Alloc(*context, frame, int(order), "__GFP_ZERO" in gfp)


def _cached(context: Context, comm: str, text: str) -> Record:
    return rec.Cached(*context, int(_matched(_PFN, text)[1], 0))


def _task(context: Context, comm: str, text: str) -> Record:
    pid, child_comm, flags = _matched(_TASK, text).groups()
    return rec.Task(*context, int(pid), int(flags, 16), child_comm)


def _fork(context: Context, comm: str, text: str) -> Record:
    child_comm, pid = _matched(_FORK, text).groups()
    return rec.Task(*context, int(pid), None, child_comm)


def _exit(context: Context, comm: str, text: str) -> Record:
    dead = "group_dead=true" in text if "group_dead=" in text else context[2] == context[3]
    return rec.Exit(*context, dead)


def _result(text: str) -> int:
    found = _NUMBER.match(text.strip())
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
        args = tuple(int(number, 16) for number in _NUMBER.findall(text))
        if len(args) < needed:
            raise Unreadable(f"it has {len(args)} arguments instead of {needed}")
        return rec.Enter(*context, call, args)

    return parse


def _leave(call: str) -> Parse:
    return lambda context, comm, text: rec.Leave(*context, call, _result(text))


def _scanned(context: Context, comm: str, text: str) -> Record | None:
    if "status=succeeded" not in text:
        return None
    return rec.Hint(context[0], int(_matched(_PFN, text)[1], 0), "khugepaged collapsed pages")


def _collapsed(context: Context, comm: str, text: str) -> Record | None:
    return rec.Hint(context[0], 0, "pages were collapsed") if "status=succeeded" in text else None


def _migrated(context: Context, comm: str, text: str) -> Record | None:
    done = int(_matched(_SUCCEEDED, text)[1])
    return rec.Hint(context[0], 0, "pages were migrated") if done else None


PARSERS: Final[dict[str, Parse]] = {
    "exceptions:page_fault_user": _fault(kernel=False),
    "exceptions:page_fault_kernel": _fault(kernel=True),
    "kmem:mm_page_alloc": _alloc,
    "filemap:mm_filemap_add_to_page_cache": _cached,
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


def recognise(head: str) -> bool:
    """Whether a line near the beginning is an event of `PARSERS`."""
    lines = [line for line in head.splitlines()[:200] if line.strip() and not line.startswith("#")]
    return any(found[6] in PARSERS for line in lines if (found := LINE.search(line)))
