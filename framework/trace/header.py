"""The header of a trace."""

from __future__ import annotations

from typing import Final

import msgspec

from foliolab.framework.document import Count


class Shows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which kinds of events the source of a trace could show. None: it is not known, or nothing depends on it.

    What rests on a kind that is absent is unknown: a write fault without allocations is neither a reuse nor a copy.

    Attributes:
        faults: page faults, so that it is known which pages were written to.
        allocations: of pages, which say whether a write fault copied, and how large a folio is.
        threads: clone's flags, which tell a thread, a process that shares the MM until exec, and a fork apart.
        teardown: when the memory of an exiting process is gone.
        ranges: munmap, madvise, mremap and their like.
        history: how all pages came to be: False if an MM existed before the trace began. A snapshot of the start says
            what such MMs had mapped, and not what happened to it before.
        times: of the events. Without them only their order is known.
    """

    faults: bool | None = None
    allocations: bool | None = None
    threads: bool | None = None
    teardown: bool | None = None
    ranges: bool | None = None
    history: bool | None = None
    times: bool | None = None

    @property
    def cannot_tell(self) -> list[str]:
        """What the trace cannot tell, since its source does not show it: a sentence each."""
        absent = [kind for kind in self.__struct_fields__ if getattr(self, kind) is False]
        return [f"This trace cannot tell {_CANNOT_TELL[kind]}." for kind in absent]

    def or_else(self, other: Shows) -> Shows:
        """These facts, and those of another one where these say nothing."""
        mine = {kind: getattr(self, kind) for kind in self.__struct_fields__}
        theirs = {kind: getattr(other, kind) for kind in self.__struct_fields__}
        return Shows(**{kind: theirs[kind] if value is None else value for kind, value in mine.items()})


NOT_KNOWN: Final = Shows()
_CANNOT_TELL: Final = {
    "faults": "when pages were written to, nor whether the kernel reused them: its source shows no faults "
    "(exceptions:page_fault_user, page_fault_kernel)",
    "allocations": "which folios were mapped, nor whether a write fault copied a page or reused it: its source shows "
    "no allocations (kmem:mm_page_alloc)",
    "threads": "threads, vfork and fork apart wherever a new task's own lines do not: its source shows tasks without "
    "clone's flags (task:task_newtask)",
    "teardown": "when the memory of an exiting process was gone: its source shows no end of a teardown "
    "(mmap:exit_mmap, or syscalls:sys_exit_wait4)",
    "ranges": "what was unmapped, moved or protected: its source shows no system calls (syscalls:sys_enter_munmap and "
    "its like)",
    "history": "what happened before it began to pages that its processes had already, and who else maps them: "
    "`foliolab record -- COMMAND` records a program from its start",
    "times": "how long anything lasted: its source has no times, only an order",
}
SOURCES: Final = {
    "strace": Shows(faults=False, allocations=False, threads=True, teardown=True, ranges=True),
    "snapshots": Shows(faults=False, allocations=True, threads=True, teardown=True, ranges=False),
}
"""What the traces of a source show, by `Header.source`, where every trace of that source shows the same."""


class AddressSpace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One MM of a trace.

    Attributes:
        mm: its number in the trace.
        pid: of its process; 0 if unknown.
        comm: the last known name of the process.
        earlier: whether it may have pages from before the trace began: it existed then, or such an MM forked it.
    """

    mm: Count
    pid: Count = 0
    comm: str = ""
    earlier: bool = False


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How and where a trace was recorded. Unknown keys are refused, as everywhere.

    Attributes:
        source: perf, bpftrace, snapshots, strace, or the name of a generator.
        command: the command that recorded the trace.
        kernel: release of the recorded kernel; empty if unknown.
        mm_id: whether that kernel has CONFIG_MM_ID; None if unknown.
        no_page_mapcount: whether that kernel has CONFIG_NO_PAGE_MAPCOUNT; None if unknown.
        thp: transparent huge page settings by their name below /sys/kernel/mm/transparent_hugepage.
        page_size: bytes.
        machine: processor, number of cores and operating system of the host.
        started, finished: ISO 8601 with offset; empty if unknown.
        lost: number of events that the tracer reported as lost.
        exit_uncertainty_ns: sum of the times between EXIT and GONE.
        mms: the address spaces, while they are few; `file.Trace.spaces` has them in any case.
        notes: limits of the trace, a sentence each.
        shows: which kinds of events the source could show; a trace that does not say it has what its source implies.
    """

    source: str = ""
    command: str = ""
    kernel: str = ""
    mm_id: bool | None = None
    no_page_mapcount: bool | None = None
    thp: dict[str, str] = {}
    page_size: Count = 4096
    machine: str = ""
    started: str = ""
    finished: str = ""
    lost: Count = 0
    exit_uncertainty_ns: Count = 0
    mms: list[AddressSpace] = []
    notes: list[str] = []
    shows: Shows = NOT_KNOWN

    def __post_init__(self) -> None:
        """Escape what UTF-8 cannot hold, since the arguments of a command may be any bytes; complete `shows`."""
        if self.source in SOURCES:
            msgspec.structs.force_setattr(self, "shows", self.shows.or_else(SOURCES[self.source]))
        if not self.command.isascii():
            text = self.command.encode("utf-8", "backslashreplace").decode()
            msgspec.structs.force_setattr(self, "command", text)
