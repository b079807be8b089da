"""`mm-id`: the merged scheme of Linux 6.15, two slots that say which MMs map a large folio.

Each slot holds an MM's ID and how many mappings of the folio that MM has. A flag says "maybe mapped shared".
All of it changes under a bit spinlock, in the same word as the IDs, that replaces the atomic of the large
mapcount. The per-page mapcounts of earlier kernels are kept besides (`no-page-mapcount` does without).

`width=32` has the fields of 32-bit kernels: 15-bit IDs, so that fork fails beyond 32,767 MMs, and 16-bit counts; an
MM whose count overflows loses its slot and the folio counts as shared. The layout around them stays that of 64 bits.

`slots` is no kernel's: the first free slot is taken, the flag is set by an add whose MM then has no slot that counts
every mapping, and cleared as in S4 by any slot that does. What does not fit in the first tail page lies behind the end
of today's struct page. With one slot, an MM without a slot has to set the flag; with two or more it is set already.

Sources: specification 2.2 (rules A1 to A5 and S1 to S4), 2.7 (COW reuse), 1.4; commits 6af8cb80d3a9
("mm/rmap: basic MM owner tracking for large folios (!hugetlb)"), 1da190f4d0a6 ("mm: Copy-on-Write (COW) reuse
support for PTE-mapped THP"), 003fde4492c8; the fix 4b7c0857f87a; series 20250303163014.1128035-1-david@redhat.com.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foliolab.framework.api import (
    Bits,
    Hooks,
    Models,
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
    exact_claim,
    folio_free_swap,
    folio_ref_count,
    folio_test_swapcache,
    folio_trylock,
    folio_unlock,
    load,
    store,
    test_bit,
)
from foliolab.policies.page_mapcount import (
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

MM_ID_DUMMY = 0
MM_ID_BITS = 31
MM_ID_MASK = (1 << MM_ID_BITS) - 1
LOCK_BIT = 31  # FOLIO_MM_IDS_LOCK_BITNUM: the flag bit of slot 0's ID
SHARED_BIT = 63  # FOLIO_MM_IDS_SHARED_BITNUM: the flag bit of slot 1's ID
MM_ID_MAPCOUNT_MAX = (1 << 31) - 1
SLOTS = 2
WIDTHS = ("64", "32")
AS_MERGED = True  # two slots of 64-bit kernels: the text below them, not the loops

COUNTERS = (
    PAGE_MAPCOUNT,
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_nr_pages_mapped", "i32", page=1, offset=20, init=0, doc="pages mapped; 0x800000 for a PMD"),
    Stored("_entire_mapcount", "i32", page=1, offset=24, init=-1, doc="PMD mappings, minus 1"),
)


def slot_fields(slots: int, width: int) -> tuple[Stored, ...]:
    """The slots: 8 bytes of counts and 8 of IDs in the first tail page, or, if they need more, 32 each behind it."""
    half = width // 2
    places = max(slots, 2)  # the flags lie in the IDs of slots 0 and 1, even if there is no slot 1
    counts, ids = (32, 40) if places * half <= 64 else (64, 96)
    word = (Bits("id0", 0, half - 1), Bits("lock", half - 1), Bits("id1", half, half - 1), Bits("shared", width - 1))
    return (
        Stored(
            "_mm_id_mapcount", f"i{half}", page=1, offset=counts, count=places, init=-1,
            doc="mappings of the slot's MM, minus 1",
        ),
        Stored("_mm_ids", f"u{width}", page=1, offset=ids, init=0, doc="both IDs as one word", bits=word),
        Stored(
            "_mm_id", f"u{half}", page=1, offset=ids, count=places, init=0 if places > 2 else None, overlays=True,
            doc="ID of the slot's MM; top bit: a flag",
        ),
    )  # fmt: skip


SLOT_FIELDS = slot_fields(SLOTS, 64)


def fields(values: Values) -> tuple[Stored, ...]:
    """What it stores with so many slots of a width."""
    return (*COUNTERS, *slot_fields(values["slots"], int(values["width"])))


def derive(values: Values) -> Mapping[str, int]:
    """The constants of specification 2.2 for a kernel of that width."""
    width = int(values["width"])
    bits = width // 2 - 1
    return {
        "MM_ID_MASK": (1 << bits) - 1,
        "MM_ID_MAPCOUNT_MAX": (1 << bits) - 1,
        "LOCK_BIT": bits,
        "SHARED_BIT": width - 1,
        "AS_MERGED": values["slots"] == 2 and width == 64,
    }


CLAIMS = frozenset({"safe", "page-mapcount", "partial-mapping", "pmd", "reuse"})


def claims(values: Values) -> frozenset[str]:
    """As many MMs as there are slots are told apart exactly, unless a count of 16 bits overflows; one slot is none."""
    exact = values["slots"] > 1 and values["width"] == "64"
    return CLAIMS | {exact_claim(values["slots"])} if exact else CLAIMS


def slot_id(folio: Any, slot: int) -> int:
    """The ID in a slot."""
    return load(folio._mm_id[slot]) & MM_ID_MASK


def set_slot_id(folio: Any, slot: int, mm_id: int) -> None:
    """Store an ID in a slot; the flag beside it stays."""
    store(folio._mm_id[slot], load(folio._mm_id[slot]) & ~MM_ID_MASK | mm_id)


def set_large_mapcount(folio: Any, nr: int, mm: Any) -> None:
    """The first nr mappings of a new anonymous folio: nobody else sees it, so no lock."""
    atomic_set(folio._large_mapcount, nr - 1)
    store(folio._mm_id_mapcount[0], nr - 1)
    set_slot_id(folio, 0, load(mm.mm_id))


def _add_to_slots(folio: Any, nr: int, mm_id: int, total: int) -> None:
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


def _add_to_any_slots(folio: Any, nr: int, mm_id: int, total: int) -> None:
    """A1 to A5 for any number of slots, and the overflow of a 32-bit kernel's counts."""
    for slot in range(SLOTS):
        if slot_id(folio, slot) == mm_id:
            count = load(folio._mm_id_mapcount[slot]) + nr
            if count <= MM_ID_MAPCOUNT_MAX:
                store(folio._mm_id_mapcount[slot], count)
                return
            store(folio._mm_id_mapcount[slot], -1)
            set_slot_id(folio, slot, MM_ID_DUMMY)
            __set_bit(SHARED_BIT, folio._mm_ids)
            return
    for slot in range(SLOTS):
        if slot_id(folio, slot) == MM_ID_DUMMY:
            set_slot_id(folio, slot, mm_id)
            store(folio._mm_id_mapcount[slot], nr - 1)
            if total != nr - 1:
                __set_bit(SHARED_BIT, folio._mm_ids)  # others map it already
            return
    __set_bit(SHARED_BIT, folio._mm_ids)


