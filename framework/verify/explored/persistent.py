"""Persistent sets of threads in a state, compiled: what makes the search expand some of its threads only.

A set of threads is persistent in a state if nothing that the other threads do, until one of the set moves, depends on
the next steps of the set (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032,
1996). Then it is enough to expand the set. `footprints` says what a thread may still access. What a thread does behind
a lock that the set keeps locked does not count, since the thread cannot come there.

One thread of the set is inside of an operation, so each quiescent state behind the present one has a step of the set
before it: the search still finds all quiescent states, all deadlocks and all steps that break a law. No thread comes
back to a node, so no cycle hides a thread's steps for ever.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import nodes, stepping
from foliolab.framework.verify.explored import steps as s

MASKS: Final = 3
(READS, WRITES, ADDS) = range(MASKS)
"""Kinds of accesses: loads; stores, and steps that read and change; additions whose result nobody uses."""
TRUTH_BIT: Final = 1 << 61
"""The bit of what is true of all threads together: who maps the folio, and who holds references to it."""
SAFE_VALUE: Final = 1 << 30
"""Additions to a value below it do not overflow, see `footprints.SMALL`."""
LOCK_WIDTH: Final = 3
"""Columns of a lock: its column in a state, its bit, the mask of the bit."""


def can_step(row: Any, at: int, node: Any, waits: Any, n: int) -> bool:
    """Whether the step of node `n` can be done in the state in row `at`, without store buffers."""
    what = node[n, nodes.WHAT]
    step = what & 0xFF
    if step == s.DONE:
        return False
    if step > s.RELAX:
        return True
    if step == s.RELAX:
        return stepping.is_changed(row, at, waits, node[n, nodes.WAIT_START], node[n, nodes.WAIT_COUNT])
    old = stepping.field_of(row[at, node[n, nodes.COLUMN]], what)
    if step in (s.LOCK, s.WAIT_CLEAR):
        return old == 0
    wanted = s.changed(step, old, node[n, nodes.OPERAND], node[n, nodes.OTHER])
    fits = s.fit(wanted, what >> nodes.BITS_AT & 0xFF, what >> nodes.SIGNED_AT & 1) == wanted
    return fits or what >> nodes.WRAPS_AT & 1 != 0


def adds_safely(row: Any, at: int, node: Any, n: int) -> bool:
    """Whether the value that the step of node `n` adds to is far from an overflow."""
    what = node[n, nodes.WHAT]
    value = stepping.field_of(row[at, node[n, nodes.COLUMN]], what)
    return what >> nodes.WRAPS_AT & 1 != 0 or -SAFE_VALUE < value < SAFE_VALUE


def closure(  # noqa: PLR0913  (native code takes arrays one by one)
    row: Any, at: int, words: int, threads: int, node: Any, own: Any, future: Any, first: int, lock: int, bit: int,
    truth: int,
) -> int:  # fmt: skip
    """The smallest persistent set with a thread: a mask of threads.

    Args:
        own, future: what each node's step accesses, and what may follow (see `Footprints`).
        first: the thread.
        lock: which part of `future` counts: 0 for all, or 1 + the number of a lock that is held.
        bit: the mask of that lock's bit; 0 for none.
        truth: TRUTH_BIT where the order of what changes the truth matters, or 0.
    """
    found = 1 << first
    reads, writes, adds = bit, 0, 0  # another thread of the set may unlock, others must not
    kept = ~TRUTH_BIT | truth
    at_first = MASKS * lock
    added = first
    while added >= 0:
        n = row[at, words + added] & stepping.NODE_MASK
        reads |= own[n, READS] & kept
        writes |= own[n, WRITES] & kept
        if adds_safely(row, at, node, n):
            adds |= own[n, ADDS]
        else:
            writes |= own[n, ADDS]
        added = -1
        for t in range(threads):
            if found >> t & 1 == 0:
                m = row[at, words + t] & stepping.NODE_MASK
                changed = future[m, at_first + WRITES]
                touched = changed | future[m, at_first + READS]
                added_to = future[m, at_first + ADDS]
                if writes & (touched | added_to) | adds & touched | reads & (changed | added_to):
                    added = t
                    found |= 1 << t
                    break
    return found


def persistent(
    row: Any, at: int, words: int, threads: int, node: Any, waits: Any, masks: Any, likely: int
) -> int:  # fmt: skip
    """A persistent set in the state in row `at`, as small as it is found: a mask of threads; all, where none is known.

    Args:
        masks: own, future and locks, see `Footprints`.
        likely: the thread that is tried first.
    """
    own, future, locks = masks
    everyone = (1 << threads) - 1
    best, size = everyone, threads
    truth = 0
    for t in range(words, words + threads):
        truth |= future[row[at, t] & stepping.NODE_MASK, READS] & TRUTH_BIT
    for i in range(threads):
        first = (likely + i) % threads
        n = row[at, words + first] & stepping.NODE_MASK
        if node[n, nodes.WHAT] >> nodes.BETWEEN_AT & 1 or not can_step(row, at, node, waits, n):
            continue
        for lock in range(locks.shape[0], -1, -1):
            bit = 0
            if lock > 0:
                if row[at, locks[lock - 1, 0]] >> locks[lock - 1, 1] & 1 == 0:
                    continue
                bit = locks[lock - 1, 2]
            found = closure(row, at, words, threads, node, own, future, first, lock, bit, truth)
            count = 0
            for t in range(threads):
                count += found >> t & 1
            if count < size:
                best, size = found, count
                if count == 1:
                    return best
    return best


def first_of(mask: int) -> int:
    """The first thread of a mask that is not 0."""
    thread = 0
    while mask >> thread & 1 == 0:
        thread += 1
    return thread
