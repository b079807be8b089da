"""A mapcount in every struct page, `_nr_pages_mapped` and `_entire_mapcount`, as Linux 6.7 to 6.18 keep them.

Every counter holds its value minus 1, except `_nr_pages_mapped`. `BATCHED = 0` updates `_nr_pages_mapped` page by
page, as kernels before 6.12 do; a policy rebinds it by a parameter.

Sources: specification 1.1 to 1.5; the batched update is 20240807115515.1640951-1-david@redhat.com.
"""

from __future__ import annotations

from foliolab.framework.api import (
    Folio,
    Page,
    Stored,
    atomic_add_negative,
    atomic_add_return,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    atomic_sub_return,
    folio_nr_pages,
    nth_page,
)

ENTIRELY_MAPPED = 0x800000

FOLIO_PAGES_MAPPED = ENTIRELY_MAPPED - 1

BATCHED = 1

PAGE_MAPCOUNT = Stored("_mapcount", "i32", per="page", offset=48, init=-1, doc="PTE mappings of the page, minus 1")


def add_page_mapcounts(folio: Folio, page: Page, nr: int) -> int:
    """Count PTE mappings page by page; return how many pages became mapped and are not below a PMD."""
    first = 0
    if BATCHED:
        for i in range(nr):
            if atomic_inc_and_test(nth_page(page, i)._mapcount):
                first += 1
        if first and atomic_add_return(first, folio._nr_pages_mapped) >= ENTIRELY_MAPPED:
            first = 0
    else:
        for i in range(nr):
            if (
                atomic_inc_and_test(nth_page(page, i)._mapcount)
                and atomic_add_return(1, folio._nr_pages_mapped) < ENTIRELY_MAPPED
            ):
                first += 1
    return first


def remove_page_mapcounts(folio: Folio, page: Page, nr: int) -> int:
    """Uncount PTE mappings page by page; return how many pages became unmapped and are not below a PMD."""
    last = 0
    if BATCHED:
        for i in range(nr):
            if atomic_add_negative(-1, nth_page(page, i)._mapcount):
                last += 1
        if last and atomic_sub_return(last, folio._nr_pages_mapped) >= ENTIRELY_MAPPED:
            last = 0
    else:
        for i in range(nr):
            if (
                atomic_add_negative(-1, nth_page(page, i)._mapcount)
                and atomic_sub_return(1, folio._nr_pages_mapped) < ENTIRELY_MAPPED
            ):
                last += 1
    return last


def set_page_mapcounts(folio: Folio, page: Page, nr: int) -> None:
    """Set the first mappings, by PTEs, of a folio that no other CPU sees yet: no atomics."""
    for i in range(nr):
        atomic_set(nth_page(page, i)._mapcount, 0)
    atomic_set(folio._nr_pages_mapped, nr)


def dup_page(page: Page) -> None:
    atomic_inc(page._mapcount)


def add_entire_mapcount(folio: Folio) -> tuple[int, int]:
    """Add a PMD mapping; return (nr, nr_pmdmapped)."""
    if not atomic_inc_and_test(folio._entire_mapcount):
        return 0, 0
    mapped = atomic_add_return(ENTIRELY_MAPPED, folio._nr_pages_mapped)
    if mapped >= 2 * ENTIRELY_MAPPED:
        return 0, 0  # raced with a remove and another add
    pages = folio_nr_pages(folio)
    return max(pages - (mapped & FOLIO_PAGES_MAPPED), 0), pages


def remove_entire_mapcount(folio: Folio) -> tuple[int, int, bool]:
    """Remove a PMD mapping; return (nr, nr_pmdmapped, partially_mapped)."""
    if not atomic_add_negative(-1, folio._entire_mapcount):
        return 0, 0, False
    mapped = atomic_sub_return(ENTIRELY_MAPPED, folio._nr_pages_mapped)
    if mapped >= ENTIRELY_MAPPED:
        return 0, 0, False  # an add raced ahead
    pages = folio_nr_pages(folio)
    nr = max(pages - mapped, 0)
    return nr, pages, nr != 0 and nr < pages


def partially_mapped(folio: Folio, nr: int) -> bool:
    """Whether the folio is partially mapped after a removal of PTEs that unmapped nr pages."""
    return nr != 0 and atomic_read(folio._nr_pages_mapped) != 0