def add_large_mapcount(folio: Any, nr: int, mm: Any) -> int:
    """nr more mappings by an MM; the new number of mappings."""
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) + nr
    atomic_set(folio._large_mapcount, total)
    if AS_MERGED:
        _add_to_slots(folio, nr, load(mm.mm_id), total)
    else:
        _add_to_any_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return total + 1


def _sub_from_slot(folio: Any, slot: int, nr: int) -> bool:
    """Whether the slot still has mappings; an empty one is freed. It may know of fewer than its MM has."""
    left = load(folio._mm_id_mapcount[slot]) - nr
    if left >= 0:
        store(folio._mm_id_mapcount[slot], left)
        return True
    store(folio._mm_id_mapcount[slot], -1)
    set_slot_id(folio, slot, MM_ID_DUMMY)
    return False


def _sub_from_slots(folio: Any, nr: int, mm_id: int, total: int) -> None:
    left = False
    if slot_id(folio, 0) == mm_id:
        left = _sub_from_slot(folio, 0, nr)
    elif slot_id(folio, 1) == mm_id:
        left = _sub_from_slot(folio, 1, nr)
    if not left and (load(folio._mm_id_mapcount[0]) == total or load(folio._mm_id_mapcount[1]) == total):
        __clear_bit(SHARED_BIT, folio._mm_ids)


