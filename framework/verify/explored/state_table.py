"""The hash table of the states that a search has found; compiled."""

from __future__ import annotations

from typing import Any

from foliolab.framework.verify.explored import stepping


def hashed(state: Any, at: int, width: int) -> int:
    """The hash of a state."""
    found = 0x1B873593
    for i in range(width):
        found = (found ^ state[at, i]) * 0x2545F4914F6CDD1D
        found ^= found >> 29 & 0x7FFFFFFFF
    return found


def insert(state: Any, table: Any, at: int, width: int) -> int:
    """Put the state in row `at` into the hash table; return the row of the same state, or -1 if it is new."""
    code = hashed(state, at, width)
    last = table.size - 1
    tag = code >> 40 & 0x7FFFFF
    slot = code & last
    while table[slot] != 0:
        if table[slot] >> 40 == tag:
            other: int = (table[slot] & stepping.NODE_MASK) - 1
            i = 0
            while i < width and state[other, i] == state[at, i]:
                i += 1
            if i == width:
                return other
        slot = (slot + 1) & last
    table[slot] = tag << 40 | (at + 1)
    return -1


def rehash(state: Any, table: Any, first: int, count: int) -> int:
    """Put the states of rows `first` to `count` - 1, all different, into an empty part of the hash table."""
    width = state.shape[1]
    last = table.size - 1
    for at in range(first, count):
        code = hashed(state, at, width)
        slot = code & last
        while table[slot] != 0:
            slot = (slot + 1) & last
        table[slot] = (code >> 40 & 0x7FFFFF) << 40 | (at + 1)
    return 0
