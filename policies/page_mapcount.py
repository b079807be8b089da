"""`page-mapcount`: Linux up to 6.14, a mapcount in every struct page.

Stores, for a large folio, one counter a page (`_mapcount`), the number of all mappings (`_large_mapcount`,
since 6.10), of PMD mappings (`_entire_mapcount`), and how many pages are mapped at all (`_nr_pages_mapped`).
Every counter is its value minus 1, except the last.

Sources: specification 1.1 to 1.5 and 1.10; mm/rmap.c and include/linux/rmap.h of 6.14; the large mapcount is
commit 05c5323b2a34 ("mm: track mapcount of large folios in single value"), the batched `_nr_pages_mapped` is
the patch of 7 Aug 2024 (20240807115515.1640951-1-david@redhat.com), the heuristic is commit eefb9b2725e3.

Two parameters undo later work, to compare with older kernels: `large_mapcount=0` is 6.9 and before, and
`batched=0` is before August 2024, when `_nr_pages_mapped` cost one more atomic for every page.
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    Folio,
    Hooks,
    Models,
    Page,
    Parameter,
    Policy,
    Stored,
    atomic_add,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
    atomic_sub,
    folio_nr_pages,
    folio_page,
)
from foliolab.policies.parts.page_mapcounts import (
    ENTIRELY_MAPPED,
    FOLIO_PAGES_MAPPED,
    PAGE_MAPCOUNT,
    add_entire_mapcount,
    add_page_mapcounts,
    dup_page,
    partially_mapped,
    remove_entire_mapcount,
    remove_page_mapcounts,
    set_page_mapcounts,
)

LARGE_MAPCOUNT = 1


FIELDS = (
    PAGE_MAPCOUNT,
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_entire_mapcount", "i32", page=1, offset=20, init=-1, doc="PMD mappings, minus 1"),
    Stored("_nr_pages_mapped", "i32", page=1, offset=24, init=0, doc="pages mapped; 0x800000 for a PMD"),
)


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    set_page_mapcounts(folio, page, nr)
    if LARGE_MAPCOUNT:
        atomic_set(folio._large_mapcount, nr - 1)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    if LARGE_MAPCOUNT:
        atomic_set(folio._large_mapcount, 0)
    atomic_set(folio._entire_mapcount, 0)
    atomic_set(folio._nr_pages_mapped, ENTIRELY_MAPPED)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    first = add_page_mapcounts(folio, page, nr)
    if LARGE_MAPCOUNT:
        atomic_add(nr, folio._large_mapcount)
    return first


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    counted = add_entire_mapcount(folio)
    if LARGE_MAPCOUNT:
        atomic_inc(folio._large_mapcount)
    return counted


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    if LARGE_MAPCOUNT:
        atomic_add(nr, folio._large_mapcount)


def dup_pmd(folio: Folio, mm: MM) -> None:
    """fork: one PMD more."""
    atomic_inc(folio._entire_mapcount)
    if LARGE_MAPCOUNT:
        atomic_inc(folio._large_mapcount)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    """The large mapcount is decremented first."""
    if LARGE_MAPCOUNT:
        atomic_sub(nr, folio._large_mapcount)
    last = remove_page_mapcounts(folio, page, nr)
    return last, partially_mapped(folio, last)


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    """The large mapcount is decremented first."""
    if LARGE_MAPCOUNT:
        atomic_dec(folio._large_mapcount)
    return remove_entire_mapcount(folio)


def mapcount(folio: Folio) -> int:
    """All mappings; before 6.10 they are summed up, unless no page is mapped by a PTE (LM patch 4)."""
    if LARGE_MAPCOUNT:
        return atomic_read(folio._large_mapcount) + 1
    total = atomic_read(folio._entire_mapcount) + 1
    if atomic_read(folio._nr_pages_mapped) & FOLIO_PAGES_MAPPED == 0:
        return total
    for i in range(folio_nr_pages(folio)):
        total += atomic_read(folio_page(folio, i)._mapcount) + 1
    return total


def maybe_mapped_shared(folio: Folio) -> bool:
    """`folio_likely_mapped_shared` of 6.10 to 6.14, specification 1.10: a guess from the first page."""
    total = mapcount(folio)
    if total <= 1:
        return False
    if atomic_read(folio._entire_mapcount) >= 0 or total > folio_nr_pages(folio):
        return True
    return atomic_read(folio_page(folio, 0)._mapcount) > 0


HOOKS = Hooks(
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
)

POLICY = Policy(
    name="page-mapcount",
    summary="Linux up to 6.14 (Base): a mapcount in every page; sharing is guessed from the first",
    references=(
        'commit 05c5323b2a34 ("mm: track mapcount of large folios in single value"), 6.10',
        "20240807115515.1640951-1-david@redhat.com (batched _nr_pages_mapped), 6.12",
        "commit eefb9b2725e3 (better folio_likely_mapped_shared), 6.10",
    ),
    layout="6.14",
    models=Models((6, 10), (6, 15)),
    fields=FIELDS,
    parameters=(
        Parameter("large_mapcount", "LARGE_MAPCOUNT", 1, 0, 1, doc="keep _large_mapcount (since 6.10)"),
        Parameter("batched", "BATCHED", 1, 0, 1, doc="one _nr_pages_mapped update a batch (since Aug 2024)"),
    ),
    capabilities=frozenset({"page-mapcount", "partial-mapping", "pmd"}),
    hooks=HOOKS,
)
