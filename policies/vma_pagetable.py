"""`vma-pagetable`: Wilcox' idea of January 2023, a mapcount of (VMA, page table) pairs instead of pages.

A page table that references any page of the folio counts once, however many of its PTEs do, so the count is that of
fully mapped folios where they are mapped by PMDs, and splitting a PMD leaves it unchanged. Whether a mapping is the
first (or was the last) of its page table is found by looking at the PTEs around it. `count=vmas` is his revision: the
number of VMAs that map at least one page, since a folio that lies across the boundary of two page tables has 2 in the
first form, which is ambiguous for "does anyone else map it?". It was never written down as code. Decided here:

- *VMAs are not modelled*: a VMA is what maps a folio linearly: an MM and the address of the folio's first page in it.
  Neighbouring VMAs that mprotect has split count once; two mappings of one page by one MM are two VMAs.
- *mremap* moves PTEs without rmap calls, to another VMA: there the count would be lost, and go below zero later. So
  mremap has to tell; the change of both places is one atomic, since a reader in between must not see one too few.
- *Locking*: adding and removing hold the lock of the page table, which is all that the first form reads. The
  second looks at neighbouring tables and would need a lock of the VMA; the model has no such race, the kernel would.
- *Whether it is shared*: if the count is above 1. One pair belongs to one MM, so exclusive is safe; two pairs may be
  one MM's (the boundary, two VMAs), so it is exact for no number of MMs, and claims only to be safe.
- *What /proc shows*: kpagecount and PSS take the count for each page of the folio, which is right for one that is
  mapped fully by VMAs within one page table each, too much for a page that one of them does not map.
- *Number of mappings*: the pairs do not say how many PTEs and thus references there are, but COW reuse must compare
  those, and fewer mappings than pages must prove a partial mapping. So `_large_mapcount` and `_entire_mapcount` stay as
  in `no-page-mapcount`, whose rules for statistics and partial mappings apply. A mapping is counted in pairs before
  mappings and uncounted after them, so a reader that sees as many references as mappings and then a single pair sees
  its own pair. (`foliolab verify` refuted the other order: a swap-in may come between the two reads.)

Sources: specification 5.2 (linux-mm messages msg325665 of 24 Jan 2023, and msg327447, the revision), 1.2, 2.7, 3.1.
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    PTRS_PER_PTE,
    Folio,
    Hooks,
    Page,
    Parameter,
    Policy,
    Stored,
    as_page,
    atomic_add,
    atomic_add_negative,
    atomic_add_return,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    atomic_sub,
    atomic_sub_return,
    folio_mapped_between,
    folio_nr_pages,
    nth_page,
)
from foliolab.policies.parts.reuse import leave_swapcache, only_mapped
from foliolab.policies.parts.whole_folio import after_pmd, after_ptes, pages_if_first

COUNTS = ("tables", "vmas")
COUNT_VMAS = 0
EVERYWHERE = 1 << 50

FIELDS = (
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_entire_mapcount", "i32", page=1, offset=24, init=-1, doc="PMD mappings, minus 1"),
    Stored("_pair_mapcount", "i32", page=1, offset=32, init=0, doc="pairs of a VMA and a page table that map it"),
)


def one_pair(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> bool:
    """Whether nr PTEs from `vpn` on, all in one page table, are all that their pair maps of the folio."""
    if COUNT_VMAS:
        return not folio_mapped_between(folio, page, nr, mm, vpn, 0, EVERYWHERE)
    table = vpn & ~(PTRS_PER_PTE - 1)
    return not folio_mapped_between(folio, page, nr, mm, vpn, table, table + PTRS_PER_PTE)


def pairs_of(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> int:
    """How many pairs have no other mappings of the folio than nr PTEs from `vpn` on."""
    if COUNT_VMAS:
        return int(one_pair(folio, page, nr, mm, vpn))
    pairs = 0
    done = 0
    while done < nr:
        part = min(nr - done, PTRS_PER_PTE - (vpn + done) % PTRS_PER_PTE)
        pairs += one_pair(folio, nth_page(page, done), part, mm, vpn + done)
        done += part
    return pairs


def add_pairs(folio: Folio, pairs: int) -> None:
    """Count pairs; most batches add none, and need no atomic."""
    if pairs:
        atomic_add(pairs, folio._pair_mapcount)


def maybe_mapped_shared(folio: Folio) -> bool:
    """Whether several pairs map it."""
    return atomic_read(folio._pair_mapcount) > 1


def page_mapcount(folio: Folio, page: Page) -> int:
    """The number of pairs, for every page."""
    return atomic_read(folio._pair_mapcount)


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """As specification 2.7, but the faulting page's pair must be the only one and hold every reference.

    There is no lock: an MM that leaves drops its pair before its reference, so references are compared once more.
    """
    if atomic_read(folio._large_mapcount) <= 0:
        return False  # give the large folio back rather than pin it for one page
    if maybe_mapped_shared(folio) or not leave_swapcache(folio):
        return False
    return only_mapped(folio) and not maybe_mapped_shared(folio) and only_mapped(folio)


def new_anon(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> None:
    atomic_set(folio._pair_mapcount, pairs_of(folio, page, nr, mm, vpn))
    atomic_set(folio._large_mapcount, nr - 1)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    atomic_set(folio._pair_mapcount, 1)
    atomic_set(folio._large_mapcount, 0)
    atomic_set(folio._entire_mapcount, 0)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> int:
    """nr PTEs map pages: all of the folio counts as mapped with its first mapping."""
    add_pairs(folio, pairs_of(folio, page, nr, mm, vpn))
    return pages_if_first(folio, atomic_add_return(nr, folio._large_mapcount) + 1, nr)


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    """A PMD maps the folio: where one can be put, no PTE maps anything."""
    add_pairs(folio, 1)
    nr_pmdmapped = folio_nr_pages(folio) if atomic_inc_and_test(folio._entire_mapcount) else 0
    return pages_if_first(folio, atomic_add_return(1, folio._large_mapcount) + 1, 1), nr_pmdmapped


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> None:
    add_pairs(folio, pairs_of(folio, page, nr, mm, vpn))
    atomic_add(nr, folio._large_mapcount)


def dup_pmd(folio: Folio, mm: MM) -> None:
    add_pairs(folio, 1)
    atomic_inc(folio._entire_mapcount)
    atomic_inc(folio._large_mapcount)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> tuple[int, bool]:
    """The pairs are uncounted last."""
    left = atomic_sub_return(nr, folio._large_mapcount) + 1
    add_pairs(folio, -pairs_of(folio, page, nr, mm, vpn))
    return after_ptes(folio, left)


def remove_pmd(folio: Folio, mm: MM, vpn: int) -> tuple[int, int, bool]:
    """The pair is gone, too, unless PTEs replace the PMD."""
    last = atomic_add_negative(-1, folio._entire_mapcount)
    left = atomic_sub_return(1, folio._large_mapcount) + 1
    if one_pair(folio, as_page(folio), 0, mm, vpn):
        atomic_sub(1, folio._pair_mapcount)
    return after_pmd(folio, left, last)


def move_pte(folio: Folio, page: Page, mm: MM, vpn: int, to: int) -> None:
    """mremap: a pair may have got its first mapping, another have lost its last; they are never the same one."""
    add_pairs(folio, one_pair(folio, page, 1, mm, to) - one_pair(folio, page, 1, mm, vpn))


POLICY = Policy(
    name="vma-pagetable",
    summary="Wilcox' idea of Jan 2023 (never written): a count of (VMA, page table) pairs, or of VMAs",
    references=(
        "linux-mm message msg325665 of Matthew Wilcox, 24 Jan 2023 (pairs of VMA and page table)",
        "linux-mm message msg327447 (revised: VMAs)",
        "specification 5.2",
    ),
    layout="6.15",
    fields=FIELDS,
    parameters=(
        Parameter("count", "COUNT_VMAS", "tables", choices=COUNTS, doc="pairs of VMA and page table, or VMAs"),
    ),
    capabilities=frozenset({"safe", "pmd", "reuse"}),
    hooks=Hooks(
        new_anon=new_anon,
        new_anon_pmd=new_anon_pmd,
        add_ptes=add_ptes,
        add_pmd=add_pmd,
        dup_ptes=dup_ptes,
        dup_pmd=dup_pmd,
        remove_ptes=remove_ptes,
        remove_pmd=remove_pmd,
        move_pte=move_pte,
        maybe_mapped_shared=maybe_mapped_shared,
        can_reuse=can_reuse,
        page_mapcount=page_mapcount,
    ),
)
