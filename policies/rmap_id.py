"""`rmap-id`: the precise scheme of November 2023; sums of sub-IDs tell whether one MM owns a large folio.

Besides the counters of Linux 6.7 (a mapcount in every page, `_entire_mapcount`, `_nr_pages_mapped`) it stores
the number of all mappings (`_total_mapcount`), K 64-bit rmap values (page[3], and page[4] for more than 4) and
an atomic seqcount. Mapping c entries adds c times the MM's k-th sub-ID to the k-th value; the folio is `mm`'s
alone if every value equals the total times that MM's sub-ID. Arithmetic is modulo 2^64, as coded.

`stage` is how far the series is applied, as in its own measurements (specification 4.6):

mapcount   patch 3: only the total, by atomics, page by page; sharing is guessed from the first page.
rmap-id    patch 10: four values for every order up to 10; seqcount with shared writers; COW reuse.
123        patch 11: one, two or three values for the smaller orders.
batch      patch 14: the remap of a PMD to PTEs changes totals and values once, not page by page.
exclusive  patch 17: a lone writer, by compare-exchange, changes total and values without atomics.
nocmpxchg  patch 18: the same by add-and-return.
all        patch 20: the other counters change under the seqcount too; two atomics are left to a lone writer.

`batched=0` forks and zaps page by page, as 6.7 and the series do; `batched=1`, the default, once a batch, as
kernels since 6.8 do (and `_nr_pages_mapped` once a batch, since August 2024): for comparing with their schemes.
`order_c` and `bits_c` are the class table of specification 4.2. `patch17=as-coded` is explained at `_add`.

Deviations: `folio_mapped_shared` takes the MM that asks; a hook has none, so `maybe_mapped_shared` decodes the
values and looks for any ID that would pass. Sub-IDs come from tables; the series stores those of the smaller
classes in struct mm, computed at fork. Folios of order 1 (files only) have no page[3]: unless nothing or a
single mapping is left they count as shared, for their two mapcounts cannot tell one owner of both pages from
two. New folios may be mapped by PTEs and a partially mapped folio is found as by 6.14. prefetchw is left out.

Sources: specification 4.1 to 4.5; series 20231124132626.235350-1-david@redhat.com ("[PATCH WIP v1 00/20]").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foliolab.framework.api import (
    Hooks,
    Parameter,
    Policy,
    Stored,
    atomic_add,
    atomic_inc,
    atomic_read,
    atomic_set,
    folio_nr_pages,
    folio_order,
    folio_page,
    folio_ref_count,
    folio_test_anon,
    load,
    nth_page,
    store,
    u64,
)
from foliolab.policies import rmap_seqcount, rmap_subids
from foliolab.policies.page_mapcount import ENTIRELY_MAPPED, PAGE_MAPCOUNT, partially_mapped, set_page_mapcounts
from foliolab.policies.rmap_counters import (
    count_entire,
    count_pages,
    dup_entire,
    dup_pages,
    uncount_entire,
    uncount_pages,
)
from foliolab.policies.rmap_seqcount import is_written, read_begin, read_retry, read_sequence, write_begin, write_end
from foliolab.policies.rmap_subids import RMAP_ID_MAX, RMAP_ID_MIN

STAGES = ("mapcount", "rmap-id", "123", "batch", "exclusive", "nocmpxchg", "all")
STAGE_MAPCOUNT, STAGE_RMAP_ID, STAGE_123, STAGE_BATCH, STAGE_EXCLUSIVE, STAGE_NOCMPXCHG, STAGE_ALL = range(7)
STAGE = STAGE_ALL
BATCHED = 1
PATCH17_AS_CODED = 0
ORDER_1, ORDER_2, ORDER_3, ORDER_4, ORDER_5 = 2, 5, 9, 10, 12
# what follows from the parameters: see derive()
FORM = rmap_seqcount.ADD_RETURN
BITS = VALUES = SAFE_BITS = POWER_8 = POWER_16 = (0, 0, 0, 0, 0, 0)
TABLE_1 = TABLE_2 = TABLE_3 = TABLE_4 = TABLE_5 = TABLE_6 = (0,) * 256
SIGN = -(1 << 63)


# -- what it stores --------------------------------------------------------------------------------
def form(stage: int) -> int:
    """The form of the seqcount at a stage."""
    if stage < STAGE_EXCLUSIVE:
        return rmap_seqcount.SHARED_ONLY
    return rmap_seqcount.CMPXCHG if stage == STAGE_EXCLUSIVE else rmap_seqcount.ADD_RETURN


def fields(values: Mapping[str, int]) -> tuple[Stored, ...]:
    """What it stores at a stage."""
    rmap_subids.classes(values)
    counters = (
        PAGE_MAPCOUNT,
        Stored("_total_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
        Stored("_entire_mapcount", "i32", page=1, offset=24, init=-1, doc="PMD mappings, minus 1"),
        Stored("_nr_pages_mapped", "i32", page=1, offset=28, init=0, doc="pages mapped; 0x800000 for a PMD"),
    )
    if values["stage"] == STAGE_MAPCOUNT:
        return counters
    return (
        *counters,
        Stored(
            "_rmap_atomic_seqcount", "u64", page=1, offset=40, init=0, wraps=True, transient=True,
            doc="writers and sequence", bits=rmap_seqcount.BITS[form(values["stage"])],
        ),
        Stored("_rmap_val", "u64", page=3, offset=16, count=4, init=0, wraps=True, doc="rmap values 0 to 3"),
        Stored("_rmap_val4", "u64", page=4, offset=16, count=2, init=0, wraps=True, doc="rmap values 4 and 5"),
    )  # fmt: skip


def derive(values: Mapping[str, int]) -> dict[str, int | tuple[int, ...]]:
    """The constants that follow from the parameters."""
    return rmap_subids.derive(values) | {"FORM": form(values["stage"])}


# -- sub-IDs -----------------------------------------------------------------------------------------
def _table(c: int, byte: int) -> int:
    if c == 1:
        return TABLE_1[byte]
    if c == 2:
        return TABLE_2[byte]
    if c == 3:
        return TABLE_3[byte]
    if c == 4:
        return TABLE_4[byte]
    if c == 5:
        return TABLE_5[byte]
    return TABLE_6[byte]


def subid(c: int, digit: int) -> int:
    """The sub-ID of a slice of an ID in class c, modulo 2^64 (specification 4.2)."""
    value = _table(c, digit & 0xFF)
    if digit > 0xFF:
        value = u64(value + _table(c, digit >> 8 & 0xFF) * POWER_8[c - 1])
        value = u64(value + _table(c, digit >> 16 & 0xFF) * POWER_16[c - 1])
    return value


def mm_subid(c: int, mm_id: int, k: int) -> int:
    """The k-th sub-ID of an ID in class c."""
    bits = BITS[c - 1]
    return subid(c, mm_id >> k * bits & ((1 << bits) - 1))


def class_of(order: int) -> int:
    """The class of an order: its largest order gives P, its number of values K."""
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


def _value(folio: Any, k: int) -> Any:
    if k < 4:
        return folio._rmap_val[k]
    return folio._rmap_val4[k - 4]


# -- rmap values -------------------------------------------------------------------------------------
def set_values(folio: Any, nr: int, mm_id: int) -> None:
    """The values of a new folio that nobody else sees."""
    c = class_of(folio_order(folio))
    for k in range(VALUES[c - 1]):
        atomic_set(_value(folio, k), u64(mm_subid(c, mm_id, k) * nr))


def _add(folio: Any, nr: int, mm_id: int, exclusive: bool, c: int) -> None:
    """Add to the values of class c.

    Patch 17 forgets the factor nr where an exclusive writer changes the only value of the smallest class;
    `patch17=as-coded` keeps that, `patch17=intended` (the default) has the factor, as all its siblings have.
    """
    for k in range(VALUES[c - 1]):
        if exclusive:
            times = nr
            if PATCH17_AS_CODED and c == 1:
                times = 1
            store(_value(folio, k), u64(load(_value(folio, k)) + mm_subid(c, mm_id, k) * times))
        else:
            atomic_add(u64(mm_subid(c, mm_id, k) * nr), _value(folio, k))


def add_values(folio: Any, nr: int, mm_id: int, exclusive: bool) -> None:
    """`__folio_add_large_rmap_val` and its exclusive twin; written out by class like them."""
    c = class_of(folio_order(folio))
    if folio_order(folio) < 2:
        return
    if c == 1:
        _add(folio, nr, mm_id, exclusive, 1)
    elif c == 2:
        _add(folio, nr, mm_id, exclusive, 2)
    elif c == 3:
        _add(folio, nr, mm_id, exclusive, 3)
    elif c == 4:
        _add(folio, nr, mm_id, exclusive, 4)
    else:
        _add(folio, nr, mm_id, exclusive, c)


def has_matching_values(folio: Any, total: int, mm_id: int) -> bool:
    """`__folio_has_large_matching_rmap_val`: whether all mappings would be that MM's."""
    c = class_of(folio_order(folio))
    diff = 0
    for k in range(VALUES[c - 1]):
        diff |= atomic_read(_value(folio, k)) ^ u64(mm_subid(c, mm_id, k) * total)
    return diff == 0


