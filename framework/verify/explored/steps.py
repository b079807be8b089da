"""The steps that a thread can do on shared memory, as numbers, with their effect and their result.

The builder of tries runs these functions in Python; the search runs the same functions compiled.
"""

from __future__ import annotations

from typing import Final

(
    LOAD, STORE, AND_STORE, LOCKED_STORE, ADD, ADD_RETURN, FETCH_ADD, ADD_TEST_ZERO, ADD_TEST_NEGATIVE, XCHG, CMPXCHG,
    LOCK, WAIT_CLEAR, RELAX, BARRIER, MARK, DONE,
) = range(17)  # fmt: skip
"""LOAD to CMPXCHG are accesses; a bit operation is an access to a field of one bit. LOCK waits until a bit is clear and
sets it; WAIT_CLEAR only waits. RELAX waits until a value that was read before has changed. BARRIER orders what precedes
it before what follows it, as its operand says (see DRAINS). MARK does no access: it ends a query that read nothing
shared. DONE: the thread has ended."""

READERS: Final = frozenset({LOAD, WAIT_CLEAR})
WRITERS: Final = frozenset({STORE, LOCKED_STORE})
DRAINS, ORDERS_LOADS, ORDERS_ALL = 1, 2, 4
"""What a BARRIER does: it waits until the store buffer is empty; later loads are behind earlier loads; behind all."""
PENDING, LOADED, TOUCHED = 1, 2, 4
"""What a thread has done since a barrier of each kind: a store that may still wait; a load; any access."""
LATE: Final = frozenset({STORE, AND_STORE, LOCKED_STORE, ADD})
"""Steps that later ones may overtake (Armv8): they have no result."""
EARLY: Final = frozenset({LOAD, XCHG, CMPXCHG, WAIT_CLEAR})
"""Steps that may read an older value (Armv8): a load, an attempt that fails, a wait that ends."""
PLAIN_STORES: Final = frozenset({STORE, AND_STORE})
"""Steps whose store may wait in a store buffer (x86-TSO)."""
ADDS: Final = frozenset({ADD, ADD_RETURN, FETCH_ADD, ADD_TEST_ZERO, ADD_TEST_NEGATIVE})


def fit(value: int, bits: int, signed: int) -> int:
    """A value truncated to a field's width and sign; a value of 64 bits must fit already."""
    if bits == 64:
        return value
    value &= (1 << bits) - 1
    if signed != 0 and value >> (bits - 1) != 0:
        value -= 1 << bits
    return value


def changed(step: int, value: int, operand: int, other: int) -> int:
    """The value after a step, not yet truncated to the field's width."""
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
    """The result of a step that the program sees. A trie branches on this value only."""
    if step in (LOAD, FETCH_ADD, XCHG, CMPXCHG):
        return old
    if step == ADD_RETURN:
        return new
    if step == ADD_TEST_ZERO:
        return 1 if new == 0 else 0
    if step == ADD_TEST_NEGATIVE:
        return 1 if new < 0 else 0
    return 0


def value_after(step: int, answer: int, operand: int, other: int) -> int | None:
    """The value after a step, if its result determines it."""
    if step in (LOAD, ADD_RETURN, WAIT_CLEAR):
        return answer
    if step == XCHG:
        return operand
    if step == FETCH_ADD:
        return answer + operand
    if step == CMPXCHG:
        return other if answer == operand else answer
    return None
