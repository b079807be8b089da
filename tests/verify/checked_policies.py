"""Policies with checks of their own. pytest rewrites each assert of a test file, so that they stand in this one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foliolab.framework.api import (
    VM_WARN_ON,
    Policy,
    atomic_read,
    atomic_set,
    atomic_sub_return,
    bit_spin_lock,
    bit_spin_unlock,
    load,
    test_bit,
)
from foliolab.policies import mm_id


def holds(folio: Any, nr: int, mm: Any) -> int:
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    VM_WARN_ON(atomic_read(folio._large_mapcount) + 1 < nr)
    total = atomic_read(folio._large_mapcount) - nr
    atomic_set(folio._large_mapcount, total)
    mm_id.sub_from_slots(folio, nr, load(mm.mm_id), total)
    assert total >= -1 and not (total == -1 and load(folio._mm_id_mapcount[0]) > 0), "a slot is left"
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    return total + 1


def turned_round(folio: Any, nr: int, mm: Any) -> int:
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    VM_WARN_ON(atomic_read(folio._large_mapcount) + 1 >= nr)  # the check
    total = atomic_read(folio._large_mapcount) - nr
    atomic_set(folio._large_mapcount, total)
    mm_id.sub_from_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    return total + 1


def too_early(folio: Any, nr: int, mm: Any) -> int:
    total = atomic_sub_return(nr, folio._large_mapcount)
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    mm_id.sub_from_slots(folio, nr, load(mm.mm_id), total)
    assert atomic_read(folio._large_mapcount) == total, "another thread was here"  # the check
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    return total + 1


def policy_with(function: Any) -> Policy:
    return replace(
        mm_id.POLICY,
        name=function.__name__.replace("_", "-"),
        models=None,
        mutants=None,
        replace=((mm_id.sub_large_mapcount, function),),
    )


def asks_before_the_lock(folio: Any, page: Any, mm: Any) -> bool:
    """As Linux 6.15-rc asked: an MM that unmaps by a PMD has left its slot, and still has the PMD's count."""
    if test_bit(mm_id.SHARED_BIT, folio._mm_ids):
        return False
    VM_WARN_ON(atomic_read(folio._entire_mapcount) >= 0)  # the check
    return mm_id.can_reuse(folio, page, mm)


def asks_of_one_owner(folio: Any, page: Any, mm: Any) -> bool:
    exclusive = mm_id.can_reuse(folio, page, mm)
    if exclusive:
        VM_WARN_ON(atomic_read(folio._entire_mapcount) >= 0)
    return exclusive


def policy_that(asks: Any) -> Policy:
    name = asks.__name__.replace("_", "-")
    return replace(
        mm_id.POLICY, name=name, models=None, mutants=None, hooks=replace(mm_id.POLICY.hooks, can_reuse=asks)
    )


BEFORE_THE_LOCK, OF_ONE_OWNER = map(policy_that, (asks_before_the_lock, asks_of_one_owner))
HOLDS, TURNED_ROUND, TOO_EARLY = map(policy_with, (holds, turned_round, too_early))
