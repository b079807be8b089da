"""`exact`: the truth as a policy: how many mappings each MM has of each folio, at unbounded cost.

This policy is the upper bound that every other scheme is measured against. It is `mm-id` with one counter for every MM
in every folio instead of two slots, so struct page grows with the number of MMs; `mms` says how many there may be.
A bit lock keeps the counters and the number of owners together.

Source: specification 9.1 (ground truth). Specification 4.7 argues that one value per ID bit "would be trivially right
but big"; this policy takes the argument to its end.
"""

from __future__ import annotations

from dataclasses import replace

from foliolab.framework.api import (
    MM,
    Folio,
    Page,
    Parameter,
    Policy,
    Stored,
    Values,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    load,
    store,
)
from foliolab.policies import mm_id
from foliolab.policies.parts.reuse import leave_swapcache, only_mapped

LOCK_BIT = 0


def fields(values: Values) -> tuple[Stored, ...]:
    """The counters of `mm-id`, and a counter for each of `mms` MMs behind the end of today's struct page."""
    return (
        *mm_id.COUNTERS,
        Stored("_owner_lock", "u32", page=1, offset=32, init=0, doc="bit 0: lock"),
        Stored("_nr_owners", "u32", page=1, offset=36, init=0, doc="MMs that map the folio"),
        Stored("_mapcount_of", "i32", page=0, offset=64, count=values["mms"], init=0, doc="mappings by MM ID"),
    )


def count_owner(folio: Folio, nr: int, mm_id: int) -> None:
    """Add nr mappings to an MM's counter (negative: remove them); count the MM when it starts or stops to map."""
    before = load(folio._mapcount_of[mm_id])
    after = before + nr
    store(folio._mapcount_of[mm_id], after)
    if before == 0:
        store(folio._nr_owners, load(folio._nr_owners) + 1)
    elif after == 0:
        store(folio._nr_owners, load(folio._nr_owners) - 1)


def set_large_mapcount(folio: Folio, nr: int, mm: MM) -> None:
    """Set the first nr mappings of a new anonymous folio. No other CPU sees the folio yet, so no lock is needed."""
    atomic_set(folio._large_mapcount, nr - 1)
    count_owner(folio, nr, load(mm.mm_id))


def add_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Add nr mappings by an MM; return the new number of mappings."""
    bit_spin_lock(LOCK_BIT, folio._owner_lock)
    total = atomic_read(folio._large_mapcount) + nr
    atomic_set(folio._large_mapcount, total)
    count_owner(folio, nr, load(mm.mm_id))
    bit_spin_unlock(LOCK_BIT, folio._owner_lock)
    return total + 1


def sub_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Remove nr mappings by an MM; return the new number of mappings."""
    return add_large_mapcount(folio, -nr, mm)


def maybe_mapped_shared(folio: Folio) -> bool:
    """Whether several MMs map the folio, exactly."""
    return load(folio._nr_owners) > 1


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """As in specification 2.7: every reference is a mapping of the sole owner; one mapping left gives it back."""
    if atomic_read(folio._large_mapcount) <= 0 or maybe_mapped_shared(folio) or not leave_swapcache(folio):
        return False
    bit_spin_lock(LOCK_BIT, folio._owner_lock)
    exclusive = not maybe_mapped_shared(folio) and only_mapped(folio)
    bit_spin_unlock(LOCK_BIT, folio._owner_lock)
    return exclusive


POLICY = Policy(
    name="exact",
    summary="the truth as a policy: a counter per MM in every folio; the upper bound, at unbounded cost",
    references=("specification 9.1: ground truth",),
    layout="6.15",
    fields=fields,
    parameters=(Parameter("mms", "", 16, 2, 4096, doc="MM IDs that can be told apart, the dummy included"),),
    capabilities=frozenset({"exact", "exact-for-two", "safe", "page-mapcount", "partial-mapping", "pmd", "reuse"}),
    max_mm_id=lambda values: values["mms"] - 1,
    hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared, can_reuse=can_reuse),
    replace=(
        (mm_id.set_large_mapcount, set_large_mapcount),
        (mm_id.add_large_mapcount, add_large_mapcount),
        (mm_id.sub_large_mapcount, sub_large_mapcount),
    ),
)
