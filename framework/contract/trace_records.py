"""The records that every trace reader makes of a tracer's text.

A record happened at `time` (ns of one monotonic clock) on `cpu`, in the thread `tid` of the process `pid`. Names
and meanings are those of the kernel's tracepoints. `foliolab import` assembles trace events from them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PRESENT_UNKNOWN: Final = 1 << 32
"""The bit of a Fault's `error` where the architecture does not say whether the page was present (RISC-V)."""


class Fault(NamedTuple):
    """A page fault (exceptions:page_fault_user, page_fault_kernel); `error` has x86's bits: 1 present, 2 write.

    Where an architecture does not say whether the page was present, `error` has the bit PRESENT_UNKNOWN.

    A write fault on a page that was not present makes an event only if an Alloc of the same thread follows it.
    """

    time: int
    cpu: int
    pid: int
    tid: int
    address: int
    error: int
    kernel: bool


class Alloc(NamedTuple):
    """Movable pages were allocated (kmem:mm_page_alloc); `zero`: the allocator cleared them (__GFP_ZERO)."""

    time: int
    cpu: int
    pid: int
    tid: int
    pfn: int
    order: int
    zero: bool


class Cached(NamedTuple):
    """The page at `pfn` went to the page cache (filemap:mm_filemap_add_to_page_cache)."""

    time: int
    cpu: int
    pid: int
    tid: int
    pfn: int


class Task(NamedTuple):
    """A task was made (task:task_newtask); `flags` are clone's, None if unknown."""

    time: int
    cpu: int
    pid: int
    tid: int
    child: int
    flags: int | None
    comm: str


class ExecBegin(NamedTuple):
    """The point of no return of an execve (sched:sched_prepare_exec): the old MM is about to go."""

    time: int
    cpu: int
    pid: int
    tid: int


class Exec(NamedTuple):
    """A program was executed (sched:sched_process_exec)."""

    time: int
    cpu: int
    pid: int
    tid: int
    comm: str


class Exit(NamedTuple):
    """A thread exits (sched:sched_process_exit); `last`: no other of its process is left."""

    time: int
    cpu: int
    pid: int
    tid: int
    last: bool


class Torn(NamedTuple):
    """An address space of the process is torn down completely (mmap:exit_mmap)."""

    time: int
    cpu: int
    pid: int
    tid: int


class Reaped(NamedTuple):
    """A wait of the process returned `child` (syscalls:sys_exit_wait4)."""

    time: int
    cpu: int
    pid: int
    tid: int
    child: int


class Enter(NamedTuple):
    """A system call begins; `args` in its own order, addresses and lengths in bytes."""

    time: int
    cpu: int
    pid: int
    tid: int
    call: str
    args: tuple[int, ...]


class Leave(NamedTuple):
    """A system call returned `result`, negative for an error."""

    time: int
    cpu: int
    pid: int
    tid: int
    call: str
    result: int


class Lost(NamedTuple):
    """The tracer lost `nr` records about here."""

    time: int
    nr: int


class Hint(NamedTuple):
    """The kernel itself migrated, split or collapsed the folio at `pfn`; 0 if the tracer does not know which."""

    time: int
    pfn: int
    what: str


class Name(NamedTuple):
    """The process is called `comm`."""

    time: int
    pid: int
    comm: str


class Row(NamedTuple):
    """An event that needs no assembling, of the present MM of `pid`; fields as the columns of `events`."""

    time: int
    pid: int
    kind: int
    flags: int
    order: int
    page: int
    nr: int
    other: int


Record = (
    Fault | Alloc | Cached | Task | ExecBegin | Exec | Exit | Torn | Reaped | Enter | Leave | Lost | Hint | Name | Row
)
