"""`no-page-mapcount`: CONFIG_NO_PAGE_MAPCOUNT, the two slots of `mm-id` without any counter in the pages.

Per-page mapcounts of large folios stay at their initial value for ever and `_nr_pages_mapped` is not kept.
What user space sees becomes an average, and statistics count a folio as wholly mapped or not at all.

What /proc shows follows from the absence of page mapcounts: the engine's defaults are those of this option.

Sources: specification 3.1 (rules), 3.2 (what becomes visible), 3.3 (the average); series
20250303163014.1128035-1-david@redhat.com, patches 15 to 20: commits e63ee43e3eda, ae4192b7691c (kpagecount),
eb16876971ea (PM_MMAP_EXCLUSIVE), 6dd55dd1c555 (smaps), 749492229e3b (stop the per-page mapcount).
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    Folio,
    Hooks,
    Models,
    Page,
    Policy,
    Stored,
    atomic_add_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_set,
    folio_nr_pages,
)
from foliolab.policies.mm_id import (
    MM_ID_MASK,
    SLOT_FIELDS,
    add_large_mapcount,
    can_reuse,
    maybe_mapped_shared,
    set_large_mapcount,
    sub_large_mapcount,
)
from foliolab.policies.parts.whole_folio import after_pmd, after_ptes, pages_if_first

FIELDS = (
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_entire_mapcount", "i32", page=1, offset=24, init=-1, doc="PMD mappings, minus 1"),
    *SLOT_FIELDS,
)


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    set_large_mapcount(folio, nr, mm)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    atomic_set(folio._entire_mapcount, 0)
    set_large_mapcount(folio, 1, mm)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    """nr PTEs map pages: all of the folio counts as mapped with its first mapping."""
    return pages_if_first(folio, add_large_mapcount(folio, nr, mm), nr)


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    nr_pmdmapped = folio_nr_pages(folio) if atomic_inc_and_test(folio._entire_mapcount) else 0
    return pages_if_first(folio, add_large_mapcount(folio, 1, mm), 1), nr_pmdmapped


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    add_large_mapcount(folio, nr, mm)


def dup_pmd(folio: Folio, mm: MM) -> None:
    atomic_inc(folio._entire_mapcount)
    add_large_mapcount(folio, 1, mm)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    return after_ptes(folio, sub_large_mapcount(folio, nr, mm))


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    """The entire mapcount is decremented first, unlike in `mm-id`."""
    last = atomic_add_negative(-1, folio._entire_mapcount)
    return after_pmd(folio, sub_large_mapcount(folio, 1, mm), last)


POLICY = Policy(
    name="no-page-mapcount",
    summary="Linux 6.15 with CONFIG_NO_PAGE_MAPCOUNT (No-MC): the two slots alone, averages for /proc",
    references=(
        'commit e63ee43e3eda ("mm: CONFIG_NO_PAGE_MAPCOUNT to prepare for not maintain per-page mapcounts"), 6.15',
        "commits ae4192b7691c, eb16876971ea, 7a34ae14491e, 6dd55dd1c555, 749492229e3b, 6.15",
        "20250303163014.1128035-1-david@redhat.com (the series, patches 15 to 20)",
    ),
    layout="6.15",
    models=Models((6, 15), options=("CONFIG_MM_ID=y", "CONFIG_NO_PAGE_MAPCOUNT=y")),
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
        maybe_mapped_shared=maybe_mapped_shared,
        can_reuse=can_reuse,
    ),
)
