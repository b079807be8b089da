"""`mm-id`: the merged scheme of Linux 6.15; two slots say which MMs map a large folio.

A slot holds an MM's ID and the number of mappings that this MM has. A flag says "maybe mapped shared". The slots
change under a bit spinlock in the word of the IDs; the lock replaces the atomic of `_large_mapcount`. Rules A1 to A5
(mappings are added) and S1 to S4 (mappings are removed) are numbered as in the specification. The per-page mapcounts
of earlier kernels are kept; `no-page-mapcount` does without them, `mm-id-slots` has other numbers of slots.

Sources: specification 2.2 (the rules), 2.7 (COW reuse), 1.4 (the counters); commits 6af8cb80d3a9 ("mm/rmap: basic MM
owner tracking for large folios (!hugetlb)"), 1da190f4d0a6 ("mm: Copy-on-Write (COW) reuse support for PTE-mapped THP"),
003fde4492c8; the fix 4b7c0857f87a; series 20250303163014.1128035-1-david@redhat.com.
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    Bits,
    Folio,
    Hooks,
    Models,
    Page,
    Policy,
    Stored,
    __clear_bit,
    __set_bit,
    atomic_inc,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    load,
    store,
    test_bit,
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

MM_ID_DUMMY = 0
MM_ID_BITS = 31
MM_ID_MASK = (1 << MM_ID_BITS) - 1
LOCK_BIT = 31  # FOLIO_MM_IDS_LOCK_BITNUM: the flag bit of slot 0's ID
SHARED_BIT = 63  # FOLIO_MM_IDS_SHARED_BITNUM: the flag bit of slot 1's ID

COUNTERS = (
    PAGE_MAPCOUNT,
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_nr_pages_mapped", "i32", page=1, offset=20, init=0, doc="pages mapped; 0x800000 for a PMD"),
    Stored("_entire_mapcount", "i32", page=1, offset=24, init=-1, doc="PMD mappings, minus 1"),
)
SLOT_FIELDS = (
    Stored("_mm_id_mapcount", "i32", page=1, offset=32, count=2, init=-1, doc="mappings of the slot's MM, minus 1"),
    Stored(
        "_mm_ids", "u64", page=1, offset=40, init=0, doc="both IDs as one word",
        bits=(Bits("id0", 0, 31), Bits("lock", LOCK_BIT), Bits("id1", 32, 31), Bits("shared", SHARED_BIT)),
    ),
    Stored("_mm_id", "u32", page=1, offset=40, count=2, overlays=True, doc="ID of the slot's MM; top bit: a flag"),
)  # fmt: skip


def slot_id(folio: Folio, slot: int) -> int:
    """The ID in a slot."""
    return load(folio._mm_id[slot]) & MM_ID_MASK


def set_slot_id(folio: Folio, slot: int, mm_id: int) -> None:
    """Store an ID in a slot; the flag beside it stays. As in the kernel, the old ID goes first."""
    store(folio._mm_id[slot], load(folio._mm_id[slot]) & ~MM_ID_MASK)
    store(folio._mm_id[slot], load(folio._mm_id[slot]) | mm_id)


def set_large_mapcount(folio: Folio, nr: int, mm: MM) -> None:
    """Set the first nr mappings of a new anonymous folio. No other CPU sees the folio yet, so no lock is needed."""
    atomic_set(folio._large_mapcount, nr - 1)
    store(folio._mm_id_mapcount[0], nr - 1)
    set_slot_id(folio, 0, load(mm.mm_id))


def add_to_slots(folio: Folio, nr: int, mm_id: int, total: int) -> None:
    """A1 to A5: add nr mappings by an MM; the folio now has total + 1."""
    if slot_id(folio, 0) == mm_id:
        store(folio._mm_id_mapcount[0], load(folio._mm_id_mapcount[0]) + nr)
    elif slot_id(folio, 1) == mm_id:
        store(folio._mm_id_mapcount[1], load(folio._mm_id_mapcount[1]) + nr)
    elif slot_id(folio, 0) == MM_ID_DUMMY:
        set_slot_id(folio, 0, mm_id)
        store(folio._mm_id_mapcount[0], nr - 1)
        if total != nr - 1:
            __set_bit(SHARED_BIT, folio._mm_ids)  # others map it already
    elif slot_id(folio, 1) == MM_ID_DUMMY:
        set_slot_id(folio, 1, mm_id)
        store(folio._mm_id_mapcount[1], nr - 1)
        __set_bit(SHARED_BIT, folio._mm_ids)


def add_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Add nr mappings by an MM; return the new number of mappings."""
    mm_id = load(mm.mm_id)
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) + nr
    atomic_set(folio._large_mapcount, total)
    add_to_slots(folio, nr, mm_id, total)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return total + 1


