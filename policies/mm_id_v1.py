"""`mm-id-v1`: the two slots as first posted (August 2024), with an EXCLUSIVE flag and IDs that are never erased.

It differs from the merged `mm-id` in three ways: an MM may take over a slot only while the folio is exclusive, the
flag says "exclusive" instead of "shared", and stale IDs stay in their slots. With page mapcounts the hooks are those
of `mm-id`; `page_mapcounts=0` is the series' CONFIG_NO_PAGE_MAPCOUNT, with the hooks of `no-page-mapcount`.

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
    atomic_inc,
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
from foliolab.policies import mm_id, no_page_mapcount
from foliolab.policies.mm_id import dup_pmd, dup_ptes
from foliolab.policies.parts.page_mapcounts import PAGE_MAPCOUNT
from foliolab.policies.parts.reuse import leave_swapcache, only_mapped

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
    """The slots, with or without the fields of page mapcounts."""
    return (*PAGE_FIELDS, *SLOT_FIELDS) if values["page_mapcounts"] else SLOT_FIELDS


def claims(values: Values) -> frozenset[str]:
    """The claims of the series: with page mapcounts the answer is still the old guess, else the flag."""
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
    """Store an ID in slot 0."""
    store(folio._mm_ids, load(folio._mm_ids) & ~ID0_MASK | mm_id)


def set_id1(folio: Folio, mm_id: int) -> None:
    """Store an ID in slot 1."""
    store(folio._mm_ids, load(folio._mm_ids) & ~(ID1_MASK << ID1_SHIFT) | mm_id << ID1_SHIFT)


def set_large_mapcount(folio: Folio, nr: int, mm: MM) -> None:
    """Set the first nr mappings of a new anonymous folio. No other CPU sees the folio yet, so no lock is needed."""
    atomic_set(folio._large_mapcount, nr - 1)
    store(folio._mm0_mapcount, nr - 1)
    set_id0(folio, load(mm.mm_id))


def add_to_slots(folio: Folio, nr: int, mm_id: int, total: int) -> None:
    """Add nr mappings by an MM; a slot is taken over only while the folio is exclusive."""
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
        mm_id.new_anon(folio, page, nr, mm)
    else:
        no_page_mapcount.new_anon(folio, page, nr, mm)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    if PAGE_MAPCOUNTS:
        mm_id.new_anon_pmd(folio, mm)
    else:
        no_page_mapcount.new_anon_pmd(folio, mm)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    if PAGE_MAPCOUNTS:
        return mm_id.add_ptes(folio, page, nr, mm)
    return no_page_mapcount.add_ptes(folio, page, nr, mm)


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    if PAGE_MAPCOUNTS:
        return mm_id.add_pmd(folio, mm)
    return no_page_mapcount.add_pmd(folio, mm)


def dup_page(page: Page) -> None:
    if PAGE_MAPCOUNTS:
        atomic_inc(page._mapcount)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    if PAGE_MAPCOUNTS:
        return mm_id.remove_ptes(folio, page, nr, mm)
    return no_page_mapcount.remove_ptes(folio, page, nr, mm)


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    if PAGE_MAPCOUNTS:
        return mm_id.remove_pmd(folio, mm)
    return no_page_mapcount.remove_pmd(folio, mm)


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
    replace=(
        (mm_id.set_large_mapcount, set_large_mapcount),
        (mm_id.add_large_mapcount, add_large_mapcount),
        (mm_id.sub_large_mapcount, sub_large_mapcount),
    ),
)
