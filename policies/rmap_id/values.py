"""The total and the rmap values of a folio, and the writers' sections around them, by stage of the series.

Everything of `rmap-id` that its parameters change is here: they rebind the constants of this module.

Sources: specification 4.2 to 4.5; series 20231124132626.235350-1-david@redhat.com, patches 5, 7, 9 to 11, 17
and 20.
"""

from __future__ import annotations

from typing import Any

from foliolab.framework.api import (
    MM,
    Folio,
    Ref,
    Values,
    atomic_add,
    atomic_read,
    atomic_set,
    folio_nr_pages,
    folio_order,
    folio_page,
    folio_ref_count,
    folio_test_anon,
    load,
    smp_load_acquire,
    smp_store_release,
    store,
    u64,
)
from foliolab.policies.rmap_id import seqcount, subids
from foliolab.policies.rmap_id.seqcount import is_written, read_begin, read_retry, read_sequence, write_begin, write_end
from foliolab.policies.rmap_id.subids import RMAP_ID_MAX, RMAP_ID_MIN, calc_subid, find_slice

STAGES = ("mapcount", "rmap-id", "123", "batch", "exclusive", "nocmpxchg", "all")
STAGE_MAPCOUNT, STAGE_RMAP_ID, STAGE_123, STAGE_BATCH, STAGE_EXCLUSIVE, STAGE_NOCMPXCHG, STAGE_ALL = range(7)

# parameters
STAGE = STAGE_ALL
BATCHED = 1
PATCH17_AS_CODED = 0
ORDER_1, ORDER_2, ORDER_3, ORDER_4, ORDER_5 = 2, 5, 9, 10, 12
# what follows from them: see derive()
FORM = seqcount.ADD_RETURN
PAGES = BITS = VALUES = SAFE_BITS = MM_AT = TABLE_AT = (0,) * 8
SUBIDS = (0,) * 128
SUBIDS_MASK = 127
IN_MM = 0


def form(stage: int) -> int:
    """The form of the seqcount at a stage."""
    if stage < STAGE_EXCLUSIVE:
        return seqcount.SHARED_ONLY
    return seqcount.CMPXCHG if stage == STAGE_EXCLUSIVE else seqcount.ADD_RETURN


def first_class(stage: int) -> int:
    """The class of the smallest folios: the first three came with patch 11."""
    return 1 if stage > STAGE_RMAP_ID else 4


def derive(values: Values) -> dict[str, Any]:
    """The constants that follow from the parameters."""
    stage = STAGES.index(values["stage"])
    named = {**subids.derive(values, first_class(stage)), "FORM": form(stage)}
    return named | {"IN_MM": 0} if stage == STAGE_MAPCOUNT else named


# -- sub-IDs -----------------------------------------------------------------------------------------
def class_of(order: int) -> int:
    """The class of an order: its largest order gives P; patch 11 brings the classes 1 to 3."""
    if STAGE > STAGE_RMAP_ID:
        if order <= ORDER_1:
            return 1
        if order <= ORDER_2:
            return 2
        if order <= ORDER_3:
            return 3
    if order <= ORDER_4:
        return 4
    if order <= ORDER_5:
        return 5
    return 6


def know(mm: MM) -> None:
    """Store an MM's sub-IDs in it before its first mapping (the series does so when it creates the MM)."""
    if IN_MM:
        mm_id = load(mm.mm_id)
        if smp_load_acquire(mm.mm_rmap_id) != mm_id:
            for c in range(1, 7):
                if MM_AT[c] >= 0:
                    for k in range(VALUES[c]):
                        store(mm.mm_rmap_subid[MM_AT[c] + k], calc_subid(PAGES[c], _slice(c, mm_id, k)))
            smp_store_release(mm.mm_rmap_id, mm_id)


def _slice(c: int, mm_id: int, k: int) -> int:
    return mm_id >> k * BITS[c] & ((1 << BITS[c]) - 1)


def subid(c: int, mm: MM, k: int) -> int:
    """The k-th sub-ID of an MM in class c."""
    if IN_MM and MM_AT[c] >= 0:
        return load(mm.mm_rmap_subid[MM_AT[c] + k])
    return SUBIDS[(TABLE_AT[c] + _slice(c, load(mm.mm_id), k)) & SUBIDS_MASK]


# -- rmap values -------------------------------------------------------------------------------------
def value_ref(folio: Folio, k: int) -> Ref:
    """The k-th rmap value: 0 to 3 lie in page[3], the others in page[4]."""
    if k < 4:
        return folio._rmap_val[k]
    return folio._rmap_val4[k - 4]


def _set_values(folio: Folio, nr: int, mm: MM) -> None:
    c = class_of(folio_order(folio))
    for k in range(VALUES[c]):
        atomic_set(value_ref(folio, k), u64(subid(c, mm, k) * nr))


def _add(folio: Folio, nr: int, mm: MM, exclusive: bool, c: int) -> None:
    """Add to the values of class c.

    Patch 17 forgets the factor nr where an exclusive writer changes the only value of the smallest class;
    `patch17=as-coded` keeps that, `patch17=intended` (the default) has the factor, as all its siblings have.
    """
    for k in range(VALUES[c]):
        if exclusive:
            times = nr
            if PATCH17_AS_CODED and c == 1:
                times = 1
            store(value_ref(folio, k), u64(load(value_ref(folio, k)) + subid(c, mm, k) * times))
        else:
            atomic_add(u64(subid(c, mm, k) * nr), value_ref(folio, k))


