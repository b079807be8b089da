"""`total-mapped-pages`: the RFC of April 2026, which counts mapped pages besides mappings, and PMDs not at all.

As `no-page-mapcount`, with `_total_mapped_pages` in the place of `_entire_mapcount`: a PTE adds 1 to it and to the
mapcount, a PMD adds 512 and 1. Both change under the lock of the two slots, so what they differ by is 511 for each
PMD mapping, a partially mapped folio is one with 0 < total < P, and the average divides the total by P.

Deviations: folios larger than a PMD are never mapped by PMDs here; small folios are the engine's.

Sources: specification 5.1; series 20260412-mapcount-v1-0-05e8dfab52e0@kernel.org ("mm/rmap: support arbitrary folio
mappings"), patches 1 to 7 (rules of NO_PAGE_MAPCOUNT for all), 8 to 10 (layout) and 13 (`_total_mapped_pages`).
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    PMD_ORDER,
    Folio,
    Hooks,
    Page,
    Policy,
    Stored,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    folio_nr_pages,
    load,
)
from foliolab.policies import mm_id
from foliolab.policies.mm_id import (
    LOCK_BIT,
    MM_ID_MASK,
    SLOT_FIELDS,
    can_reuse,
    maybe_mapped_shared,
    set_large_mapcount,
)
from foliolab.policies.parts.whole_folio import pages_if_first

PMD_PAGES = 1 << PMD_ORDER

FIELDS = (
    Stored("_total_mapped_pages", "i64", page=1, offset=24, init=0, doc="pages mapped, by every mapping anew"),
    *SLOT_FIELDS,
    Stored("_large_mapcount", "i32", page=1, offset=48, init=-1, doc="mappings of any kind, minus 1"),
)


def set_counts(folio: Folio, nr_mappings: int, nr_pages: int, mm: MM) -> None:
    """Set the first mappings of a new anonymous folio. No other CPU sees the folio yet, so no lock is needed."""
    set_large_mapcount(folio, nr_mappings, mm)
    atomic_set(folio._total_mapped_pages, nr_pages)


def add_counts(folio: Folio, nr_mappings: int, nr_pages: int, mm: MM) -> tuple[int, int]:
    """Add nr_mappings that map nr_pages pages in all; return the new (mapcount, total)."""
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    mapcount = atomic_read(folio._large_mapcount) + nr_mappings
    total = atomic_read(folio._total_mapped_pages) + nr_pages
    atomic_set(folio._large_mapcount, mapcount)
    atomic_set(folio._total_mapped_pages, total)
    mm_id.add_to_slots(folio, nr_mappings, load(mm.mm_id), mapcount)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return mapcount + 1, total


def sub_counts(folio: Folio, nr_mappings: int, nr_pages: int, mm: MM) -> tuple[int, int]:
    """Remove nr_mappings that map nr_pages pages in all; return the new (mapcount, total)."""
    bit_spin_lock(LOCK_BIT, folio._mm_ids)
    mapcount = atomic_read(folio._large_mapcount) - nr_mappings
    total = atomic_read(folio._total_mapped_pages) - nr_pages
    atomic_set(folio._large_mapcount, mapcount)
    atomic_set(folio._total_mapped_pages, total)
    mm_id.sub_from_slots(folio, nr_mappings, load(mm.mm_id), mapcount)
    bit_spin_unlock(LOCK_BIT, folio._mm_ids)
    return mapcount + 1, total


def pages_if_last(folio: Folio, left: int) -> int:
    """How much the statistic of mapped pages shrinks when `left` mappings remain: all of the folio or nothing."""
    return folio_nr_pages(folio) if left == 0 else 0


def partially_mapped(folio: Folio, total: int) -> bool:
    """Fewer mapped pages than the folio has prove that one is not mapped."""
    return 0 < total < folio_nr_pages(folio)


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    set_counts(folio, nr, nr, mm)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    set_counts(folio, 1, PMD_PAGES, mm)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    """nr PTEs map pages: all of the folio counts as mapped with its first mapping."""
    mapcount, _ = add_counts(folio, nr, nr, mm)
    return pages_if_first(folio, mapcount, nr)


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    """A PMD maps the folio; it is the first one if total and mapcount now differ by one PMD's 511."""
    mapcount, total = add_counts(folio, 1, PMD_PAGES, mm)
    nr_pmdmapped = PMD_PAGES if total - mapcount == PMD_PAGES - 1 else 0
    return pages_if_first(folio, mapcount, 1), nr_pmdmapped


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    add_counts(folio, nr, nr, mm)


def dup_pmd(folio: Folio, mm: MM) -> None:
    add_counts(folio, 1, PMD_PAGES, mm)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    mapcount, total = sub_counts(folio, nr, nr, mm)
    return pages_if_last(folio, mapcount), partially_mapped(folio, total)


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    """The PMD was the last one if total and mapcount are now equal."""
    mapcount, total = sub_counts(folio, 1, PMD_PAGES, mm)
    nr_pmdmapped = PMD_PAGES if total == mapcount else 0
    return pages_if_last(folio, mapcount), nr_pmdmapped, partially_mapped(folio, total)


def entire_mapcount(folio: Folio) -> int:
    """Number of PMD mappings: what total and mapcount differ by, in units of 511."""
    excess = atomic_read(folio._total_mapped_pages) - atomic_read(folio._large_mapcount) - 1
    return excess // (PMD_PAGES - 1)


def page_mapcount(folio: Folio, page: Page) -> int:
    """`folio_average_page_mapcount` of the RFC: the total over P, to the nearest, at least 1 while mapped."""
    total = atomic_read(folio._total_mapped_pages)
    if total == 0:
        return 0
    pages = folio_nr_pages(folio)
    return max((total + pages // 2) // pages, 1)


POLICY = Policy(
    name="total-mapped-pages",
    summary="RFC of April 2026: two slots, mapcount and total of mapped pages, no counter in the pages",
    references=(
        "20260412-mapcount-v1-0-05e8dfab52e0@kernel.org (mm/rmap: support arbitrary folio mappings, 13 patches)",
        "specification 5.1",
    ),
    layout="rfc-2026",
    fields=FIELDS,
    capabilities=frozenset({"safe", "exact-for-two", "average-mapcount", "pmd", "reuse"}),
    max_mm_id=MM_ID_MASK,
    hooks=Hooks(
        new_anon=new_anon,
        new_anon_pmd=new_anon_pmd,
        add_ptes=add_ptes,
        add_pmd=add_pmd,
        dup_ptes=dup_ptes,
        dup_pmd=dup_pmd,
        remove_ptes=remove_ptes,
        remove_pmd=remove_pmd,
        entire_mapcount=entire_mapcount,
        maybe_mapped_shared=maybe_mapped_shared,
        can_reuse=can_reuse,
        page_mapcount=page_mapcount,
    ),
)
