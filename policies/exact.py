"""`exact`: the truth as a policy: how many mappings each MM has of each folio, at unbounded cost.

The upper bound that every other scheme is measured against. It keeps a counter for every MM in every folio
(and a mapcount in every page), so struct page grows with the number of MMs; `mms` says how many there may be.
A bit lock keeps the counters and the number of owners together.

Source: specification 9.1 (ground truth); the argument of specification 4.7 that one value per ID bit "would be
trivially right but big", taken to its end.
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    Folio,
    Hooks,
    Page,
    Parameter,
    Policy,
    Stored,
    Values,
    atomic_inc,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    load,
    store,
)
from foliolab.policies.parts.page_mapcounts import (
    ENTIRELY_MAPPED,
    PAGE_MAPCOUNT,
    add_entire_mapcount,
    add_page_mapcounts,
    dup_page,
    partially_mapped,
    remove_entire_mapcount,
    remove_page_mapcounts,
    set_page_mapcounts,
)
from foliolab.policies.parts.reuse import leave_swapcache, only_mapped

LOCK_BIT = 0


def fields(values: Values) -> tuple[Stored, ...]:
    """What it stores for `mms` MMs: their counters lie behind the end of today's struct page."""
    return (
        PAGE_MAPCOUNT,
        Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
        Stored("_nr_pages_mapped", "i32", page=1, offset=20, init=0, doc="pages mapped; 0x800000 for a PMD"),
        Stored("_entire_mapcount", "i32", page=1, offset=24, init=-1, doc="PMD mappings, minus 1"),
        Stored("_owner_lock", "u32", page=1, offset=32, init=0, doc="bit 0: lock"),
        Stored("_nr_owners", "u32", page=1, offset=36, init=0, doc="MMs that map the folio"),
        Stored("_mapcount_of", "i32", page=0, offset=64, count=values["mms"], init=0, doc="mappings by MM ID"),
    )


def _count(folio: Folio, nr: int, mm_id: int) -> None:
    before = load(folio._mapcount_of[mm_id])
    after = before + nr
    store(folio._mapcount_of[mm_id], after)
    if before == 0:
        store(folio._nr_owners, load(folio._nr_owners) + 1)
    elif after == 0:
        store(folio._nr_owners, load(folio._nr_owners) - 1)


def change_mapcount(folio: Folio, nr: int, mm: MM) -> None:
    """Add nr mappings by an MM (negative: remove them)."""
    bit_spin_lock(LOCK_BIT, folio._owner_lock)
    atomic_set(folio._large_mapcount, atomic_read(folio._large_mapcount) + nr)
    _count(folio, nr, load(mm.mm_id))
    bit_spin_unlock(LOCK_BIT, folio._owner_lock)


def maybe_mapped_shared(folio: Folio) -> bool:
    """Whether several MMs map the folio, exactly."""
    return load(folio._nr_owners) > 1


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """The sole owner, and every reference is a mapping; one mapping left gives the folio back (specification 2.7)."""
    if atomic_read(folio._large_mapcount) <= 0 or maybe_mapped_shared(folio) or not leave_swapcache(folio):
        return False
    bit_spin_lock(LOCK_BIT, folio._owner_lock)
    exclusive = not maybe_mapped_shared(folio) and only_mapped(folio)
    bit_spin_unlock(LOCK_BIT, folio._owner_lock)
    return exclusive


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    set_page_mapcounts(folio, page, nr)
    atomic_set(folio._large_mapcount, nr - 1)
    _count(folio, nr, load(mm.mm_id))


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    atomic_set(folio._entire_mapcount, 0)
    atomic_set(folio._nr_pages_mapped, ENTIRELY_MAPPED)
    atomic_set(folio._large_mapcount, 0)
    _count(folio, 1, load(mm.mm_id))


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    first = add_page_mapcounts(folio, page, nr)
    change_mapcount(folio, nr, mm)
    return first


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    counted = add_entire_mapcount(folio)
    change_mapcount(folio, 1, mm)
    return counted


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    change_mapcount(folio, nr, mm)


def dup_pmd(folio: Folio, mm: MM) -> None:
    atomic_inc(folio._entire_mapcount)
    change_mapcount(folio, 1, mm)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    change_mapcount(folio, -nr, mm)
    last = remove_page_mapcounts(folio, page, nr)
    return last, partially_mapped(folio, last)


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    change_mapcount(folio, -1, mm)
    return remove_entire_mapcount(folio)


POLICY = Policy(
    name="exact",
    summary="the truth as a policy: a counter per MM in every folio; the upper bound, at unbounded cost",
    references=("specification 9.1: ground truth",),
    layout="6.15",
    fields=fields,
    parameters=(Parameter("mms", "", 16, 2, 4096, doc="MM IDs that can be told apart, the dummy included"),),
    capabilities=frozenset(
        {
            "exact",
            "exact-for-two",
            "safe",
            "page-mapcount",
            "partial-mapping",
            "pmd",
            "reuse",
        }
    ),
    max_mm_id=lambda values: values["mms"] - 1,
    hooks=Hooks(
        new_anon=new_anon,
        new_anon_pmd=new_anon_pmd,
        add_ptes=add_ptes,
        add_pmd=add_pmd,
        dup_page=dup_page,
        dup_ptes=dup_ptes,
        dup_pmd=dup_pmd,
        remove_ptes=remove_ptes,
        remove_pmd=remove_pmd,
        maybe_mapped_shared=maybe_mapped_shared,
        can_reuse=can_reuse,
    ),
)
