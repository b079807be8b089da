"""The events of a trace: what they are and the columns that hold them.

One row an event, one column a property. What a column means beyond its name depends on the kind; the kinds
below say it. Addresses are virtual page numbers (address >> 12), times nanoseconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

# -- kinds ---------------------------------------------------------------------------------------
PRESENT: Final = 1
"""`nr` pages from `page` were mapped when the trace began, to a folio of `order`; `other`: frame of the first."""
FORK: Final = 2
"""`mm` forked; `other`: the child's MM."""
SPAWN: Final = 3
"""As FORK, but the child shares the MM until it executes (CLONE_VM, vfork, posix_spawn): nothing is copied."""
EXEC: Final = 4
"""The process of `mm` executed a program; `other`: its new, empty MM."""
EXIT: Final = 5
"""The teardown of `mm` begins (sched_process_exit fires before exit_mm)."""
GONE: Final = 6
"""The teardown of `mm` is certainly over (the parent's wait4 returned)."""
NEW: Final = 7
"""A fault on a non-present page allocated a folio of `order`; `page`: its first page; `other`: its frame."""
WRITE: Final = 8
"""Write-protect fault on `page`; outcome in the flags; `other`: frame of the new page if copied, 0 unknown."""
UNMAP: Final = 9
"""munmap, MADV_DONTNEED or whatever else drops `nr` pages from `page` on."""
MOVE: Final = 10
"""mremap of `nr` pages from `page` on; `other`: the new page."""
SPLIT: Final = 11
"""A PMD that maps any of `nr` pages from `page` on must become PTEs (mprotect of a part)."""
LOST: Final = 12
"""`nr` events were lost about here."""
FREE_HINT: Final = 13
"""From here on the kernel itself migrated, split, collapsed or swapped the folio at frame `other`."""
MAP: Final = 14
"""`nr` pages from `page` on were mapped, read-only, to page-cache folios of `order`; `other`: frame of the first.

Frames name the folios: all events with the same one mean the same folio. No tracer shows this; generators write it.
"""
LAST_KIND: Final = MAP

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
"""Another process of the family is between EXIT and GONE: the order of events, and so the outcome, is uncertain."""
KERNEL: Final = 8
"""From a fault in kernel mode."""
FILE: Final = 16
"""The mapping is known to be of a file, or shared."""

COLUMNS: Final[dict[str, np.dtype[Any]]] = {
    "time": np.dtype("<u8"), "mm": np.dtype("<u4"), "kind": np.dtype("u1"), "flags": np.dtype("u1"),
    "order": np.dtype("u1"), "cpu": np.dtype("u1"), "page": np.dtype("<u8"), "nr": np.dtype("<u4"),
    "other": np.dtype("<u8"),
}  # fmt: skip
"""The columns in their order, and their types in a file and in memory."""


class Events(NamedTuple):
    """Events, a column each; all columns are equally long. `len()` counts the columns, `size` the events.

    Attributes:
        time: ns of a monotonic clock; never decreases.
        mm: number of the address space in this trace, one per process and exec, never reused; 0: unknown.
        kind: what happened.
        flags: the bits above.
        order: of the folio.
        cpu: where, as far as it fits.
        page: virtual page number.
        nr: pages.
        other: by kind.
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
        """How many events there are."""
        return len(self.time)

    def part(self, which: slice | NDArray[Any]) -> Events:
        """Some of the events: by slice, mask or indices."""
        chosen: list[NDArray[Any]] = [column[which] for column in self]
        return Events(*chosen)

    def rows(self) -> Iterator[dict[str, int]]:
        """The events one by one, for people and tests."""
        for row in zip(*(column.tolist() for column in self), strict=True):
            yield dict(zip(COLUMNS, row, strict=True))


class EventSource(Protocol):
    """Where events come from, a block at a time: a file (`trace.file.Trace`), or memory.

    Attributes:
        path: what it is called.
    """

    path: str

    def __len__(self) -> int:
        """How many events there are."""
        ...

    def blocks(self) -> Iterator[Events]:
        """The events, at most `file.BLOCK_EVENTS` a block."""
        ...


def columns(**given: ArrayLike) -> Events:
    """Events from columns by name; a single value holds for all events, and what is not given is 0.

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
    """The events of all parts, one behind the other."""
    return Events(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else columns(time=[])


def in_order(events: Events) -> Events:
    """The events by time; those of the same time stay in their order."""
    return events.part(np.argsort(events.time, kind="stable"))