def _add_values(folio: Folio, nr: int, mm: MM, exclusive: bool) -> None:
    """`__folio_add_large_rmap_val` and its exclusive twin; written out by class like them."""
    order = folio_order(folio)
    if order < 2:
        return
    c = class_of(order)
    if c == 1:
        _add(folio, nr, mm, exclusive, 1)
    elif c == 2:
        _add(folio, nr, mm, exclusive, 2)
    elif c == 3:
        _add(folio, nr, mm, exclusive, 3)
    elif c == 4:
        _add(folio, nr, mm, exclusive, 4)
    elif c == 5:
        _add(folio, nr, mm, exclusive, 5)
    else:
        _add(folio, nr, mm, exclusive, 6)


def has_matching_values(folio: Folio, total: int, mm: MM) -> bool:
    """`__folio_has_large_matching_rmap_val`: whether the values are those of `total` mappings by that MM."""
    c = class_of(folio_order(folio))
    diff = 0
    for k in range(VALUES[c]):
        diff |= atomic_read(value_ref(folio, k)) ^ u64(subid(c, mm, k) * total)
    return diff == 0


def owner_id(folio: Folio, total: int) -> int:
    """An ID for which `has_matching_values` holds, 0 if there is none."""
    c = class_of(folio_order(folio))
    mm_id = 0
    for k in range(VALUES[c]):
        value = atomic_read(value_ref(folio, k))
        part = find_slice(PAGES[c], BITS[c], SAFE_BITS[c], value, total)
        if part < 0:
            return 0
        mm_id |= part << k * BITS[c]
    if total == 0:  # any ID or none
        return RMAP_ID_MIN
    if RMAP_ID_MIN <= mm_id <= RMAP_ID_MAX:
        return mm_id
    return 0


# -- writers -----------------------------------------------------------------------------------------
def batch_of(nr: int) -> int:
    """How many pages fork and zap do at a time."""
    if BATCHED:
        return nr
    return 1


def add_batch_of(folio: Folio, nr: int) -> int:
    """How many pages are added at a time: the remap of an anonymous folio is page by page before patch 14."""
    if STAGE < STAGE_BATCH and folio_test_anon(folio):
        return 1
    return nr


def counts_under_seqcount() -> bool:
    """Whether the other counters change under the seqcount too (patch 20)."""
    return STAGE == STAGE_ALL


def begin(folio: Folio) -> bool:
    """From patch 20 on a whole operation is a section; whether as the exclusive writer."""
    if STAGE == STAGE_ALL:
        return write_begin(folio._rmap_atomic_seqcount, FORM)
    return False


def end(folio: Folio, exclusive: bool) -> None:
    """End of the operation that `begin` began."""
    if STAGE == STAGE_ALL:
        write_end(folio._rmap_atomic_seqcount, FORM, exclusive)


def _change(folio: Folio, nr: int, mm: MM, exclusive: bool) -> None:
    if exclusive:
        atomic_set(folio._total_mapcount, atomic_read(folio._total_mapcount) + nr)
        _add_values(folio, nr, mm, True)
    else:
        atomic_add(nr, folio._total_mapcount)
        _add_values(folio, nr, mm, False)


def change_mapcount(folio: Folio, nr: int, mm: MM, exclusive: bool) -> None:
    """Add nr mappings by an MM (negative: remove them); before patch 20 in a write section of its own."""
    if STAGE == STAGE_MAPCOUNT:
        atomic_add(nr, folio._total_mapcount)
    elif STAGE == STAGE_ALL:
        _change(folio, nr, mm, exclusive)
    else:
        alone = write_begin(folio._rmap_atomic_seqcount, FORM)
        _change(folio, nr, mm, alone)
        write_end(folio._rmap_atomic_seqcount, FORM, alone)


def set_mapcount(folio: Folio, nr: int, mm: MM) -> None:
    """Set the first nr mappings of a new folio, which no other CPU sees yet."""
    atomic_set(folio._total_mapcount, nr - 1)
    if STAGE > STAGE_MAPCOUNT:
        know(mm)
        _set_values(folio, nr, mm)


# -- readers -----------------------------------------------------------------------------------------
def mapcount(folio: Folio) -> int:
    """The number of all mappings, by PTEs and PMDs."""
    return atomic_read(folio._total_mapcount) + 1


def is_shared(folio: Folio) -> bool:
    """`__folio_large_mapped_shared`, asked for whichever MM would pass, on a consistent snapshot."""
    if STAGE == STAGE_MAPCOUNT:
        return atomic_read(folio_page(folio, 0)._mapcount) > 0
    if folio_order(folio) < 2:
        return mapcount(folio) > 1
    while True:
        start = read_begin(folio._rmap_atomic_seqcount, FORM)
        total = mapcount(folio)
        if total > folio_nr_pages(folio):
            return True
        shared = owner_id(folio, total) == 0
        if not read_retry(folio._rmap_atomic_seqcount, start):
            return shared


def is_only_mapped_by(folio: Folio, mm: MM) -> bool:
    """Patch 10: every reference is a mapping by `mm`, and no writer was active meanwhile."""
    if STAGE == STAGE_MAPCOUNT or folio_order(folio) < 2:
        return False
    know(mm)
    start = read_sequence(folio._rmap_atomic_seqcount)
    if is_written(start, FORM):
        return False
    total = mapcount(folio)
    if total > folio_nr_pages(folio) or atomic_read(folio._entire_mapcount) >= 0:
        return False
    if folio_ref_count(folio) != total or not has_matching_values(folio, total, mm):
        return False
    return not read_retry(folio._rmap_atomic_seqcount, start)
