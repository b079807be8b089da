"""The tables of the tries. A node is a step that a thread is about to do; a link is a result with the next node."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]

WIDTH: Final = 10
(WHAT, COLUMN, OPERAND, OTHER, FIRST_LINK, TRUTH, WAIT_START, WAIT_COUNT, REACH, HOLDS) = range(WIDTH)
"""A node's columns. WHAT packs the step, the position of the value in its word, and the flags below. The last two are
for Armv8. REACH: the first bit of the whole field and, from bit 8 on, its width; 0 where the access is a full barrier.
HOLDS: 1 + the column and, from bit 16 on, the bit of a lock that the thread holds when the step is done; 0 for none."""
SHIFT_AT: Final = 8
BITS_AT: Final = 16
SIGNED_AT: Final = 24
BETWEEN_AT: Final = 25
"""The thread is between two operations."""
ASKS_AT: Final = 26
"""The thread is in the middle of a query or of a write fault."""
DEAD_AT: Final = 27
"""The thread has ended by an error."""
WRAPS_AT: Final = 28
"""The field is meant to wrap around."""
WRITES_AT: Final = 29
"""The thread is in the middle of a write fault."""
ACQUIRE_AT: Final = 30
RELEASE_AT: Final = 31
"""The access is an acquire, or a release (Armv8)."""
FRESH_AT: Final = 32
"""The store replaces the whole field by a value that depends on no load (Armv8)."""
HELD_AT: Final = 8
MAPPINGS_AT: Final = 32
"""TRUTH packs the number of the thread's MMs that map the folio, from HELD_AT on that of references that it holds, and
from MAPPINGS_AT on that of its mappings."""

LINK_WIDTH: Final = 4
(VALUE, CHILD, NEXT_LINK, FLAGS) = range(LINK_WIDTH)
"""A link's columns: the step's result, the next node, the next link of the same node, and the flags below."""
EXCLUSIVE: Final = 1
"""A query ends here with the answer "exclusive"."""
REUSED: Final = 2
"""The policy permits a write in place."""
LOST: Final = 4
"""An operation ends here with a lock held."""
FAULT: Final = 8
"""The thread ends here by an error."""

WAIT_WIDTH: Final = 4
"""A wait's columns: column, shift, bits with the sign above, value. For a load of Armv8 these rows are the fields that
its address depends on: column, REACH."""


class Nodes:
    """All threads' nodes and links."""

    def __init__(self) -> None:
        self.table: Table = np.zeros((1024, WIDTH), np.int64)
        self.links: Table = np.zeros((2048, LINK_WIDTH), np.int64)
        self.waits: Table = np.zeros((64, WAIT_WIDTH), np.int64)
        self.count = self.link_count = self.wait_count = 0

    def add(self, row: tuple[int, ...]) -> int:
        if self.count == len(self.table):
            self.table = _grown(self.table)
        self.table[self.count] = row
        self.count += 1
        return self.count - 1

    def link(self, node: int, value: int, child: int, flags: int) -> int:
        """Add a link for a result of a node's step; return the link's number."""
        if self.link_count == len(self.links):
            self.links = _grown(self.links)
        self.links[self.link_count] = (value, child, self.table[node, FIRST_LINK], flags)
        self.table[node, FIRST_LINK] = self.link_count
        self.link_count += 1
        return self.link_count - 1

    def follows(self, node: int, value: int) -> bool:
        at = int(self.table[node, FIRST_LINK])
        while at >= 0:
            if self.links[at, VALUE] == value:
                return True
            at = int(self.links[at, NEXT_LINK])
        return False

    def wait(self, column: int, shift: int, bits: int, value: int) -> None:
        """Add a value whose change a RELAX node waits for, or a field that an address depends on."""
        if self.wait_count == len(self.waits):
            self.waits = _grown(self.waits)
        self.waits[self.wait_count] = (column, shift, bits, value)
        self.wait_count += 1


def _grown(table: Table) -> Table:
    return np.concatenate([table, np.zeros_like(table)])
