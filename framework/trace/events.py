"""The events of a trace: their kinds, their flags, and the columns that hold them.

An event is a row, a property is a column. What the columns `page`, `nr` and `other` mean depends on the kind. Pages are
virtual page numbers (address >> 12); times are nanoseconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

# -- kinds ---------------------------------------------------------------------------------------
PRESENT: Final = 1
"""When the trace began, `nr` pages from `page` were mapped to a folio of `order`; `other`: PFN of the first page."""
FORK: Final = 2
"""`mm` forked; `other`: the child's MM."""
SPAWN: Final = 3
"""As FORK, but the child shares the MM until it executes a program (CLONE_VM, vfork, posix_spawn)."""
EXEC: Final = 4
"""The process of `mm` executed a program; `other`: its new, empty MM."""
EXIT: Final = 5
"""The teardown of `mm` begins (sched_process_exit fires before exit_mm)."""
GONE: Final = 6
"""The teardown of `mm` is over (its end was traced, or the parent's wait4 returned)."""
NEW: Final = 7
"""A fault on a non-present page allocated a folio of `order`; `page`: its first page; `other`: its PFN."""
WRITE: Final = 8
"""Write-protect fault on `page`; outcome in the flags; `other`: PFN of the new page if copied, 0 if unknown."""
UNMAP: Final = 9
"""munmap, MADV_DONTNEED or another call unmapped `nr` pages from `page` on."""
MOVE: Final = 10
"""mremap of `nr` pages from `page` on; `other`: the new page."""
SPLIT: Final = 11
"""A PMD that maps any of `nr` pages from `page` on is replaced by PTEs (mprotect of a part)."""
LOST: Final = 12
"""The tracer lost `nr` events at about this time."""
FREE_HINT: Final = 13
"""The kernel itself migrated, split, collapsed or swapped the folio at PFN `other`."""
MAP: Final = 14
"""`nr` pages from `page` on were mapped, read-only, to page-cache folios of `order`; `other`: PFN of the first.

PFNs identify the folios: events with the same PFN mean the same folio. Tracers do not show this event; generators of
traces write it.
"""
LAST_KIND: Final = MAP
SLOTS: Final = 15
"""No trace has this kind: a recorder's row for each MM that maps a large folio whose slots were read.

`other`: the PFN of the folio's first page; `page`: number of the folio's mappings; `nr`: those that the MM has by its
slot, 0 if it has none. `trace.importers.remembered` makes flags of PRESENT events of it.
"""

KINDS: Final[dict[int, str]] = {
    PRESENT: "present", FORK: "fork", SPAWN: "spawn", EXEC: "exec", EXIT: "exit", GONE: "gone", NEW: "new",
    WRITE: "write", UNMAP: "unmap", MOVE: "move", SPLIT: "split", LOST: "lost", FREE_HINT: "free hint",
    MAP: "map",
}  # fmt: skip
"""The kinds' names."""

# -- flags ---------------------------------------------------------------------------------------
OUTCOME: Final = 3
"""The bits of a WRITE's outcome: 0 unknown, else REUSED or COPIED."""
REUSED: Final = 1
COPIED: Final = 2
UNCERTAIN: Final = 4
"""Another process that may share folios is between EXIT and GONE, so the order of events decides the outcome."""
KERNEL: Final = 8
"""The fault occurred in kernel mode."""
FILE: Final = 16
"""The mapping is known to be shared or of a file."""
REMEMBERED: Final = 32
"""Of a PRESENT: which MMs the kernel remembered of the folio then was read from its memory, and HAS_SLOT says it."""
HAS_SLOT: Final = 64
"""Of a PRESENT with REMEMBERED: the MM has a slot of the folio."""

COLUMNS: Final[dict[str, np.dtype[Any]]] = {
    "time": np.dtype("<u8"), "mm": np.dtype("<u4"), "kind": np.dtype("u1"), "flags": np.dtype("u1"),
    "order": np.dtype("u1"), "cpu": np.dtype("u1"), "page": np.dtype("<u8"), "nr": np.dtype("<u4"),
    "other": np.dtype("<u8"),
}  # fmt: skip
"""The columns in their order, and their types in a file and in memory."""


class Events(NamedTuple):
    """Events as columns of equal length. `len()` counts the columns, `size` the events.

    Attributes:
        time: ns of a monotonic clock; never decreases.
        mm: number of the address space in this trace, one per process and exec, never reused; 0: unknown.
        kind: one of the kinds above.
        flags: bits of the flags above.
        order: of the folio.
        cpu: the processor; 255 also stands for all higher numbers.
        page: virtual page number.
        nr: number of pages.
        other: depends on the kind.
    """

    time: NDArray[np.uint64]
    mm: NDArray[np.uint32]
    kind: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    order: NDArray[np.uint8]
    cpu: NDArray[np.uint8]
    page: NDArray[np.uint64]
    nr: NDArray[np.uint32]
    other: NDArray[np.uint64]

    @property
    def size(self) -> int:
        return len(self.time)

    def part(self, which: slice | NDArray[Any]) -> Events:
        """The events that a slice, a mask or an array of indices selects."""
        chosen: list[NDArray[Any]] = [column[which] for column in self]
        return Events(*chosen)

    def rows(self) -> Iterator[dict[str, int]]:
        """The events one by one as dictionaries; slow."""
        for row in zip(*(column.tolist() for column in self), strict=True):
            yield dict(zip(COLUMNS, row, strict=True))


class EventSource(Protocol):
    """A sequence of events that is read in blocks: a file (`trace.file.Trace`), or memory.

    Attributes:
        path: its name in messages.
    """

    path: str

    def __len__(self) -> int:
        """The number of events."""
        ...

    def blocks(self) -> Iterator[Events]:
        """The events in blocks of at most `file.BLOCK_EVENTS`."""
        ...


def columns(**given: ArrayLike) -> Events:
    """Make events from columns. A single value is used for all events; a column that is not given is 0.

    Raises:
        ValueError: an unknown name, or columns of different length.
        OverflowError: a value that does not fit its column.
    """
    if unknown := given.keys() - COLUMNS.keys():
        raise ValueError(f"there is no column {min(unknown)}")
    made = {name: np.asarray(value, COLUMNS[name]) for name, value in given.items()}
    length = max((column.size for column in made.values() if column.ndim), default=1)
    zero = np.zeros((), np.uint8)
    full: list[NDArray[Any]] = [
        np.broadcast_to(made.get(name, zero), (length,)).astype(kind) for name, kind in COLUMNS.items()
    ]
    return Events(*full)


def join(parts: Sequence[Events]) -> Events:
    """Concatenate events."""
    return Events(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else columns(time=[])
