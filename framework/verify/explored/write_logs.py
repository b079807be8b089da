"""The log that each thread has of other threads' writes, under Armv8's memory model; compiled.

An entry holds what a write replaced, the oldest write first, and whether the thread may still read that (UNSEEN),
because nothing has ordered it behind the write yet. See `weak_memory`.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.verify.explored import late_reads, nodes, stepping
from foliolab.framework.verify.explored import steps as s

UNSEEN: Final = 1
"""A flag of an entry's first number: the thread may still read what the write replaced."""
PASSED: Final = 2
"""The thread has loaded something that was written later: smp_rmb orders it behind this write."""
OWN: Final = 1 << 5
"""The thread has replaced what was written by a store of its own that depends on no load. In a field that is stored to:
the store is such a one."""
LOCK_AT, LOCK_BITS = 2, 0x7
"""From here on 1 + the number of the lock that the write was under, or 0 (see `late_reads`)."""
FIELD_AT: Final = 8
"""From here on the field: its first bit, its width, its column; and MARK. The second number is what it held before."""
WIDTH_AT, COLUMN_AT = 16, 24
MARK: Final = 1 << 40


def log_start(words: int, threads: int, depth: int) -> int:
    """The first column of the logs; a state that ends there has none."""
    return words + threads + 1 + 2 * depth * threads


def log_of(width: int, words: int, threads: int, depth: int, thread: int) -> int:
    """The first column of a thread's log."""
    start = log_start(words, threads, depth)
    return start + (width - start) // threads * thread


def field_at(column: int, reach: int) -> int:
    """A field as log and buffers hold it. `reach`: of a node (see `nodes.REACH`)."""
    return MARK | column << COLUMN_AT | reach << FIELD_AT


def touches(one: int, other: int) -> bool:
    """Whether two fields share a bit."""
    if (one ^ other) >> COLUMN_AT & 0xFFFF:
        return False
    first, second = one >> FIELD_AT & 0xFF, other >> FIELD_AT & 0xFF
    return first < second + (other >> WIDTH_AT & 0xFF) and second < first + (one >> WIDTH_AT & 0xFF)


def mask_of(field: int) -> int:
    """The bits of a field in its word."""
    width = field >> WIDTH_AT & 0xFF
    return -1 if width == 64 else ((1 << width) - 1) << (field >> FIELD_AT & 0xFF)


# -- the logs --------------------------------------------------------------------------------------------
def last_write(row: Any, at: int, start: int, end: int, field: int, flags: int) -> int:
    """The column of the last entry from `start` to `end` that touches a field; 0 for none.

    Args:
        flags: of which the entry has none.
    """
    found = 0
    for i in range(start, end, 2):
        if row[at, i] == 0:
            break
        if row[at, i] & flags == 0 and touches(row[at, i], field):
            found = i
    return found


def see(row: Any, at: int, start: int, end: int, field: int) -> None:
    """Order a thread behind the writes from `start` to `end` that touch a field; behind all, if that is 0."""
    for i in range(start, end, 2):
        if row[at, i] != 0 and (field == 0 or touches(row[at, i], field)):
            row[at, i] &= ~(UNSEEN | PASSED)


def replace(row: Any, at: int, start: int, end: int, field: int) -> None:
    """Note that a store of the thread itself has replaced what the writes of a log to a field have left."""
    for i in range(start, end, 2):
        if row[at, i] != 0 and touches(row[at, i], field) and mask_of(row[at, i]) & ~mask_of(field) == 0:
            row[at, i] |= OWN


def see_passed(row: Any, at: int, start: int, end: int) -> None:
    """smp_rmb: order a thread behind all writes up to the latest one that it has loaded."""
    for i in range(start, end, 2):
        if row[at, i] & PASSED:
            row[at, i] &= ~(UNSEEN | PASSED)


