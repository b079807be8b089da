"""`mm-id-v1`: the two slots as first posted (August 2024), with an EXCLUSIVE flag and IDs that are never erased.

Differs from the merged `mm-id` in when a slot may be taken over (only while the folio is exclusive), in the
flag's sense, and in stale IDs that stay in their slots. Page mapcounts are kept (`page_mapcounts=0` is the
series' CONFIG_NO_PAGE_MAPCOUNT).

Sources: specification 2.1 (rules), 2.4 (traces T1 to T5), 2.7 (reuse, patch 10); series
20240829165627.2256514-1-david@redhat.com, patch 6 ("mm/rmap: initial MM owner tracking for large folios
(!hugetlb)"): layout, rules, 20-bit IDs.
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    Bits,
    Folio,
    Hooks,
    Page,
    Parameter,
    Policy,
    Stored,
    Values,
    __clear_bit,
    __set_bit,
    atomic_add_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    folio_nr_pages,
    folio_page,
    load,
    store,
    test_bit,
)
from foliolab.policies.parts.page_mapcounts import (
    ENTIRELY_MAPPED,
    PAGE_MAPCOUNT,
    add_entire_mapcount,
    add_page_mapcounts,
    partially_mapped,
    remove_entire_mapcount,
    remove_page_mapcounts,
    set_page_mapcounts,
)
from foliolab.policies.parts.reuse import leave_swapcache, only_mapped
from foliolab.policies.parts.whole_folio import after_pmd, after_ptes, pages_if_first

PAGE_MAPCOUNTS = 1
MM_ID_MAX = (1 << 20) - 1
ID0_MASK = (1 << 32) - 1
ID1_SHIFT = 32
ID1_MASK = (1 << 24) - 1
EXCLUSIVE_BIT = 62
LOCK_BIT = 63
EXCLUSIVE = 1 << EXCLUSIVE_BIT

SLOT_FIELDS = (
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_entire_mapcount", "i32", page=1, offset=20, init=-1, doc="PMD mappings, minus 1"),
    Stored("_mm0_mapcount", "i32", page=1, offset=32, init=-1, doc="mappings of slot 0's MM, minus 1"),
    Stored("_mm1_mapcount", "i32", page=1, offset=36, init=-1, doc="mappings of slot 1's MM, minus 1"),
    Stored(
        "_mm_ids", "u64", page=1, offset=40, init=EXCLUSIVE, transient=True, doc="IDs (stale ones stay), flags",
        bits=(Bits("id0", 0, 32), Bits("id1", 32, 24), Bits("exclusive", 62), Bits("lock", 63)),
    ),
)  # fmt: skip


PAGE_FIELDS = (
    PAGE_MAPCOUNT,
    Stored("_nr_pages_mapped", "i32", page=1, offset=24, init=0, doc="pages mapped; 0x800000 for a PMD"),
)


def fields(values: Values) -> tuple[Stored, ...]:
    """What it stores, with or without page mapcounts."""
    return (*PAGE_FIELDS, *SLOT_FIELDS) if values["page_mapcounts"] else SLOT_FIELDS


def claims(values: Values) -> frozenset[str]:
    """What the series claims: with page mapcounts the answer is still the old guess, else the flag's."""
    common = {"pmd", "reuse"}
    return frozenset(
        common | ({"page-mapcount", "partial-mapping"} if values["page_mapcounts"] else {"safe", "exact-for-two"})
    )


def id0(folio: Folio) -> int:
    """The ID in slot 0, stale ones included."""
    return load(folio._mm_ids) & ID0_MASK


def id1(folio: Folio) -> int:
    """The ID in slot 1, stale ones included."""
    return load(folio._mm_ids) >> ID1_SHIFT & ID1_MASK


def set_id0(folio: Folio, mm_id: int) -> None:
    """Take slot 0."""
    store(folio._mm_ids, load(folio._mm_ids) & ~ID0_MASK | mm_id)


def set_id1(folio: Folio, mm_id: int) -> None:
    """Take slot 1."""
    store(folio._mm_ids, load(folio._mm_ids) & ~(ID1_MASK << ID1_SHIFT) | mm_id << ID1_SHIFT)


def set_large_mapcount(folio: Folio, nr: int, mm: MM) -> None:
    """Set the first nr mappings of a new anonymous folio. No other CPU sees the folio yet, so no lock is needed."""
    atomic_set(folio._large_mapcount, nr - 1)
    store(folio._mm0_mapcount, nr - 1)
    set_id0(folio, load(mm.mm_id))


