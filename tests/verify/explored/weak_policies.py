"""A policy whose lockless reader checks a sequence count, and the same without what only Armv8 needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foliolab.framework.api import (
    READ_ONCE,
    WRITE_ONCE,
    Hooks,
    Policy,
    Stored,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    clear_bit,
    load,
    smp_rmb,
    smp_wmb,
)

COUNTER = Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings, minus 1")
WORD = Stored("_word", "u64", page=1, offset=32, init=0, doc="the writers' lock")
SEQUENCE = Stored("_sequence", "u32", page=1, offset=64, init=0, transient=True, doc="odd while somebody writes")
OWNER = Stored("_owner", "u32", page=1, offset=68, init=0, transient=True, doc="the MM that mapped it first")
OWNED = Stored("_owned", "i32", page=1, offset=72, init=0, doc="its mappings")


def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    atomic_set(folio._large_mapcount, nr - 1)
    WRITE_ONCE(folio._owner, load(mm.mm_id))
    WRITE_ONCE(folio._owned, nr)


def read_barrier() -> None:
    smp_rmb()


def write_barrier() -> None:
    smp_wmb()


def forgotten() -> None:
    """A barrier that is not there."""


def unlock(folio: Any) -> None:
    bit_spin_unlock(0, folio._word)


def unlock_without_order(folio: Any) -> None:
    clear_bit(0, folio._word)


def change(folio: Any, nr: int, mm: Any) -> None:
    bit_spin_lock(0, folio._word)
    sequence = load(folio._sequence)
    WRITE_ONCE(folio._sequence, sequence + 1 & 0xFF)
    write_barrier()
    total = atomic_read(folio._large_mapcount) + nr
    if total + 1 == nr:
        WRITE_ONCE(folio._owner, load(mm.mm_id))
        WRITE_ONCE(folio._owned, nr)
    elif load(folio._owner) == load(mm.mm_id):
        WRITE_ONCE(folio._owned, load(folio._owned) + nr)
    atomic_set(folio._large_mapcount, total)
    write_barrier()
    WRITE_ONCE(folio._sequence, sequence + 2 & 0xFF)
    unlock(folio)


def add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    change(folio, nr, mm)
    return 0


def dup_ptes(folio: Any, page: Any, nr: int, mm: Any) -> None:
    change(folio, nr, mm)


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    change(folio, -nr, mm)
    return 0, False


def maybe_mapped_shared(folio: Any) -> bool:
    sequence = READ_ONCE(folio._sequence)
    read_barrier()
    owned = READ_ONCE(folio._owned)
    total = atomic_read(folio._large_mapcount) + 1
    read_barrier()
    return bool(sequence & 1) or READ_ONCE(folio._sequence) != sequence or owned != total


SOUND = Policy(
    name="first-owner",
    summary="a test's",
    references=("a test",),
    fields=(COUNTER, WORD, SEQUENCE, OWNER, OWNED),
    hooks=Hooks(
        new_anon=new_anon,
        add_ptes=add_ptes,
        dup_ptes=dup_ptes,
        remove_ptes=remove_ptes,
        maybe_mapped_shared=maybe_mapped_shared,
    ),
    capabilities=frozenset({"safe"}),
)
WITHOUT_READ_BARRIER = replace(SOUND, name="first-owner-without-rmb", replace=((read_barrier, forgotten),))
WITHOUT_WRITE_BARRIER = replace(SOUND, name="first-owner-without-wmb", replace=((write_barrier, forgotten),))
WITHOUT_RELEASE = replace(
    SOUND,
    name="first-owner-without-release",
    replace=((write_barrier, forgotten), (unlock, unlock_without_order)),
)
UNORDERED = (WITHOUT_READ_BARRIER, WITHOUT_WRITE_BARRIER, WITHOUT_RELEASE)
"""Each is wrong under Armv8 alone."""
