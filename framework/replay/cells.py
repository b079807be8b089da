"""The replay's own state: 64-bit cells in a machine's scratch memory.

The native loop has no other memory, so that registers, tables and the events themselves are cells. Offsets count from
the start of the machine's memory. Python reads the same cells through numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import load, pte_at, store

# -- registers
(
    NOW, CPU, ZONE, MMS, MM_STRIDE, STATUS, SLOTS, WINDOWS, HASH_SIZE, HEADS, MM_LIMIT, PFN_MASK, KEEP_PFNS,
    FREE_SLOTS, LIVE, SNAPSHOT, EVENT,
    AT_HEAD, AT_TIME, AT_PAGE, AT_NR, AT_OTHER, AT_MM, AT_SLOT, AT_FREE, AT_USED, AT_COUNT, AT_FAMILY,
    AT_VIRTUAL, AT_HASH_CELL, AT_HASH, AT_CLUSTER, AT_FOLIO, AT_LARGE, AT_PFN, AT_LIST, AT_BUCKET, AT_MATRIX, AT_TALLY,
    AT_ENDS, AT_LENGTHS, STEP, WRONGS, AT_PAGES, AT_WRONG, PMDS, AT_FOUND, PREDECESSORS, HELD, AT_CHANGES, CHANGES,
    MOST_CHANGES,
) = range(52)  # fmt: skip
REGISTERS: Final = 64
RUN: Final = 16
"""Write faults whose pages are looked up together, before the first of them."""

BEFORE: Final = 0
WITHIN: Final = 1
BEHIND: Final = 2
AGAIN: Final = 3
"""The position of the loop relative to the PRESENT events that a trace begins with; AGAIN: in later ones, which a
damaged trace may have."""

# -- why the loop stopped
FINE: Final = 0
NO_FRAMES: Final = 1
NO_SLOTS: Final = 2
NO_WINDOWS: Final = 3
NO_IDS: Final = 4
NO_CHANGES: Final = 5

# -- tallies
KIND: Final = 0
"""Events by kind; 0 counts events of unknown kinds."""
(
    NO_MM, DEAD_MM, FAR_PAGE, NO_ORDER, OF_FILE, STALE, PRESENT_PAGES, HINTED, FALSE_EPISODES, FALSE_LONGEST,
    FALSE_PEAK, FALSE_PEAK_AT, UNSAFE_EPISODES, UNSAFE_LONGEST, UNSAFE_FIRST, SOLE_COPIES, FRAMES_PEAK,
    EXCLUSIVE_OPS, SHARED_OPS, FALSE_OPS, UNSAFE_OPS, FALSE_LONGEST_OPS, UNSAFE_LONGEST_OPS,
    OWNERS_PEAK, PAGES_MAPPED, PAGES_UNMAPPED, PAGES_FORKED, PAGES_MOVED, WRONG_REUSES,
) = range(16, 45)  # fmt: skip
TALLIES: Final = 48

# -- buckets: current folios and pages, time of the last change, and both summed over time
MOST_OWNERS: Final = 64
"""Folios with this many owners or more share a bucket."""
FALSE: Final = MOST_OWNERS + 1
UNSAFE: Final = MOST_OWNERS + 2
BUCKETS: Final = MOST_OWNERS + 3
BUCKET_CELLS: Final = 5

# -- write faults: class × kernel × policy × certainty
CLASSES: Final = ("large", "small", "unknown", "disturbed", "earlier", "read")
LARGE, SMALL, UNKNOWN, DISTURBED, EARLIER, READ = range(6)
KERNEL: Final = ("unknown", "reused", "copied")
POLICY: Final = ("unchanged", "reused", "copied", "new page", "not mapped")
MATRIX: Final = (len(CLASSES), len(KERNEL), len(POLICY), 2)

# -- wrong answers: how they ended, by event, and how long they lasted, as a histogram in time and in operations
HOW: Final = ("gone", "owners", "one page", "answer", "lasting")
GONE, OWNERS, ONE_PAGE, ANSWER, LASTING = range(5)
"""Nothing maps the folio any more; it became shared or exclusive; one page of it is left; the policy's answer changed;
the trace ended."""
ENDS: Final = (2, 16, len(HOW))
EXACT_LENGTHS: Final = 64
"""Shorter lengths have a class each; longer ones share classes of a thirty-second of a power of two."""
LENGTHS: Final = (2, 2, 60 * EXACT_LENGTHS // 2)

FOLIO_CELLS: Final = 5
"""Of a folio: what is accounted for (owners, flags, order); how many MMs map it now; since when, and for how many
operations on it, the answer has been wrong; how often its pages are mapped."""
SLOT_CELLS: Final = 3
"""Of a slot: processes that use its MM, the family, and the MM's first number in the trace."""
COUNT_BITS: Final = 16
COUNTS: Final = 4
"""Counts of the mappings of single pages (`Sizes.watched`): bits of a count, and counts in a cell."""
CHANGE_CELLS: Final = 8
"""Of a row of the list of changes (`Sizes.changes`): see `changes`."""
WRONG_SHIFT: Final = 2
WRONG_FALSE: Final = 1
WRONG_UNSAFE: Final = 2
"""An entry of the list of wrong answers that began: the event's index in the chunk, and the kinds that began."""
FAMILY_CELLS: Final = 3
"""Of a family, the MMs related by fork that share a numbering of windows: MMs, windows, and its cluster."""


