"""The counters of Linux 6.7 as the writers of the precise scheme change them.

An exclusive writer of its seqcount changes them by loads and stores, a shared one by atomics, as
`page-mapcount` does.

Sources: specification 1.4 and 4.5; series 20231124132626.235350-1-david@redhat.com, patch 20.
"""

from __future__ import annotations

from foliolab.framework.api import Folio, Page, Ref, atomic_inc, atomic_read, atomic_set, folio_nr_pages, nth_page
from foliolab.policies.parts.page_mapcounts import (
    ENTIRELY_MAPPED,
    FOLIO_PAGES_MAPPED,
    add_entire_mapcount,
    add_page_mapcounts,
    remove_entire_mapcount,
    remove_page_mapcounts,
)


def add_plain(ref: Ref, value: int) -> int:
    """Add without an atomic, for an exclusive writer; return the new value."""
    new = atomic_read(ref) + value
    atomic_set(ref, new)
    return new


def count_pages(folio: Folio, page: Page, nr: int, batch: int, exclusive: bool) -> int:
    """Count PTE mappings; `_nr_pages_mapped` follows after every `batch` pages."""
    counted = 0
    for at in range(0, nr, batch):
        first = 0
        if exclusive:
            for i in range(at, at + batch):
                if add_plain(nth_page(page, i)._mapcount, 1) == 0:
                    first += 1
            if first and add_plain(folio._nr_pages_mapped, first) >= ENTIRELY_MAPPED:
                first = 0
        else:
            first = add_page_mapcounts(folio, nth_page(page, at), batch)
        counted += first
    return counted


def uncount_pages(folio: Folio, page: Page, nr: int, batch: int, exclusive: bool) -> int:
    """Uncount PTE mappings; `_nr_pages_mapped` follows after every `batch` pages."""
    counted = 0
    for at in range(0, nr, batch):
        last = 0
        if exclusive:
            for i in range(at, at + batch):
                if add_plain(nth_page(page, i)._mapcount, -1) < 0:
                    last += 1
            if last and add_plain(folio._nr_pages_mapped, -last) >= ENTIRELY_MAPPED:
                last = 0
        else:
            last = remove_page_mapcounts(folio, nth_page(page, at), batch)
        counted += last
    return counted


def count_entire(folio: Folio, exclusive: bool) -> tuple[int, int]:
    """Add a PMD mapping; return (nr, nr_pmdmapped)."""
    if not exclusive:
        return add_entire_mapcount(folio)
    if add_plain(folio._entire_mapcount, 1) != 0:
        return 0, 0
    mapped = add_plain(folio._nr_pages_mapped, ENTIRELY_MAPPED)
    if mapped >= 2 * ENTIRELY_MAPPED:
        return 0, 0
    pages = folio_nr_pages(folio)
    return max(pages - (mapped & FOLIO_PAGES_MAPPED), 0), pages


def uncount_entire(folio: Folio, exclusive: bool) -> tuple[int, int, bool]:
    """Remove a PMD mapping; return (nr, nr_pmdmapped, partially_mapped)."""
    if not exclusive:
        return remove_entire_mapcount(folio)
    if add_plain(folio._entire_mapcount, -1) >= 0:
        return 0, 0, False
    mapped = add_plain(folio._nr_pages_mapped, -ENTIRELY_MAPPED)
    if mapped >= ENTIRELY_MAPPED:
        return 0, 0, False
    pages = folio_nr_pages(folio)
    nr = max(pages - mapped, 0)
    return nr, pages, nr != 0 and nr < pages


def dup_pages(page: Page, nr: int, exclusive: bool) -> None:
    """fork: PTE mappings of pages that are mapped already."""
    for i in range(nr):
        if exclusive:
            add_plain(nth_page(page, i)._mapcount, 1)
        else:
            atomic_inc(nth_page(page, i)._mapcount)


def dup_entire(folio: Folio, exclusive: bool) -> None:
    """fork: one PMD more."""
    if exclusive:
        add_plain(folio._entire_mapcount, 1)
    else:
        atomic_inc(folio._entire_mapcount)
