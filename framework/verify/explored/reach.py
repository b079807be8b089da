"""What nodes' steps access and what may follow them, compiled: see `footprints`."""

from __future__ import annotations

from typing import Any

from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.persistent import MASKS, READS, TRUTH_BIT, WRITES


def mark(node: Any, links: Any, own: Any, first: int, end: int, faults: int) -> int:
    """Add to the footprints of nodes what their links change of the truth, or read of it; return whether it was new.

    Args:
        first, end: the nodes.
        faults: whether references and numbers of mappings belong to the truth, too.
    """
    kept = -1 if faults else (1 << n.HELD_AT) - 1
    changed = 0
    for at in range(first, end):
        reads, writes = 0, 0
        link = node[at, n.FIRST_LINK]
        while link >= 0:
            child = links[link, n.CHILD]
            if (node[at, n.TRUTH] ^ node[child, n.TRUTH]) & kept:
                writes = TRUTH_BIT
            opens = node[child, n.WHAT] >> n.ASKS_AT & 1 and node[at, n.WHAT] >> n.ASKS_AT & 1 == 0
            if opens or links[link, n.FLAGS] & (n.EXCLUSIVE | n.REUSED):
                reads = TRUTH_BIT
            link = links[link, n.NEXT_LINK]
        if own[at, READS] | reads != own[at, READS] or own[at, WRITES] | writes != own[at, WRITES]:
            changed = 1
            own[at, READS] |= reads
            own[at, WRITES] |= writes
    return changed


def takes(node: Any, locks: Any, at: int, lock: int) -> bool:
    """Whether the step of a node waits until a lock is free."""
    what = node[at, n.WHAT]
    step = what & 0xFF
    if step not in (s.LOCK, s.WAIT_CLEAR):
        return False
    return bool(node[at, n.COLUMN] == locks[lock, 0] and what >> n.SHIFT_AT & 0xFF == locks[lock, 1])


def spread(node: Any, links: Any, own: Any, future: Any, locks: Any, first: int, end: int) -> int:
    """Add to what may follow nodes what may follow the nodes behind them; return whether it was new.

    Args:
        first, end: the nodes.
    """
    changed, again = 0, 1
    while again:
        again = 0
        for at in range(end - 1, first - 1, -1):
            for part in range(locks.shape[0] + 1):
                if part > 0 and takes(node, locks, at, part - 1):
                    continue
                for kind in range(MASKS):
                    column = MASKS * part + kind
                    found = future[at, column] | own[at, kind]
                    link = node[at, n.FIRST_LINK]
                    while link >= 0:
                        found |= future[links[link, n.CHILD], column]
                        link = links[link, n.NEXT_LINK]
                    if found != future[at, column]:
                        future[at, column] = found
                        again, changed = 1, 1
    return changed
