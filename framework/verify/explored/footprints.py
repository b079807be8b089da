"""What each node's step accesses, and what the thread may access from there on.

The tries grow during a search, so this is an assumption: the footprints of what is known when a search begins, and of
what it adds. At the end of the search `grow` says whether the assumption was right. If not, the search is repeated.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.native import native
from foliolab.framework.verify.explored.nodes import Nodes, Table
from foliolab.framework.verify.explored.persistent import ADDS, LOCK_WIDTH, MASKS, READS, TRUTH_BIT, WRITES

SMALL: Final = 1024
"""Summands up to here commute in fields of 32 bits: all steps of all threads add less than 2^30 together."""
MOST_LOCKS: Final = 3
"""Locks whose waiting threads are taken into account."""
_BITS: Final = 61
"""Bits for accessed fields; more fields than that share bits."""
_PLACE: Final = 0xFFFF << n.SHIFT_AT
"""The part of a node's WHAT that says where the field lies in its word."""


class Footprints:
    """The footprints of all nodes of all tries, as masks: a bit for each part of a word that some step accesses.

    Args:
        nodes: of all threads.
        counted: the column and first bit of the folio's reference count, packed as in `stepping.is_claimed`; below 0
            if no step accesses it.
        faults: whether a thread does a write fault, so that references belong to the truth.
        tables: the columns of page tables that several threads use: they belong to the truth.

    Attributes:
        own: for each node, what its step accesses: the masks of reads, writes and additions.
        future: for each node, what its thread may access from there on: three masks, and for each lock three more,
            of what it may access before it takes the lock.
        locks: see `persistent.LOCK_WIDTH`.
    """

    def __init__(self, nodes: Nodes, counted: int, faults: bool, tables: frozenset[int] = frozenset()) -> None:
        self.nodes = nodes
        self.counted = counted
        self.faults = faults
        self.tables = tables
        self._lay_out()

    def _lay_out(self) -> None:
        """Give the parts of words bits, and begin anew."""
        self._known: dict[tuple[int, int], int] = {}
        ends: dict[int, set[int]] = {}
        places = [*self._places(0), *self._waited(0, self.nodes.wait_count)]
        if self.counted >= 0:
            places.append((self.counted >> 8, self.counted & 0xFF, 32))
        for column, shift, bits in places:
            ends.setdefault(column, set()).update((shift, shift + bits))
        self._parts: dict[int, list[tuple[int, int, int]]] = {}
        number = 0
        for column, marks in ends.items():
            edges = sorted(marks)
            self._parts[column] = []
            for start, end in pairwise(edges):
                self._parts[column].append((start, end, 1 << number % _BITS))
                number += 1
        self.is_right = True
        self._count = 0
        size = len(self.nodes.table)
        self.locks: Table = np.array(self._locks(), np.int64).reshape(-1, LOCK_WIDTH)
        self.own: Table = np.zeros((size, MASKS), np.int64)
        self.future: Table = np.zeros((size, MASKS * (1 + len(self.locks))), np.int64)
        self.extend()

    def _places(self, first: int) -> set[tuple[int, int, int]]:
        """Column, first bit and number of bits of what the steps of nodes access."""
        rows = self.nodes.table[first : self.nodes.count, : n.COLUMN + 1]
        accesses = rows[rows[:, n.WHAT] & 0xFF < s.RELAX]
        accesses[:, n.WHAT] &= _PLACE
        return {(c, what >> n.SHIFT_AT & 0xFF, what >> n.BITS_AT) for what, c in np.unique(accesses, axis=0).tolist()}

    def _waited(self, first: int, count: int) -> list[tuple[int, int, int]]:
        waits = self.nodes.waits[first : first + count].tolist()
        return [(column, shift, packed & 0xFF) for column, shift, packed, _ in waits]

    def _locks(self) -> list[tuple[int, int, int]]:
        rows = self.nodes.table[: self.nodes.count]
        locks = rows[rows[:, n.WHAT] & 0xFF == s.LOCK]
        found = {(int(row[n.COLUMN]), int(row[n.WHAT]) >> n.SHIFT_AT & 0xFF) for row in locks}
        return [(column, bit, self._mask(column, bit, 1)) for column, bit in sorted(found)[:MOST_LOCKS]]

    def _mask(self, column: int, shift: int, bits: int) -> int:
        """The mask of a field; it is not exact if a step accesses a part of a word in a way that none did before."""
        found = 0
        edges = set()
        for start, end, bit in self._parts.get(column, ()):
            if start < shift + bits and shift < end:
                found |= bit
                edges |= {start, end}
        self.is_right &= shift in edges and shift + bits in edges
        return found

    def extend(self) -> None:
        """Add the nodes that the tries have got since."""
        count = self.nodes.count
        if count > len(self.own):
            self.own, self.future = self._grown(self.own), self._grown(self.future)
        if count == self._count:
            return
        for node in range(self._count, count):
            self.own[node] = self._access(self.nodes.table[node].tolist())
        self._mark(self._count)
        native("spread")(
            self.nodes.table, self.nodes.links, self.own, self.future, self.locks, self._count, count
        )  # fmt: skip
        self._count = count

    def _grown(self, table: Table) -> Table:
        grown: Table = np.zeros((len(self.nodes.table), table.shape[1]), np.int64)
        grown[: len(table)] = table
        return grown

    def _access(self, row: list[int]) -> tuple[int, int, int]:
        """What a step accesses, but for the truth that its links change."""
        what, column = row[n.WHAT], row[n.COLUMN]
        step = what & 0xFF
        masks = [0] * MASKS
        if step == s.RELAX:
            for place in self._waited(row[n.WAIT_START], row[n.WAIT_COUNT]):
                masks[READS] |= self._mask(*place)
        elif step < s.RELAX:
            shift, bits = what >> n.SHIFT_AT & 0xFF, what >> n.BITS_AT & 0xFF
            key = (column, what & _PLACE)
            mask = self._known.get(key)
            if mask is None:
                mask = self._known[key] = self._mask(column, shift, bits)
            masks[_kind(step, row[n.OPERAND], bits, what >> n.WRAPS_AT & 1)] = mask
            counts = self.faults and self._counts(column, shift, bits)
            if step not in s.READERS and (counts or column in self.tables):
                masks[WRITES] |= TRUTH_BIT
        return masks[READS], masks[WRITES], masks[ADDS]

    def _counts(self, column: int, shift: int, bits: int) -> bool:
        """Whether a field has bits of the folio's reference count."""
        at = self.counted & 0xFF
        return self.counted >= 0 and column == self.counted >> 8 and shift < at + 32 and at < shift + bits

    def _mark(self, first: int) -> int:
        """Add what the links of nodes change of the truth; return whether that was new."""
        return native("mark")(self.nodes.table, self.nodes.links, self.own, first, self.nodes.count, self.faults)

    def grow(self) -> bool:
        """Take over what the tries have got since the beginning; return whether the assumption was right until now."""
        right, self.is_right = self.is_right, True
        if not right:
            self._lay_out()
            return False
        changed = self._mark(0)
        changed |= native("spread")(
            self.nodes.table, self.nodes.links, self.own, self.future, self.locks, 0, self._count
        )  # fmt: skip
        return not changed


def _kind(step: int, operand: int, bits: int, wraps: int) -> int:
    if step in s.READERS:
        return READS
    if step == s.ADD and (wraps or (bits >= 32 and abs(operand) <= SMALL)):
        return ADDS
    return WRITES