def settle(row: Any, at: int, start: int, end: int) -> None:
    """Drop the writes of a log that order nothing any more: the thread is behind them, and no earlier one is kept.

    A later write to the same field that the thread is behind stands for an earlier one, too.
    """
    kept = start
    for i in range(start, end, 2):
        entry, old = row[at, i], row[at, i + 1]
        if entry == 0:
            break
        drop = entry & UNSEEN == 0 and kept == start
        if entry & UNSEEN == 0 and not drop:
            for j in range(i + 2, end, 2):
                if row[at, j] & UNSEEN == 0 and row[at, j] >> FIELD_AT == entry >> FIELD_AT:
                    drop = True
        row[at, i], row[at, i + 1] = 0, 0
        if not drop:
            row[at, kept], row[at, kept + 1] = entry, old
            kept += 2


def is_over(node: Any, n: int) -> bool:
    """Whether a thread at node `n` is between two operations: what it does next is behind all that is written."""
    what = node[n, nodes.WHAT]
    return bool(what >> nodes.BETWEEN_AT & 1 != 0 or what & 0xFF == s.DONE)


def begin(row: Any, at: int, words: int, threads: int, depth: int, node: Any, future: Any, thread: int) -> None:
    """Keep in a thread's log what it may still read late, when it has arrived at a node: nothing between operations."""
    n = row[at, words + thread] & stepping.NODE_MASK
    over = is_over(node, n)
    start = log_of(row.shape[1], words, threads, depth, thread)
    end = log_of(row.shape[1], words, threads, depth, thread + 1)
    kept = start
    for i in range(start, end, 2):
        entry, old = row[at, i], row[at, i + 1]
        row[at, i], row[at, i + 1] = 0, 0
        if entry != 0 and not over and matters(future, n, entry, kept > start):
            row[at, kept], row[at, kept + 1] = entry, old
            kept += 2


def matters(future: Any, n: int, entry: int, orders: bool) -> bool:
    """Whether a thread at node `n` may read what a write replaced, or be ordered by it behind earlier ones.

    Args:
        orders: whether there are any.
    """
    lock, column = entry >> LOCK_AT & LOCK_BITS, entry >> COLUMN_AT & 0xFFFF
    if entry & UNSEEN and late_reads.reads(future, n, lock, late_reads.LOADS, column):
        return True
    return orders and (
        late_reads.reads(future, n, 0, late_reads.LOADS, column)
        or late_reads.reads(future, n, 0, late_reads.STAMPS, column)
    )


def write(
    row: Any, at: int, words: int, threads: int, depth: int, node: Any, masks: Any, thread: int, field: int, word: int
) -> None:  # fmt: skip
    """Let a write of a thread take effect: the word that it leaves. A full log forgets its oldest entry."""
    _, future, locks = masks
    fresh, field = field & OWN != 0, field & ~OWN
    column = field >> COLUMN_AT & 0xFFFF
    lock = late_reads.lock_of(row, at, node, row[at, words + thread] & stepping.NODE_MASK, locks, column, word)
    entry = field | UNSEEN | lock << LOCK_AT
    for t in range(threads):
        start = log_of(row.shape[1], words, threads, depth, t)
        end = log_of(row.shape[1], words, threads, depth, t + 1)
        n = row[at, words + t] & stepping.NODE_MASK
        if t == thread:
            see(row, at, start, end, field)
            if fresh:
                replace(row, at, start, end, field)
            settle(row, at, start, end)
        elif not is_over(node, n) and matters(future, n, entry, row[at, start] != 0):
            free = start
            while free < end and row[at, free] != 0:
                free += 2
            if free == end:
                for i in range(start, end - 2):
                    row[at, i] = row[at, i + 2]
                free = end - 2
            row[at, free], row[at, free + 1] = entry, row[at, column] & mask_of(field)
    row[at, column] = word


def seen_by_all(row: Any, at: int, words: int, threads: int, depth: int, field: int) -> None:
    """A write that all threads see at once: none may read what earlier writes to the field replaced."""
    for t in range(threads):
        start = log_of(row.shape[1], words, threads, depth, t)
        end = log_of(row.shape[1], words, threads, depth, t + 1)
        see(row, at, start, end, field)
        settle(row, at, start, end)