def _sub_from_any_slots(folio: Any, nr: int, mm_id: int, total: int) -> None:
    """S1 to S4 for any number of slots."""
    for slot in range(SLOTS):
        if slot_id(folio, slot) == mm_id and _sub_from_slot(folio, slot, nr):
            return
    for slot in range(SLOTS):
        if load(folio._mm_id_mapcount[slot]) == total:
            __clear_bit(SHARED_BIT, folio._mm_ids)


def sub_large_mapcount(folio: Any, nr: int, mm: Any) -> int:
    """nr mappings by an MM less; the new number of mappings."""
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) - nr
    atomic_set(folio._large_mapcount, total)
    if AS_MERGED:
        _sub_from_slots(folio, nr, load(mm.mm_id), total)
    else:
        _sub_from_any_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return total + 1


def maybe_mapped_shared(folio: Any) -> bool:
    """`folio_maybe_mapped_shared`: one mapping has one owner; otherwise the flag."""
    if atomic_read(folio._large_mapcount) <= 0:
        return False
    return test_bit(SHARED_BIT, folio._mm_ids)


def leave_swapcache(folio: Any) -> bool:
    """False if the folio is in the swap cache and locked; otherwise it has left if nothing kept it there."""
    if folio_test_swapcache(folio):
        if not folio_trylock(folio):
            return False
        folio_free_swap(folio)
        folio_unlock(folio)
    return True


def only_mapped(folio: Any) -> bool:
    """Whether every reference is a mapping."""
    return atomic_read(folio._large_mapcount) + 1 == folio_ref_count(folio)


def can_reuse(folio: Any, page: Any, mm: Any) -> bool:
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


def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """First mappings of a new folio, by PTEs."""
    set_page_mapcounts(folio, page, nr)
    set_large_mapcount(folio, nr, mm)


def new_anon_pmd(folio: Any, mm: Any) -> None:
    """First mapping of a new folio, by a PMD."""
    set_large_mapcount(folio, 1, mm)
    atomic_set(folio._entire_mapcount, 0)
    atomic_set(folio._nr_pages_mapped, ENTIRELY_MAPPED)


def add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    """nr PTEs map pages."""
    first = add_page_mapcounts(folio, page, nr)
    add_large_mapcount(folio, nr, mm)
    return first


def add_pmd(folio: Any, mm: Any) -> tuple[int, int]:
    """A PMD maps the folio."""
    counted = add_entire_mapcount(folio)
    add_large_mapcount(folio, 1, mm)
    return counted


def dup_ptes(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """fork: nr PTEs more, in the child."""
    add_large_mapcount(folio, nr, mm)


def dup_pmd(folio: Any, mm: Any) -> None:
    """fork: one PMD more, in the child."""
    atomic_inc(folio._entire_mapcount)
    add_large_mapcount(folio, 1, mm)


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    """nr PTEs are gone: the large mapcount goes first."""
    sub_large_mapcount(folio, nr, mm)
    last = remove_page_mapcounts(folio, page, nr)
    return last, partially_mapped(folio, last)


def remove_pmd(folio: Any, mm: Any) -> tuple[int, int, bool]:
    """The PMD is gone: the large mapcount goes first."""
    sub_large_mapcount(folio, 1, mm)
    return remove_entire_mapcount(folio)


def mutants() -> tuple[Policy, ...]:
    """Wrong variants, which a check against the kernel must refute."""
    from foliolab.policies.mm_id_mutants import mutants

    return mutants()


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
    mutants=mutants,
    models=Models((6, 15), options=("CONFIG_MM_ID=y", "CONFIG_PAGE_MAPCOUNT=y")),
    fields=fields,
    parameters=(
        Parameter("slots", "SLOTS", 2, 1, 8, doc="how many MMs a folio can tell apart"),
        Parameter("width", "", "64", choices=WIDTHS, doc="fields of 64-bit or of 32-bit kernels"),
    ),
    derive=derive,
    capabilities=claims({"slots": SLOTS, "width": "64"}),
    capabilities_of=claims,
    max_mm_id=lambda values: derive(values)["MM_ID_MASK"],
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