def _plain_digits(c: int, rest: int, total: int) -> int:
    """The low digits whose sub-ID times total is `rest`, -1 if none: here no sum reaches 2^64."""
    digit = 0
    for i in range(SAFE_BITS[c - 1] - 1, -1, -1):
        step = u64(subid(c, 1 << i) * total)
        if rest ^ SIGN >= step ^ SIGN:  # unsigned
            rest = u64(rest - step)
            digit |= 1 << i
    if rest:
        return -1
    return digit


def slice_of(c: int, value: int, total: int) -> int:
    """The slice of an ID whose sub-ID times total is the value, -1 if there is none."""
    safe = SAFE_BITS[c - 1]
    for high in range(1 << (BITS[c - 1] - safe)):
        low = _plain_digits(c, u64(value - subid(c, high << safe) * total), total)
        if low >= 0:
            return high << safe | low
    return -1


def owner_id(folio: Any, total: int) -> int:
    """An ID for which `has_matching_values` holds, 0 if there is none."""
    if total == 0:  # any ID or none
        return int(has_matching_values(folio, 0, RMAP_ID_MIN))
    c = class_of(folio_order(folio))
    mm_id = 0
    for k in range(VALUES[c - 1]):
        part = slice_of(c, atomic_read(_value(folio, k)), total)
        if part < 0:
            return 0
        mm_id |= part << k * BITS[c - 1]
    if RMAP_ID_MIN <= mm_id <= RMAP_ID_MAX:
        return mm_id
    return 0


