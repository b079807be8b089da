"""The reader of strace: process lifecycles and ranges, without faults.

Such a trace shows which processes can share folios, and not which pages they wrote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from string import whitespace
from typing import Final, cast

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import (
    Exec,
    ExecBegin,
    Exit,
    Name,
    Reaped,
    Record,
    Task,
    Torn,
)
from foliolab.framework.trace.importers.calls import ARGUMENTS, Call
from foliolab.framework.trace.importers.spaces import CLONE_THREAD, CLONE_VM
from foliolab.framework.trace.importers.strace_lines import (
    MAKERS,
    RESUMED,
    StraceLine,
    StraceLines,
    recognise,
    result_of,
)

__all__ = ["read", "recognise"]

PROGRAM: Final = re.compile(r'"([^"]{0,4096})"')
ENDED: Final = re.compile(r"WIFEXITED|WIFSIGNALED")
FLAGS: Final = re.compile(r"flags=([^,})]{1,2048})")
USUAL_CALL: Final = re.compile(r"([^)\n]{0,1024})\) {1,64}= (0|0x[0-9a-f]{1,40})\Z", re.ASCII)
UNFINISHED: Final = "<unfinished ...>"
CHANGED: Final = re.compile(r"<pid changed to (\d{1,10}) \.\.\.>\Z", re.ASCII)
SUPERSEDED: Final = re.compile(r"\+\+\+ superseded by execve in pid (\d{1,10})", re.ASCII)
ALIASES: Final = {"mmap2": "mmap", "waitpid": "wait4"}
"""The names of the same calls on other architectures."""
FOLLOWED: Final = {*ARGUMENTS, *MAKERS, "execve", "execveat", "wait4", "exit", "exit_group"}
SPECIAL: Final = (FOLLOWED | ALIASES.keys()) - ARGUMENTS.keys()
"""Calls that make, end or change tasks, and those by other names."""
UNUSUAL: Final = frozenset(("", ">", *whitespace))
"""How a call ends that is not over, or not as usual."""
ROOT: Final = 0
"""The TID of the first process of a text whose lines name none: it is not known."""

NAMES: Final = {
    "MAP_SHARED": 1, "MAP_SHARED_VALIDATE": 3, "MAP_PRIVATE": 2, "MAP_FIXED": 0x10, "MAP_ANONYMOUS": 0x20,
    "MAP_FIXED_NOREPLACE": 0x100000, "MADV_DONTNEED": 4, "MADV_FREE": 8, "MADV_REMOVE": 9, "MADV_DONTFORK": 10,
    "MADV_MERGEABLE": 12, "MADV_WIPEONFORK": 18, "MADV_PAGEOUT": 21, "MADV_POPULATE_WRITE": 23,
    "MADV_DONTNEED_LOCKED": 24, "MADV_COLLAPSE": 25, "MADV_GUARD_INSTALL": 102, "MAP_POPULATE": 0x8000, "NULL": 0,
    "CLONE_VM": CLONE_VM, "CLONE_THREAD": CLONE_THREAD,
}  # fmt: skip
"""Values of the constants that strace prints by name; the others have no effect on a trace."""
COMM: Final = 15
DIGITS: Final = frozenset("0123456789")


class _Thread:
    """A thread and the call that it is in.

    Attributes:
        pid: of its process.
        call: name of the call; empty outside of calls.
        text: the arguments that strace printed so far.
        child: the task that the call made, if a line of it has been seen; else 0.
        number: threads that appeared earlier have smaller ones.
        silent: whether it has no line yet.
    """

    __slots__ = ("call", "child", "number", "pid", "silent", "text")

    def __init__(self, pid: int, number: int, silent: bool) -> None:
        self.pid = pid
        self.number = number
        self.silent = silent
        self.call = ""
        self.text = ""
        self.child = 0


def _number(text: str) -> int:
    """The value of an argument."""
    if text.lstrip(" ")[:1] in DIGITS:  # an exception for each name takes longer than all else
        try:
            return int(text, 0)
        except ValueError:
            pass
    return _named(text)


@lru_cache(1 << 12)
def _named(text: str) -> int:
    """The value of names joined by |, or of a number with names behind it (-X verbose)."""
    value = 0
    for part in text.partition("/*")[0].split("|"):
        try:
            value |= max(int(part, 0), 0)
        except ValueError:
            value |= NAMES.get(part.strip(), 0)
    return value


def _clone_flags(call: str, text: str) -> int | None:
    """Clone's flags, of the call's name and arguments; None if they are in memory that strace does not show."""
    if call == "vfork":
        return CLONE_VM
    if found := FLAGS.search(text):
        return _number(found[1]) & (CLONE_VM | CLONE_THREAD)
    if call == "clone3":
        return None
    return _number(text.partition(",")[0]) & (CLONE_VM | CLONE_THREAD) if call == "clone" else 0  # raw arguments


class _Reader:
    """Follows the threads of a text.

    Attributes:
        threads: by TID.
        makers: TIDs of the threads that are in a call that makes a task which has not been seen.
        members: how many threads each process has.
        exited: processes whose exit has begun.
        guessed: tasks whose maker the text does not name.
        contradictions: tasks whose maker turned out to be another one.
        unseen: tasks without a line that ended, as a wait of their parent says.
        unread: calls that cannot be read; `first_unread`: what was wrong with the first of them.
        found: the records of the present line.
    """

    def __init__(self, source: TraceSource) -> None:
        self.source = source
        self.lines = StraceLines(source)
        self.threads: dict[int, _Thread] = {}
        self.makers: set[int] = set()
        self.members: Counter[int] = Counter()
        self.exited: set[int] = set()
        self.guessed = 0
        self.contradictions = 0
        self.unseen = 0
        self.unread = 0
        self.first_unread = ""
        self.found: list[Record | Call] = []
        self._root = ROOT
        self._appeared = 0
        self._called_root: dict[int, int] = {}

    def records(self) -> Iterator[Record | Call]:
        found, makers, threads = self.found, self.makers, self.threads
        for line in self.lines:
            number, tid, time, name, text = line
            if not tid or self._called_root:
                tid = self.whose(line)
            thread = threads.get(tid)
            if thread is not None and name and name not in SPECIAL and not makers and text[-1:] not in UNUSUAL:
                thread.silent, thread.call = False, ""
                if name in ARGUMENTS and (record := self.call((time, 0, thread.pid, tid), name, text, number)):
                    yield record
                continue
            self.line(line, tid)
            if found:
                yield from found
                found.clear()
            if name in MAKERS or makers:
                thread = threads.get(tid)
                if thread is not None and thread.call in MAKERS and not thread.child:
                    makers.add(tid)
                else:
                    makers.discard(tid)
        self.source.times = bool(self.lines.timed)
        self.source.notes += self.notes()

    def notes(self) -> Iterator[str]:
        """What is doubtful, a sentence each."""
        if self.guessed:
            yield f"The parent of {self.guessed} tasks is a guess: the text does not say which call made them."
        if self.contradictions:
            yield f"{self.contradictions} tasks turned out to have another parent than it seemed."
        if self.unread or self.lines.incomplete:
            first = f" (first: {self.first_unread})" if self.unread else ""
            yield f"{self.unread + self.lines.incomplete} calls cannot be read and are left out{first}."
        if silent := self.unseen + sum(thread.silent for thread in self.threads.values()):
            yield f"{silent} tasks that a call made have no line: strace -f follows them."

    def whose(self, line: StraceLine) -> int:
        """The TID of a line; on a terminal, strace names none while it follows one process only."""
        if line.tid:
            return self._called_root.get(line.tid, line.tid)
        if self._root in self.threads or not self.threads:
            return self._root
        known = [tid for tid, thread in self.threads.items() if not thread.silent] or list(self.threads)
        self.contradictions += len(known) > 1
        return known[-1]

    def line(self, line: StraceLine, tid: int) -> None:
        """Add the records of a line."""
        number, _, time, name, text = line
        ends = not name and text.startswith("+++")
        if ends and (superseded := SUPERSEDED.match(text)):
            self.moved(int(superseded[1]), tid)
            return
        if tid not in self.threads:
            if ends:
                return  # of a thread that an execve ended, or that the text does not follow
            tid = self.appear(time, tid)
        thread = self.threads[tid]
        thread.silent = False
        if name:
            self.called(time, tid, thread, name, text.rstrip(), number)
        elif ends:
            self.ended(time, tid, thread)
        elif resumed := RESUMED.match(text):
            if resumed[1] == thread.call:
                self.returned(time, tid, thread, thread.text + resumed[2], number)
        else:
            self.source.foreign += 1  # a signal

    # -- tasks -------------------------------------------------------------------------------------
    def appear(self, time: int, tid: int) -> int:
        """Handle a task without a line before: what made it will return its TID, or it is older than the text.

        Returns:
            its TID in `threads`.
        """
        if not self.makers:
            if tid != ROOT and self._root == ROOT and ROOT in self.threads:
                self._called_root[tid] = ROOT  # the first one is named now that strace follows several
                self._root = -1
                return ROOT
            self.add(tid, tid)
            return tid
        parent = self.lines.maker_of(tid, self.makers)
        if parent > 0 and parent not in self.threads and ROOT in self.makers:
            self._called_root[parent] = ROOT
            self._root = -1
            parent = ROOT
        parent = self._called_root.get(parent, parent)
        if parent < 0:
            self.guessed += 1
            parent = min(self.makers, key=lambda maker: self.threads[maker].number)
        if parent not in self.makers:
            self.add(tid, tid)
            return tid
        self.makers.discard(parent)
        self.made(time, parent, self.threads[parent], tid)
        return tid

    def add(self, tid: int, pid: int, silent: bool = False) -> None:
        self._appeared += 1
        self.threads[tid] = _Thread(pid, self._appeared, silent)
        self.members[pid] += 1

    def made(self, time: int, tid: int, parent: _Thread, child: int, silent: bool = False) -> None:
        parent.child = child
        if child in self.threads:
            self.contradictions += 1
            return
        flags = _clone_flags(parent.call, parent.text)
        self.add(child, parent.pid if (flags or 0) & CLONE_THREAD else child, silent)
        self.found.append(Task(time, 0, parent.pid, tid, child, flags, ""))

    def moved(self, tid: int, to: int) -> None:
        """A thread executed a program, and got the TID of its process; the other threads end."""
        to = self._called_root.get(to, to)
        thread = self.threads.pop(tid, None)
        if thread is None:
            return
        if to in self.threads:
            self.members[thread.pid] -= 1
        self.threads[to] = thread
        self.makers.discard(tid)

    def leaving(self, time: int, tid: int, thread: _Thread) -> None:
        if thread.call == "exit_group" and thread.pid not in self.exited:
            self.exited.add(thread.pid)
            self.found.append(Exit(time, 0, thread.pid, tid, last=True))

    def ended(self, time: int, tid: int, thread: _Thread) -> None:
        del self.threads[tid]
        self.members[thread.pid] -= 1
        if self.members[thread.pid] > 0:
            return
        del self.members[thread.pid]
        if thread.pid not in self.exited:
            self.found.append(Exit(time, 0, thread.pid, tid, last=True))
        self.exited.discard(thread.pid)
        self.found.append(Torn(time, 0, thread.pid, tid))

    def waited(self, time: int, pid: int) -> None:
        """A process has ended of which no line says so: strace does not follow it, or was told to be quiet (-qq)."""
        self.unseen += self.threads[pid].silent
        several = self.members[pid] > 1
        for tid in [tid for tid, one in self.threads.items() if one.pid == pid] if several else [pid]:
            self.ended(time, tid, self.threads[tid])

    # -- calls -------------------------------------------------------------------------------------
    def called(self, time: int, tid: int, thread: _Thread, name: str, rest: str, number: int) -> None:
        """A call begins; most lines have its result, too."""
        thread.call, thread.text, thread.child = name, rest, 0
        if name in ("exit_group", "exit"):
            self.leaving(time, tid, thread)
        elif rest[-1:] == ">" and rest.endswith(UNFINISHED):
            thread.text = rest.removesuffix(UNFINISHED)
        elif rest[-1:] == ">" and (changed := CHANGED.search(rest)):
            thread.text = rest[: changed.start()]
            self.moved(tid, int(changed[1]))
        else:
            self.returned(time, tid, thread, rest, number)

    def call(self, context: tuple[int, int, int, int], call: str, text: str, number: int) -> Call | None:
        """The record of a call of ARGUMENTS; None if it cannot be read."""
        if usual := USUAL_CALL.match(text):
            given_text, result = usual[1], int(usual[2], 16)
        elif found := result_of(text):
            given_text, result = text[: found[1]].rstrip(" ").removesuffix(")"), found[0]
        else:
            self.refuse(number, f"{call} has no result")
            return None
        needed = ARGUMENTS[call]
        given = given_text.split(",", needed)
        if len(given) < needed:
            self.refuse(number, f"{call} has {len(given)} arguments instead of {needed}")
            return None
        return Call(
            *context, call, tuple([_named(one) if one.isupper() else _number(one) for one in given[:needed]]), result
        )

    def returned(self, time: int, tid: int, thread: _Thread, text: str, number: int) -> None:
        call, thread.call = ALIASES.get(thread.call, thread.call), ""
        context = (time, 0, thread.pid, tid)
        if call in ARGUMENTS:
            if record := self.call(context, call, text, number):
                self.found.append(record)
            return
        if call not in FOLLOWED:
            return
        found = result_of(text)
        if found is None:
            self.refuse(number, f"{call} has no result")
            return
        result, _ = found
        if call in MAKERS and result > 0:
            if not thread.child:
                thread.call, thread.text = call, text
                self.made(time, tid, thread, result, silent=True)
                thread.call = ""
            elif thread.child != result:
                self.contradictions += 1
        elif call.startswith("execve") and result == 0:
            program = PROGRAM.search(text)
            comm = program[1].rpartition("/")[2][:COMM] if program else ""
            self.found += (ExecBegin(*context), Exec(*context, comm), Name(time, thread.pid, comm))
        elif call == "wait4" and result > 0:
            if result in self.threads and (ENDED.search(text) or "[{" not in text):
                self.waited(time, result)
            self.found.append(Reaped(*context, result))

    def refuse(self, number: int, why: str) -> None:
        """Leave out a call that cannot be read."""
        self.unread += 1
        self.first_unread = self.first_unread or f"line {number}: {why}"


def read(source: TraceSource) -> Iterator[Record]:
    """The records of a text."""
    source.notes.append("strace sees no faults: the trace has lifecycles and ranges, no writes.")
    # `Call` stands for Enter and Leave; the assembly knows it, and plugins need not
    yield from cast(Iterator[Record], _Reader(source).records())
