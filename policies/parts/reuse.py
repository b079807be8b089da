"""Conditions of `__wp_can_reuse_large_anon_folio` that do not depend on how owners are tracked.

Source: specification 2.7; commit 1da190f4d0a6 ("mm: Copy-on-Write (COW) reuse support for PTE-mapped THP"), 6.15.
"""

from __future__ import annotations

from foliolab.framework.api import (
    Folio,
    atomic_read,
    folio_free_swap,
    folio_ref_count,
    folio_test_swapcache,
    folio_trylock,
    folio_unlock,
)


def leave_swapcache(folio: Folio) -> bool:
    """Free the swap cache of a folio if nothing needs it; False if another holder of the folio lock prevents it."""
    if folio_test_swapcache(folio):
        if not folio_trylock(folio):
            return False
        folio_free_swap(folio)
        folio_unlock(folio)
    return True


def only_mapped(folio: Folio) -> bool:
    """Whether every reference to the folio is a mapping."""
    return atomic_read(folio._large_mapcount) + 1 == folio_ref_count(folio)