def cell(vm: Memory, at: int) -> int:
    """The cell at an offset."""
    return load(pte_at(vm, at).pte)


def put(vm: Memory, at: int, value: int) -> None:
    """Set the cell at an offset."""
    store(pte_at(vm, at).pte, value)


def bump(vm: Memory, at: int, by: int) -> None:
    """Add to the cell at an offset."""
    put(vm, at, cell(vm, at) + by)


def reg(vm: Memory, base: int, number: int) -> int:
    """A register."""
    return cell(vm, base + 8 * number)


def tally(vm: Memory, base: int, number: int) -> None:
    """Add one to a tally."""
    bump(vm, reg(vm, base, AT_TALLY) + 8 * number, 1)


@dataclass(frozen=True)
class Sizes:
    """How large the tables of a replay are.

    Args:
        frames: page frames of the machine.
        slots: MMs that can live at a time.
        windows: windows of 2 MiB that the MMs of a family can use.
        mms: one more than the largest MM number of the trace.
        clusters: one more than the largest number of a cluster of MMs that share memory from the start.
        pfns: entries of the table of recorded frame numbers, a power of two.
        events: events of a chunk.
        predecessors: slots for MMs that mapped older folios first (`predecessors`); `slots` contains them.
        watched: whether an observer follows: then mappings are counted by page, page operations by kind, and the
            events that make an answer wrong are listed.
        changes: rows of the list of changes to the mappings of large folios (see `changes`), which an observer must
            collect before it is full; mappings are then counted by page, too. 0: there is no list.
    """

    frames: int
    slots: int
    windows: int
    mms: int
    clusters: int
    pfns: int
    events: int
    predecessors: int = 0
    watched: bool = False
    changes: int = 0

    @property
    def vpns(self) -> int:
        """Pages of address space that an MM needs."""
        return self.windows * PTRS_PER_PTE

    @property
    def hash_size(self) -> int:
        """Entries of a family's hash table of windows, of which at most half are used."""
        return 1 << max(4, (2 * self.windows).bit_length())

    def tables(self) -> dict[int, int]:
        """Cells of each table, by the register that holds its offset."""
        heads = (self.frames >> 2) + 1
        return {
            AT_HEAD: self.events, AT_TIME: self.events, AT_PAGE: self.events, AT_NR: self.events,
            AT_OTHER: self.events, AT_MM: self.mms, AT_SLOT: SLOT_CELLS * self.slots, AT_FREE: self.slots,
            AT_USED: self.slots * self.windows, AT_COUNT: self.slots * heads,
            AT_FAMILY: FAMILY_CELLS * self.slots, AT_VIRTUAL: self.slots * self.windows,
            AT_HASH_CELL: self.slots * self.windows, AT_HASH: self.slots * self.hash_size,
            AT_CLUSTER: self.clusters, AT_FOLIO: FOLIO_CELLS * heads, AT_LARGE: heads, AT_PFN: self.pfns,
            AT_LIST: PTRS_PER_PTE, AT_BUCKET: BUCKETS * BUCKET_CELLS, AT_MATRIX: prod(MATRIX), AT_TALLY: TALLIES,
            AT_ENDS: prod(ENDS), AT_LENGTHS: prod(LENGTHS), AT_FOUND: RUN,
            AT_PAGES: self.frames // COUNTS if self.watched or self.changes else 0,
            AT_WRONG: self.events if self.watched else 0, AT_CHANGES: CHANGE_CELLS * self.changes,
        }  # fmt: skip

    @property
    def scratch(self) -> int:
        return 8 * (REGISTERS + sum(self.tables().values()))


class Cells:
    """The cells of a replay, from Python.

    Args:
        machine: an `engine.machine.Machine` whose shape has `sizes.scratch` bytes of scratch memory.
        sizes: of the tables.
        start: bytes of scratch memory before the cells, for other uses.
    """

    def __init__(self, machine: Any, sizes: Sizes, start: int = 0) -> None:
        self.all = machine.scratch()[start // 8 :]
        self.base: int = machine.map.scratch + start
        self.starts: dict[int, int] = {}
        self.lengths = sizes.tables()
        at = REGISTERS
        for register, length in self.lengths.items():
            self.starts[register] = at
            self.all[register] = self.base + 8 * at if length else 0
            at += length
        mms, free = machine.map.mms, sizes.slots - sizes.predecessors
        values = {
            CPU: machine.map.cpus[0], ZONE: machine.map.zone, MMS: mms[0],
            MM_STRIDE: mms[1] - mms[0] if len(mms) > 1 else 0, SLOTS: sizes.slots, WINDOWS: sizes.windows,
            HASH_SIZE: sizes.hash_size, HEADS: (sizes.frames >> 2) + 1, MM_LIMIT: sizes.mms,
            PFN_MASK: sizes.pfns - 1, FREE_SLOTS: free, PMDS: "pmd" in machine.scheme.capabilities,
            PREDECESSORS: sizes.predecessors, MOST_CHANGES: sizes.changes,
        }  # fmt: skip
        for register, value in values.items():
            self.all[register] = value
        self.table(AT_FREE)[:free] = range(free - 1, -1, -1)  # the lowest slot is handed out first

    def table(self, register: int) -> Any:
        """A table as 64-bit integers."""
        start = self.starts[register]
        return self.all[start : start + self.lengths[register]]
