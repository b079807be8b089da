"""What a thread may still read late (Armv8), compiled: a write that it cannot needs no entry in the thread's log.

A thread that goes on to a full barrier reads nothing late behind it. What is written under a lock is in order for all
that a thread reads after it has taken the lock: it can only take it when the writer has released it.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored import steps as s

KINDS: Final = 3
(LOADS, STAMPS, RESETS) = range(KINDS)
"""What a step does: it loads columns, and may do so late; it reads their newest values, and orders by them; or, if not
0, it is a full barrier. LOADS and STAMPS are masks of columns, and repeat for what comes before a lock is taken."""
BITS: Final = 61
"""Bits for columns; more columns than that share bits."""


def reads_of(node: Any, waits: Any, own: Any, first: int, end: int) -> int:
    """Fill in what the steps of nodes read."""
    for at in range(first, end):
        what = node[at, n.WHAT]
        step, bit = what & 0xFF, 1 << node[at, n.COLUMN] % BITS
        own[at, LOADS], own[at, STAMPS], own[at, RESETS] = 0, 0, what >> n.BETWEEN_AT & 1
        tries = step in (s.CMPXCHG, s.WAIT_CLEAR) or (step == s.XCHG and what >> n.ACQUIRE_AT & 1)
        if (step == s.LOAD or tries) and node[at, n.REACH] != 0:
            own[at, LOADS] = bit
            for i in range(node[at, n.WAIT_START], node[at, n.WAIT_START] + node[at, n.WAIT_COUNT]):
                own[at, LOADS] |= 1 << waits[i, 0] % BITS
        elif step == s.LOCK:
            own[at, STAMPS] = bit
            own[at, RESETS] |= node[at, n.REACH] == 0
        elif step == s.RELAX:
            for i in range(node[at, n.WAIT_START], node[at, n.WAIT_START] + node[at, n.WAIT_COUNT]):
                own[at, STAMPS] |= 1 << waits[i, 0] % BITS
        elif step in (s.STORE, s.AND_STORE, s.LOCKED_STORE, s.ADD):
            own[at, RESETS] |= node[at, n.REACH] == 0
        elif step == s.BARRIER:
            own[at, RESETS] |= (node[at, n.OPERAND] & s.ORDERS_ALL) != 0
        elif step != s.MARK:
            own[at, RESETS] = 1
    return 0


def takes(node: Any, locks: Any, at: int, lock: int) -> bool:
    """Whether a step goes on only when it has taken a lock."""
    what = node[at, n.WHAT]
    if what & 0xFF != s.LOCK:
        return False
    return bool(node[at, n.COLUMN] == locks[lock, 0] and what >> n.SHIFT_AT & 0xFF == locks[lock, 1])


def spread(node: Any, links: Any, own: Any, future: Any, locks: Any, first: int, end: int) -> int:
    """Add to what may be read at nodes what may be read behind them; return whether it was new."""
    changed, again = 0, 1
    while again:
        again = 0
        for at in range(end - 1, first - 1, -1):
            for part in range(locks.shape[0] + 1):
                goes_on = own[at, RESETS] == 0 and (part == 0 or not takes(node, locks, at, part - 1))
                for kind in range(2):
                    column = 2 * part + kind
                    found = future[at, column] | own[at, kind]
                    link = node[at, n.FIRST_LINK]
                    while link >= 0 and goes_on:
                        found |= future[links[link, n.CHILD], column]
                        link = links[link, n.NEXT_LINK]
                    if node[at, n.WHAT] >> n.BETWEEN_AT & 1:
                        found = 0
                    if found != future[at, column]:
                        future[at, column] = found
                        again, changed = 1, 1
    return changed


def reads(future: Any, node: int, lock: int, kind: int, column: int) -> bool:
    """Whether a thread at a node may still read a column.

    Args:
        future: of `LateReads`; a table of one row knows nothing.
        lock: 1 + the number of the lock that the column was written under; 0 for none.
    """
    return bool(future.shape[0] == 1 or future[node, 2 * lock + kind] >> column % BITS & 1 != 0)


def lock_of(row: Any, at: int, node: Any, held: int, locks: Any, column: int, word: int) -> int:
    """1 + the number of the lock that a write is under, or 0.

    Args:
        held: the node of the writer.
        column, word: what it writes.
    """
    mine = node[held, n.HOLDS]
    for lock in range(locks.shape[0] if mine else 0):
        where, bit = locks[lock, 0], locks[lock, 1]
        now = row[at, where] | word if where == column else row[at, where]
        if mine == 1 + where + (bit << 16) and now >> bit & 1:
            return lock + 1
    return 0
