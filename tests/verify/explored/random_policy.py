"""A policy whose hooks do what two numbers say: each digit is a step on a few fields. For tests of the search."""

from __future__ import annotations

from typing import Any

from foliolab.framework.api import (
    READ_ONCE,
    WRITE_ONCE,
    Hooks,
    Parameter,
    Policy,
    Stored,
    atomic_add,
    atomic_add_return,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    cmpxchg,
    test_and_set_bit_lock,
)

STEPS = 12
"""Digits: what `do_step` can do."""
LOCK, OTHER_LOCK = 4, 6
"""Digits that take a lock; the next one releases it."""
LOSES_AN_UPDATE = [3, 2]
"""A load, and a store of what was loaded and 1."""
ADDS = 0
REMOVES = 0
ANSWERS = 0


def do_step(folio: Any, step: int, got: int) -> int:
    if step == 0:
        atomic_add(1, folio._common)
    elif step == 1:
        got = READ_ONCE(folio._common)
    elif step == 2:
        WRITE_ONCE(folio._small, (got + 1) & 7)
    elif step == 3:
        got = READ_ONCE(folio._small)
    elif step < 9:
        do_lock(folio, step)
    elif step == 9:
        got = cmpxchg(folio._small, 0, 5)
    elif step == 10:
        got = atomic_add_return(-1, folio._other)
    else:
        atomic_add(60 if got & 1 else -60, folio._tight)
    return got


def do_lock(folio: Any, step: int) -> None:
    if step == 4:
        bit_spin_lock(0, folio._word)
    elif step == 5:
        bit_spin_unlock(0, folio._word)
    elif step == 6:
        bit_spin_lock(1, folio._word)
    elif step == 7 or not test_and_set_bit_lock(1, folio._word):
        bit_spin_unlock(1, folio._word)


def do_steps(folio: Any, steps: int) -> int:
    got = 0
    while steps:
        got = do_step(folio, steps % 13 - 1, got)
        steps //= 13
    return got


def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    atomic_set(folio._large_mapcount, nr - 1)


def add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    atomic_add(nr, folio._large_mapcount)
    do_steps(folio, ADDS)
    return 0


def dup_ptes(folio: Any, page: Any, nr: int, mm: Any) -> None:
    do_steps(folio, ADDS)
    atomic_add(nr, folio._large_mapcount)


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    do_steps(folio, REMOVES)
    atomic_add(-nr, folio._large_mapcount)
    return 0, False


def maybe_mapped_shared(folio: Any) -> bool:
    return do_steps(folio, ANSWERS) > 3


def number(steps: list[int]) -> int:
    """Pack the steps of a random text into one number."""
    found = 0
    for step in reversed(steps):
        found = 13 * found + step + 1
    return found


_MOST = 13**7

POLICY = Policy(
    name="random-steps",
    summary="a test's",
    references=("a test",),
    fields=(
        Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings, minus 1"),
        Stored("_common", "i32", page=1, offset=64, init=0, doc="added to"),
        Stored("_other", "i32", page=1, offset=68, init=0, doc="added to, with a result"),
        Stored("_small", "u32", page=1, offset=72, init=0, doc="loaded and stored"),
        Stored("_tight", "i8", page=1, offset=76, init=0, doc="overflows soon"),
        Stored("_word", "u64", page=1, offset=80, init=0, doc="locks"),
    ),
    parameters=(
        Parameter("adds", "ADDS", 0, 0, _MOST, doc="what map and fork do"),
        Parameter("removes", "REMOVES", 0, 0, _MOST, doc="what unmap does"),
        Parameter("answers", "ANSWERS", 0, 0, _MOST, doc="what the question does"),
    ),
    capabilities=frozenset({"safe"}),
    hooks=Hooks(
        new_anon=new_anon,
        add_ptes=add_ptes,
        dup_ptes=dup_ptes,
        remove_ptes=remove_ptes,
        maybe_mapped_shared=maybe_mapped_shared,
    ),
)