def sub_from_slot(folio: Folio, slot: int, nr: int) -> bool:
    """Remove nr mappings from a slot; return whether it still has any. An empty slot is freed.

    A slot may count fewer mappings than its MM has.
    """
    store(folio._mm_id_mapcount[slot], load(folio._mm_id_mapcount[slot]) - nr)
    if load(folio._mm_id_mapcount[slot]) >= 0:
        return True
    store(folio._mm_id_mapcount[slot], -1)
    set_slot_id(folio, slot, MM_ID_DUMMY)
    return False


def sub_from_slots(folio: Folio, nr: int, mm_id: int, total: int) -> None:
    """S1 to S4: remove nr mappings by an MM; the folio now has total + 1."""
    left = False
    if slot_id(folio, 0) == mm_id:
        left = sub_from_slot(folio, 0, nr)
    elif slot_id(folio, 1) == mm_id:
        left = sub_from_slot(folio, 1, nr)
    if not left and (load(folio._mm_id_mapcount[0]) == total or load(folio._mm_id_mapcount[1]) == total):
        __clear_bit(SHARED_BIT, folio._mm_ids)


def sub_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Remove nr mappings by an MM; return the new number of mappings."""
    mm_id = load(mm.mm_id)
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) - nr
    atomic_set(folio._large_mapcount, total)
    sub_from_slots(folio, nr, mm_id, total)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return total + 1


def maybe_mapped_shared(folio: Folio) -> bool:
    """`folio_maybe_mapped_shared`: one mapping has one owner; otherwise the flag."""
    if atomic_read(folio._large_mapcount) <= 0:
        return False
    return test_bit(SHARED_BIT, folio._mm_ids)


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """`__wp_can_reuse_large_anon_folio`, specification 2.7: every reference is a mapping, all of one MM."""
    if atomic_read(folio._large_mapcount) <= 0:
        return False  # give the large folio back rather than pin it for one page
    if test_bit(SHARED_BIT, folio._mm_ids):
        return False
    if not leave_swapcache(folio) or not only_mapped(folio):
        return False
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    exclusive = not test_bit(SHARED_BIT, folio._mm_ids) and only_mapped(folio)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return exclusive


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    set_page_mapcounts(folio, page, nr)
    set_large_mapcount(folio, nr, mm)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    atomic_set(folio._entire_mapcount, 0)
    set_large_mapcount(folio, 1, mm)
    atomic_set(folio._nr_pages_mapped, ENTIRELY_MAPPED)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    first = add_page_mapcounts(folio, page, nr)
    add_large_mapcount(folio, nr, mm)
    return first


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    counted = add_entire_mapcount(folio)
    add_large_mapcount(folio, 1, mm)
    return counted


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    add_large_mapcount(folio, nr, mm)


def dup_pmd(folio: Folio, mm: MM) -> None:
    atomic_inc(folio._entire_mapcount)
    add_large_mapcount(folio, 1, mm)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    """The large mapcount is decremented first."""
    sub_large_mapcount(folio, nr, mm)
    last = remove_page_mapcounts(folio, page, nr)
    return last, partially_mapped(folio, last)


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    """The large mapcount is decremented first."""
    sub_large_mapcount(folio, 1, mm)
    return remove_entire_mapcount(folio)


POLICY = Policy(
    name="mm-id",
    summary="Linux 6.15 (MM-ID): two slots of MM ID and count under a bit lock, page mapcounts kept",
    references=(
        'commit 6af8cb80d3a9 ("mm/rmap: basic MM owner tracking for large folios (!hugetlb)"), 6.15',
        'commit 1da190f4d0a6 ("mm: Copy-on-Write (COW) reuse support for PTE-mapped THP"), 6.15',
        "commit 4b7c0857f87a (fix), 6.15-rc7",
        "20250303163014.1128035-1-david@redhat.com (the series, patches 12 to 14)",
    ),
    layout="6.15",
    mutants="foliolab.policies.mm_id_mutants:mutants",
    models=Models((6, 15), options=("CONFIG_MM_ID=y", "CONFIG_PAGE_MAPCOUNT=y")),
    fields=(*COUNTERS, *SLOT_FIELDS),
    capabilities=frozenset({"safe", "exact-for-two", "page-mapcount", "partial-mapping", "pmd", "reuse"}),
    max_mm_id=MM_ID_MASK,
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
