"""fork in other texts: page by page, and with the bits of a batch's first PTE for all."""

from __future__ import annotations

from foliolab.framework.api import MM, WRITE_ONCE, Cpu, Memory, Zone, load, pfn_folio, pfn_to_page, store
from foliolab.framework.operations import (
    PFN_SHIFT,
    PTE_WRITE,
    Caller,
    copy_present_ptes,
    folio_nr_pages,
    folio_ref_add,
    folio_ref_sub_return,
    folio_test_anon,
    folio_test_large,
    folio_try_dup_anon_rmap_ptes,
    next_ptes,
    page_head_pfn,
    pte_ref,
)


def copy_one_pte(
    vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, parent: MM, child: MM, vpn: int, end: int, value: int
) -> int:
    return copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, vpn + 1, value)


PAGE_BY_PAGE = Caller(
    name="fork-page-by-page",
    summary="fork copies one PTE at a time, as Linux did before batches",
    replace=((copy_present_ptes, copy_one_pte),),
    claims=frozenset({"equivalent"}),
    references=("specification 1.8",),
)


def copy_as_first_pte(
    vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, parent: MM, child: MM, vpn: int, end: int, value: int
) -> int:
    """The parent's PTEs are write-protected only if the first one is writable."""
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    folio = pfn_folio(vm, head)
    if value & PTE_WRITE or not folio_test_large(folio) or not folio_test_anon(folio):
        return copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, end, value)
    nr = next_ptes(vm, load(parent.pgd), vpn, value, min(end - vpn, head + folio_nr_pages(folio) - pfn))
    folio_ref_add(folio, nr)
    if not folio_try_dup_anon_rmap_ptes(vm, folio, pfn_to_page(vm, pfn), nr, parent, child, vpn):
        folio_ref_sub_return(folio, nr)
        return copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, vpn + 1, value)
    store(child.rss_anon, load(child.rss_anon) + nr)
    for i in range(nr):
        WRITE_ONCE(pte_ref(vm, child, vpn + i), value + (i << PFN_SHIFT))
    return nr


FIRST_WRITABLE = Caller(
    name="fork-first-writable",
    summary="wrong: fork takes a batch's PTEs for as writable as its first one",
    replace=((copy_present_ptes, copy_as_first_pte),),
    references=("specification 1.8",),
)
