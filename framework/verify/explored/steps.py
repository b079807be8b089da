"""The steps that a thread can do to a shared location, as numbers, and what each changes and answers.

One text for both executions: the builder of behaviours runs it in Python, the search runs it compiled.
"""

from __future__ import annotations

from typing import Final

(
    LOAD, STORE, AND_STORE, LOCKED_STORE, ADD, ADD_RETURN, FETCH_ADD, ADD_TEST_ZERO, ADD_TEST_NEGATIVE, XCHG, CMPXCHG,
    LOCK, WAIT_CLEAR, RELAX, BARRIER, MARK, DONE,
) = range(17)  # fmt: skip
"""LOAD to CMPXCHG are accesses; bit operations are those of a field of one bit. LOCK takes a bit that must be clear and
WAIT_CLEAR waits for one. RELAX waits until something read before it has another value. BARRIER waits for an empty store
buffer. MARK is a moment without an access: where a question ends that never looked at anything shared. DONE: nothing is
left to do."""

READERS: Final = frozenset({LOAD, WAIT_CLEAR})
WRITERS: Final = frozenset({STORE, LOCKED_STORE})
PLAIN_STORES: Final = frozenset({STORE, AND_STORE})
"""They may wait in a store buffer (x86-TSO)."""
ADDS: Final = frozenset({ADD, ADD_RETURN, FETCH_ADD, ADD_TEST_ZERO, ADD_TEST_NEGATIVE})


def fit(value: int, bits: int, signed: int) -> int:
    """A value as a field of that width and sign holds it; of 64 bits it must be one already."""
    if bits == 64:
        return value
    value &= (1 << bits) - 1
    if signed != 0 and value >> (bits - 1) != 0:
        value -= 1 << bits
    return value


def changed(step: int, value: int, operand: int, other: int) -> int:
    """What a step leaves in a location with that value, before it is fitted to the width."""
    if step in (STORE, LOCKED_STORE, XCHG):
        return operand
    if step in (ADD, ADD_RETURN, FETCH_ADD, ADD_TEST_ZERO, ADD_TEST_NEGATIVE):
        return value + operand
    if step == CMPXCHG:
        return other if value == operand else value
    if step == AND_STORE:
        return value & operand
    if step == LOCK:
        return 1
    return value


def answered(step: int, old: int, new: int) -> int:
    """What the text learns from a step: no more than that tells its behaviours apart."""
    if step in (LOAD, FETCH_ADD, XCHG, CMPXCHG):
        return old
    if step == ADD_RETURN:
        return new
    if step == ADD_TEST_ZERO:
        return 1 if new == 0 else 0
    if step == ADD_TEST_NEGATIVE:
        return 1 if new < 0 else 0
    return 0
