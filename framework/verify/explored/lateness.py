"""What each node's thread may still read late: kept up with the tries, as `footprints` is."""

from __future__ import annotations

import numpy as np

from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.footprints import MOST_LOCKS
from foliolab.framework.verify.explored.late_reads import KINDS
from foliolab.framework.verify.explored.native import native
from foliolab.framework.verify.explored.nodes import Nodes, Table


class Lateness:
    """The late reads of all nodes of all tries. What is not known of a trie yet is assumed not to be read.

    Args:
        nodes: of all threads.

    Attributes:
        own: for each node what its step reads (see `late_reads`).
        future: for each node what its thread may read late from there on, in all and before it takes each lock.
        locks: column and bit of each lock.
    """

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._lay_out()

    def _lay_out(self) -> None:
        self.locks: Table = np.array(self._found_locks(), np.int64).reshape(-1, 2)
        size = len(self.nodes.table)
        self.own: Table = np.zeros((size, KINDS), np.int64)
        self.future: Table = np.zeros((size, 2 * (1 + len(self.locks))), np.int64)
        self._count = 0
        self.extend()

    def _found_locks(self) -> list[tuple[int, int]]:
        rows = self.nodes.table[: self.nodes.count]
        locks = rows[rows[:, n.WHAT] & 0xFF == s.LOCK]
        return sorted({(int(row[n.COLUMN]), int(row[n.WHAT]) >> n.SHIFT_AT & 0xFF) for row in locks})[:MOST_LOCKS]

    def extend(self) -> None:
        """Add the nodes that the tries have got since."""
        count, first = self.nodes.count, self._count
        if count > len(self.own):
            more = len(self.nodes.table) - len(self.own)
            self.own = np.pad(self.own, ((0, more), (0, 0)))
            self.future = np.pad(self.future, ((0, more), (0, 0)))
        if count > first:
            nodes = self.nodes
            native("reads_of")(nodes.table, nodes.waits, self.own, first, count)
            native("spread_late")(nodes.table, nodes.links, self.own, self.future, self.locks, first, count)
            self._count = count

    def grow(self) -> bool:
        """Take over what the tries have got since the beginning; return whether the assumption was right until now."""
        if len(self._found_locks()) != len(self.locks):
            self._lay_out()
            return False
        nodes = self.nodes
        return not native("spread_late")(nodes.table, nodes.links, self.own, self.future, self.locks, 0, self._count)