# -- counters under the seqcount ---------------------------------------------------------------------
def _change_total(folio: Any, nr: int, mm_id: int, exclusive: bool) -> None:
    if exclusive:
        atomic_set(folio._total_mapcount, atomic_read(folio._total_mapcount) + nr)
    else:
        atomic_add(nr, folio._total_mapcount)
    add_values(folio, nr, mm_id, exclusive)


def begin(folio: Any) -> bool:
    """From patch 20 on a whole operation is a section; whether as the exclusive writer."""
    if STAGE == STAGE_ALL:
        return write_begin(folio._rmap_atomic_seqcount, FORM)
    return False


def end(folio: Any, exclusive: bool) -> None:
    """End of the operation that `begin` began."""
    if STAGE == STAGE_ALL:
        write_end(folio._rmap_atomic_seqcount, FORM, exclusive)


def change_mapcount(folio: Any, nr: int, mm: Any, exclusive: bool) -> None:
    """nr mappings more (less) by an MM; before patch 20 in a section of their own."""
    if STAGE == STAGE_MAPCOUNT:
        atomic_add(nr, folio._total_mapcount)
    elif STAGE == STAGE_ALL:
        _change_total(folio, nr, load(mm.mm_id), exclusive)
    else:
        alone = write_begin(folio._rmap_atomic_seqcount, FORM)
        _change_total(folio, nr, load(mm.mm_id), alone)
        write_end(folio._rmap_atomic_seqcount, FORM, alone)


def _add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    exclusive = begin(folio)
    first = count_pages(folio, page, nr, nr if BATCHED else 1, exclusive)
    change_mapcount(folio, nr, mm, exclusive)
    end(folio, exclusive)
    return first


def _dup_ptes(folio: Any, page: Any, nr: int, mm: Any) -> None:
    exclusive = begin(folio)
    if STAGE == STAGE_ALL:
        dup_pages(page, nr, exclusive)
    change_mapcount(folio, nr, mm, exclusive)
    end(folio, exclusive)


def _remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    exclusive = begin(folio)
    change_mapcount(folio, -nr, mm, exclusive)
    last = uncount_pages(folio, page, nr, nr if BATCHED else 1, exclusive)
    end(folio, exclusive)
    return last


# -- hooks -------------------------------------------------------------------------------------------
def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """First mappings of a new folio, by PTEs."""
    set_page_mapcounts(folio, page, nr)
    atomic_set(folio._total_mapcount, nr - 1)
    if STAGE > STAGE_MAPCOUNT:
        set_values(folio, nr, load(mm.mm_id))


def new_anon_pmd(folio: Any, mm: Any) -> None:
    """First mapping of a new folio, by a PMD."""
    atomic_set(folio._entire_mapcount, 0)
    atomic_set(folio._nr_pages_mapped, ENTIRELY_MAPPED)
    atomic_set(folio._total_mapcount, 0)
    if STAGE > STAGE_MAPCOUNT:
        set_values(folio, 1, load(mm.mm_id))