def add_to_slots(folio: Folio, nr: int, mm_id: int, total: int) -> None:
    """Count nr mappings more by an MM; a slot is taken over only while the folio is exclusive."""
    if id0(folio) == mm_id:
        store(folio._mm0_mapcount, load(folio._mm0_mapcount) + nr)
        if load(folio._mm0_mapcount) != total:
            __clear_bit(EXCLUSIVE_BIT, folio._mm_ids)
    elif id1(folio) == mm_id:
        store(folio._mm1_mapcount, load(folio._mm1_mapcount) + nr)
        if load(folio._mm1_mapcount) != total:
            __clear_bit(EXCLUSIVE_BIT, folio._mm_ids)
    elif test_bit(EXCLUSIVE_BIT, folio._mm_ids):
        if load(folio._mm0_mapcount) < 0:
            set_id0(folio, mm_id)
            store(folio._mm0_mapcount, nr - 1)
        else:
            set_id1(folio, mm_id)
            store(folio._mm1_mapcount, nr - 1)
        __clear_bit(EXCLUSIVE_BIT, folio._mm_ids)


def add_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Add nr mappings by an MM; return the new number of mappings."""
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) + nr
    atomic_set(folio._large_mapcount, total)
    add_to_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return total + 1


def sub_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Remove nr mappings by an MM; return the new number of mappings."""
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) - nr
    atomic_set(folio._large_mapcount, total)
    mm_id = load(mm.mm_id)
    if id0(folio) == mm_id:
        store(folio._mm0_mapcount, load(folio._mm0_mapcount) - nr)
    elif id1(folio) == mm_id:
        store(folio._mm1_mapcount, load(folio._mm1_mapcount) - nr)
    if load(folio._mm0_mapcount) == total or load(folio._mm1_mapcount) == total:
        __set_bit(EXCLUSIVE_BIT, folio._mm_ids)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return total + 1


def maybe_mapped_shared(folio: Folio) -> bool:
    """`folio_likely_mapped_shared`: with page mapcounts still the guess of specification 1.10, else the flag."""
    total = atomic_read(folio._large_mapcount) + 1
    if total <= 1:
        return False
    if PAGE_MAPCOUNTS:
        if atomic_read(folio._entire_mapcount) >= 0 or total > folio_nr_pages(folio):
            return True
        return atomic_read(folio_page(folio, 0)._mapcount) > 0
    return not test_bit(EXCLUSIVE_BIT, folio._mm_ids)


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """COW reuse (patch 10): as in the merged scheme, with the EXCLUSIVE flag."""
    if atomic_read(folio._large_mapcount) <= 0 or not test_bit(EXCLUSIVE_BIT, folio._mm_ids):
        return False
    if not leave_swapcache(folio) or not only_mapped(folio):
        return False
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    exclusive = test_bit(EXCLUSIVE_BIT, folio._mm_ids) and only_mapped(folio)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return exclusive


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    if PAGE_MAPCOUNTS:
        set_page_mapcounts(folio, page, nr)
    set_large_mapcount(folio, nr, mm)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    set_large_mapcount(folio, 1, mm)
    atomic_set(folio._entire_mapcount, 0)
    if PAGE_MAPCOUNTS:
        atomic_set(folio._nr_pages_mapped, ENTIRELY_MAPPED)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    if PAGE_MAPCOUNTS:
        first = add_page_mapcounts(folio, page, nr)
        add_large_mapcount(folio, nr, mm)
        return first
    return pages_if_first(folio, add_large_mapcount(folio, nr, mm), nr)


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    if PAGE_MAPCOUNTS:
        counted = add_entire_mapcount(folio)
        add_large_mapcount(folio, 1, mm)
        return counted
    nr_pmdmapped = folio_nr_pages(folio) if atomic_inc_and_test(folio._entire_mapcount) else 0
    return pages_if_first(folio, add_large_mapcount(folio, 1, mm), 1), nr_pmdmapped


def dup_page(page: Page) -> None:
    if PAGE_MAPCOUNTS:
        atomic_inc(page._mapcount)


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    add_large_mapcount(folio, nr, mm)


def dup_pmd(folio: Folio, mm: MM) -> None:
    atomic_inc(folio._entire_mapcount)
    add_large_mapcount(folio, 1, mm)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    """The large mapcount is decremented first."""
    left = sub_large_mapcount(folio, nr, mm)
    if PAGE_MAPCOUNTS:
        last = remove_page_mapcounts(folio, page, nr)
        return last, partially_mapped(folio, last)
    return after_ptes(folio, left)


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    if PAGE_MAPCOUNTS:
        sub_large_mapcount(folio, 1, mm)
        return remove_entire_mapcount(folio)
    last = atomic_add_negative(-1, folio._entire_mapcount)
    return after_pmd(folio, sub_large_mapcount(folio, 1, mm), last)


POLICY = Policy(
    name="mm-id-v1",
    summary="the first posting (Aug 2024): two slots with an EXCLUSIVE flag, IDs never erased",
    references=("20240829165627.2256514-1-david@redhat.com, patches 6, 7 and 10",),
    layout="mm-id-v1",
    fields=fields,
    parameters=(Parameter("page_mapcounts", "PAGE_MAPCOUNTS", 1, 0, 1, doc="keep the per-page mapcounts"),),
    capabilities=claims({"page_mapcounts": 1}),
    capabilities_of=claims,
    max_mm_id=MM_ID_MAX,
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
