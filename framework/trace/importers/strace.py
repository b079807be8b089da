"""The reader of `strace -f -ttt -e trace=%memory,%process`: process lifecycles and ranges, without faults.

Such a trace shows which processes can share folios, and not which pages they wrote.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import (
    Enter,
    Exec,
    ExecBegin,
    Exit,
    Leave,
    Name,
    Reaped,
    Record,
    Task,
    Torn,
)
from foliolab.framework.trace.importers.calls import ARGUMENTS
from foliolab.framework.trace.importers.spaces import CLONE_THREAD, CLONE_VM

# Every repetition has a bound, so that the time for a line grows with its length and no faster.
LINE: Final = re.compile(r"(?:\[pid +(\d{1,40})\] +|(\d{1,40}) +)?(\d{6,40})\.(\d{1,40}) (.*)", re.ASCII)
CALL: Final = re.compile(r"(\w{1,64})\((.*)", re.ASCII)
RESUMED: Final = re.compile(r"<\.\.\. (\w{1,64}) resumed>(.*)", re.ASCII)
RESULT: Final = re.compile(r" = (0x[0-9a-f]{1,40}|-?\d{1,40}|\?)", re.ASCII)
PROGRAM: Final = re.compile(r'"([^"]{0,4096})"')
UNFINISHED: Final = "<unfinished ...>"
MAKERS: Final = {"fork": 0, "vfork": CLONE_VM, "clone": 0, "clone3": 0}
"""The calls that make a task, with the clone flags that they imply."""
FOLLOWED: Final = {*ARGUMENTS, *MAKERS, "execve", "execveat", "wait4", "exit", "exit_group"}

NAMES: Final = {
    "MAP_SHARED": 1, "MAP_SHARED_VALIDATE": 3, "MAP_PRIVATE": 2, "MAP_FIXED": 0x10, "MAP_ANONYMOUS": 0x20,
    "MAP_FIXED_NOREPLACE": 0x100000, "MADV_DONTNEED": 4, "MADV_FREE": 8, "MADV_REMOVE": 9, "MADV_DONTFORK": 10,
    "MADV_MERGEABLE": 12, "MADV_WIPEONFORK": 18, "MADV_PAGEOUT": 21, "MADV_DONTNEED_LOCKED": 24, "MADV_COLLAPSE": 25,
    "NULL": 0,
}  # fmt: skip
"""Values of the constants that strace prints by name; the others have no effect on a trace."""
COMM: Final = 15


class _Thread:
    """A thread and the call that it is in.

    Attributes:
        pid: of its process.
        call: name of the call; empty outside of calls.
        text: the arguments that strace printed so far.
        answered: whether the task that the call makes has been seen.
        number: threads that appeared earlier have smaller ones.
    """

    def __init__(self, pid: int, number: int) -> None:
        self.pid = pid
        self.number = number
        self.call = ""
        self.text = ""
        self.answered = False

    @property
    def makes_task(self) -> bool:
        """Whether the thread is in a call that makes a task which has not been seen."""
        return self.call in MAKERS and bool(self.text) and not self.answered


def _number(text: str) -> int:
    """The value of an argument: a number, or names joined by |."""
    value = 0
    for part in text.strip().split("|"):
        try:
            value |= int(part, 0)
        except ValueError:
            value |= NAMES.get(part.strip(), 0)
    return max(value, 0)


class _Reader:
    """Follows the threads of a text.

    Attributes:
        threads: by TID.
        makers: TIDs of the threads that are in a call that makes a task which has not been seen.
        oldest: a heap of (number, TID) of makers, and of threads that were makers.
        members: how many threads each process has.
    """

    def __init__(self, source: TraceSource) -> None:
        self.source = source
        self.threads: dict[int, _Thread] = {}
        self.makers: set[int] = set()
        self.oldest: list[tuple[int, int]] = []
        self.members: Counter[int] = Counter()
        self.appeared = 0
        self.exited: set[int] = set()
        self.guessed = 0

    def records(self) -> Iterator[Record]:
        for line in self.source:
            found = LINE.match(line)
            if found is None:
                self.source.foreign += 1
                continue
            tid = int(found[1] or found[2] or 1)
            time = int(found[3]) * 1_000_000_000 + int(found[4][:9].ljust(9, "0"))
            yield from self.line(time, tid, found[5], line)
            self.watch(tid)
        if self.guessed:
            self.source.notes.append(f"The parent of {self.guessed} tasks is a guess: two forks were under way.")

    def line(self, time: int, tid: int, text: str, line: str) -> Iterator[Record]:
        if tid not in self.threads:
            yield from self.appear(time, tid)
        thread = self.threads[tid]
        if text.startswith("+++"):
            yield from self.ended(time, tid, thread)
        elif resumed := RESUMED.match(text):
            if resumed[1] == thread.call:
                yield from self.returned(time, tid, thread, thread.text + resumed[2], line)
        elif call := CALL.match(text):
            thread.call, thread.text, thread.answered = call[1], call[2], False
            if call[1] in ("exit_group", "exit"):
                yield from self.leaving(time, tid, thread)
            elif call[2].rstrip().endswith(UNFINISHED):
                thread.text = call[2].rstrip().removesuffix(UNFINISHED)
            else:
                yield from self.returned(time, tid, thread, call[2], line)
        else:
            self.source.foreign += 1  # a signal

    def appear(self, time: int, tid: int) -> Iterator[Record]:
        """Handle a new task: the child of a call that has not returned yet, or the first task of the trace."""
        if self.makers:
            self.guessed += len(self.makers) > 1
            parent = self.oldest_maker()
            yield from self.made(time, parent, self.threads[parent], child=tid)
            self.makers.discard(parent)
        else:
            self.add(tid, tid)

    def add(self, tid: int, pid: int) -> None:
        self.appeared += 1
        self.threads[tid] = _Thread(pid, self.appeared)
        self.members[pid] += 1

    def watch(self, tid: int) -> None:
        """Remember whether a thread is a maker after its line."""
        thread = self.threads.get(tid)
        if thread is None or not thread.makes_task:
            self.makers.discard(tid)
        elif tid not in self.makers:
            self.makers.add(tid)
            heappush(self.oldest, (thread.number, tid))

    def oldest_maker(self) -> int:
        """The maker that appeared first; there is one."""
        while True:
            number, tid = self.oldest[0]
            if tid in self.makers and self.threads[tid].number == number:
                return tid
            heappop(self.oldest)

    def made(self, time: int, tid: int, parent: _Thread, child: int) -> Iterator[Record]:
        parent.answered = True
        flags = MAKERS[parent.call]
        if "CLONE_THREAD" in parent.text:
            flags |= CLONE_THREAD
        if "CLONE_VM" in parent.text:
            flags |= CLONE_VM
        if child in self.threads:
            return
        self.add(child, parent.pid if flags & CLONE_THREAD else child)
        yield Task(time, 0, parent.pid, tid, child, flags, "")

    def leaving(self, time: int, tid: int, thread: _Thread) -> Iterator[Record]:
        if thread.call == "exit_group" and thread.pid not in self.exited:
            self.exited.add(thread.pid)
            yield Exit(time, 0, thread.pid, tid, last=True)

    def ended(self, time: int, tid: int, thread: _Thread) -> Iterator[Record]:
        del self.threads[tid]
        self.members[thread.pid] -= 1
        if self.members[thread.pid]:
            return
        del self.members[thread.pid]
        if thread.pid not in self.exited:
            yield Exit(time, 0, thread.pid, tid, last=True)
        self.exited.discard(thread.pid)
        yield Torn(time, 0, thread.pid, tid)

    def returned(self, time: int, tid: int, thread: _Thread, text: str, line: str) -> Iterator[Record]:
        call, thread.call = thread.call, ""
        if call not in FOLLOWED:
            return
        results = deque(RESULT.finditer(text), maxlen=1)
        if not results:
            self.source.unreadable(line, f"{call} has no result")
            return
        found = results[0]
        result = -1 if found[1] == "?" else int(found[1], 16 if found[1].startswith("0x") else 10)
        context = (time, 0, thread.pid, tid)
        if call in ARGUMENTS:
            given = text[: found.start()].rstrip(" ").removesuffix(")")
            args = tuple(_number(part) for part in given.split(","))
            if len(args) < ARGUMENTS[call]:
                self.source.unreadable(line, f"{call} has {len(args)} arguments instead of {ARGUMENTS[call]}")
                return
            yield Enter(*context, call, args)
            yield Leave(*context, call, result)
        elif call in MAKERS and result > 0:
            if not thread.answered:
                thread.call, thread.text = call, text
                yield from self.made(time, tid, thread, result)
                thread.call = ""
        elif call.startswith("execve") and result == 0:
            program = PROGRAM.search(text)
            comm = program[1].rpartition("/")[2][:COMM] if program else ""
            yield ExecBegin(*context)
            yield Exec(*context, comm)
            yield Name(time, thread.pid, comm)
        elif call == "wait4" and result > 0:
            yield Reaped(*context, result)


def read(source: TraceSource) -> Iterator[Record]:
    """The records of a text.

    Raises:
        TraceFileError: a call of `FOLLOWED` cannot be read.
    """
    source.notes.append("strace sees no faults: the trace has lifecycles and ranges, no writes.")
    yield from _Reader(source).records()


def recognise(head: str) -> bool:
    """Whether a line near the beginning is a call as strace -ttt prints it."""
    return any((found := LINE.match(line)) and CALL.match(found[5]) for line in head.splitlines()[:200])
