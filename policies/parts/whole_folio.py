"""Statistics without per-page mapcounts: a folio counts as wholly mapped or not at all.

Source: specification 3.1; commit 749492229e3b ("mm: stop maintaining the per-page mapcount of large folios"), 6.15.
"""

from __future__ import annotations

from foliolab.framework.api import Folio, atomic_read, folio_nr_pages


def pages_if_first(folio: Folio, now: int, nr: int) -> int:
    """How much the statistic of mapped pages grows when nr mappings were added and the folio now has `now`."""
    return folio_nr_pages(folio) if now == nr else 0


def after_ptes(folio: Folio, left: int) -> tuple[int, bool]:
    """(nr, partially_mapped) after a removal of PTEs.

    Without a PMD, fewer mappings than pages prove a partial mapping.
    """
    pages = folio_nr_pages(folio)
    if left == 0:
        return pages, False
    return 0, left < pages and atomic_read(folio._entire_mapcount) < 0


def after_pmd(folio: Folio, left: int, last: bool) -> tuple[int, int, bool]:
    """(nr, nr_pmdmapped, partially_mapped) after the removal of a PMD; `last`: no other PMD maps the folio."""
    nr_pmdmapped = folio_nr_pages(folio) if last else 0
    if left == 0:
        return folio_nr_pages(folio), nr_pmdmapped, False
    return 0, nr_pmdmapped, last and left < folio_nr_pages(folio)