def add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    """nr PTEs map pages: those of an anonymous folio (a PMD is remapped) page by page before patch 14."""
    step = nr
    if STAGE < STAGE_BATCH and folio_test_anon(folio):
        step = 1
    first = 0
    for i in range(0, nr, step):
        first += _add_ptes(folio, nth_page(page, i), step, mm)
    return first


def add_pmd(folio: Any, mm: Any) -> tuple[int, int]:
    """A PMD maps the folio."""
    exclusive = begin(folio)
    counted = count_entire(folio, exclusive)
    change_mapcount(folio, 1, mm, exclusive)
    end(folio, exclusive)
    return counted


def dup_page(page: Any) -> None:
    """fork: one more PTE maps the page; from patch 20 on `dup_ptes` counts it, under the seqcount."""
    if STAGE < STAGE_ALL:
        atomic_inc(page._mapcount)


def dup_ptes(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """fork: nr PTEs more, in the child."""
    step = nr if BATCHED else 1
    for i in range(0, nr, step):
        _dup_ptes(folio, nth_page(page, i), step, mm)


def dup_pmd(folio: Any, mm: Any) -> None:
    """fork: one PMD more, in the child."""
    exclusive = begin(folio)
    dup_entire(folio, exclusive)
    change_mapcount(folio, 1, mm, exclusive)
    end(folio, exclusive)


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    """nr PTEs are gone: the total goes first."""
    step = nr if BATCHED else 1
    last = 0
    for i in range(0, nr, step):
        last += _remove_ptes(folio, nth_page(page, i), step, mm)
    return last, partially_mapped(folio, last)


def remove_pmd(folio: Any, mm: Any) -> tuple[int, int, bool]:
    """The PMD is gone: the total goes first."""
    exclusive = begin(folio)
    change_mapcount(folio, -1, mm, exclusive)
    counted = uncount_entire(folio, exclusive)
    end(folio, exclusive)
    return counted


def mapcount(folio: Any) -> int:
    """All mappings."""
    return atomic_read(folio._total_mapcount) + 1


def maybe_mapped_shared(folio: Any) -> bool:
    """`folio_mapped_shared` (specification 4.5), asked for whichever MM would pass."""
    total = mapcount(folio)
    if total == 1:
        return False
    if atomic_read(folio._entire_mapcount) >= 0 or total > folio_nr_pages(folio):
        return True
    if STAGE == STAGE_MAPCOUNT:
        return atomic_read(folio_page(folio, 0)._mapcount) > 0
    if folio_order(folio) < 2:
        return total != 0
    while True:
        start = read_begin(folio._rmap_atomic_seqcount, FORM)
        total = mapcount(folio)
        if total > folio_nr_pages(folio):
            return True
        shared = owner_id(folio, total) == 0
        if not read_retry(folio._rmap_atomic_seqcount, start):
            return shared


def can_reuse(folio: Any, page: Any, mm: Any) -> bool:
    """Patch 10: every reference is a mapping, all of `mm`, and nobody maps or unmaps meanwhile."""
    if STAGE == STAGE_MAPCOUNT or folio_order(folio) < 2:
        return False
    start = read_sequence(folio._rmap_atomic_seqcount)
    if is_written(start, FORM):
        return False
    total = mapcount(folio)
    if total > folio_nr_pages(folio) or atomic_read(folio._entire_mapcount) >= 0:
        return False
    if folio_ref_count(folio) != total or not has_matching_values(folio, total, load(mm.mm_id)):
        return False
    return not read_retry(folio._rmap_atomic_seqcount, start)


POLICY = Policy(
    name="rmap-id",
    summary="the precise scheme of Nov 2023 (never merged): sums of sub-IDs under an atomic seqcount",
    references=(
        "20231124132626.235350-1-david@redhat.com ([PATCH WIP v1 00/20], on v6.7-rc1)",
        "specification 4.1 to 4.6",
    ),
    layout="6.7",
    fields=fields,
    derive=derive,
    parameters=(
        Parameter("stage", "STAGE", "all", choices=STAGES, doc="how far the series is applied"),
        Parameter("batched", "BATCHED", 1, 0, 1, doc="fork and zap once a batch, as kernels since 6.8 do"),
        Parameter("patch17", "PATCH17_AS_CODED", "intended", choices=("intended", "as-coded"), doc="see `_add`"),
        *rmap_subids.PARAMETERS,
    ),
    capabilities=frozenset({"exact", "safe", "page-mapcount", "partial-mapping", "pmd", "reuse"}),
    max_mm_id=RMAP_ID_MAX,
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
        mapcount=mapcount,
        maybe_mapped_shared=maybe_mapped_shared,
        can_reuse=can_reuse,
    ),
)
