"""PMD mappings: an anonymous THP's first fault, its split to PTEs, and the write fault on a PMD.

Sources: specification 1.4, 1.8 and 1.9.
"""

from __future__ import annotations

from foliolab.framework.engine.folio import (
    PageAnonExclusive,
    SetPageAnonExclusive,
    folio_add_lru,
    folio_get,
    folio_nr_pages,
    folio_ref_add,
    folio_ref_count,
    folio_test_anon,
    folio_test_swapcache,
    free_swap_leaves_one_reference,
)
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_ANON,
    PTE_FLAGS,
    PTE_WRITE,
    PTRS_PER_PTE,
    pmd_ref,
    pte_ref,
)
from foliolab.framework.engine.rmap import (
    folio_add_anon_rmap_ptes,
    folio_add_file_rmap_pmd,
    folio_add_new_anon_rmap_pmd,
    folio_remove_rmap_pmd,
)
from foliolab.framework.engine.structs import MAPPING_ANON
from foliolab.framework.engine.zap import zap_huge_pmd
from foliolab.framework.engine.zone import alloc_folio
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Zone
from foliolab.framework.machine.primitives import READ_ONCE, WRITE_ONCE, load, pfn_folio, pfn_to_page, store


def anon_huge_fault(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, batched: int) -> bool:
    """`do_huge_pmd_anonymous_page`: map a new THP by a PMD; False without memory. `batched`: see anon_fault."""
    pfn = alloc_folio(vm, zone, PMD_ORDER)
    if pfn < 0:
        return False
    page = pfn_to_page(vm, pfn)
    store(page.mapping, MAPPING_ANON)
    folio_add_new_anon_rmap_pmd(vm, cpu, pfn_folio(vm, pfn), page, mm, vpn)
    folio_add_lru(pfn_folio(vm, pfn), batched)
    WRITE_ONCE(pmd_ref(vm, mm, vpn), pfn << PFN_SHIFT | PTE_ANON)
    store(mm.rss_anon, load(mm.rss_anon) + PTRS_PER_PTE)
    return True


def file_huge_map(vm: Memory, cpu: Cpu, mm: MM, vpn: int, pfn: int, flags: int) -> None:
    """`do_set_pmd`: map a file folio by a PMD."""
    folio = pfn_folio(vm, pfn)
    folio_get(folio)
    folio_add_file_rmap_pmd(vm, cpu, folio, mm, vpn)
    WRITE_ONCE(pmd_ref(vm, mm, vpn), pfn << PFN_SHIFT | flags)
    store(mm.rss_file, load(mm.rss_file) + PTRS_PER_PTE)


def split_huge_pmd(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> None:
    """`__split_huge_pmd`: map the folio by PTEs instead; for a moment it has P + 1 mappings.

    A file folio is unmapped instead, and faulted in again when it is needed.
    """
    vpn &= ~(PTRS_PER_PTE - 1)
    value = READ_ONCE(pmd_ref(vm, mm, vpn))
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, pfn)
    if not folio_test_anon(folio):
        zap_huge_pmd(vm, cpu, zone, mm, vpn)
        return
    page = pfn_to_page(vm, pfn)
    exclusive = PageAnonExclusive(page)
    folio_ref_add(folio, PTRS_PER_PTE - 1)
    folio_add_anon_rmap_ptes(vm, cpu, folio, page, PTRS_PER_PTE, mm, exclusive, vpn)
    flags = value & PTE_FLAGS
    for i in range(PTRS_PER_PTE):
        WRITE_ONCE(pte_ref(vm, mm, vpn + i), (pfn + i) << PFN_SHIFT | flags)
    WRITE_ONCE(pmd_ref(vm, mm, vpn), 0)
    folio_remove_rmap_pmd(vm, cpu, folio, mm, vpn)


def split_range(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, start: int, end: int) -> None:
    """Split every PMD of the range (mprotect of one page in each THP does this; the remap benchmark)."""
    for vpn in range(start & ~(PTRS_PER_PTE - 1), end, PTRS_PER_PTE):
        if READ_ONCE(pmd_ref(vm, mm, vpn)):
            split_huge_pmd(vm, cpu, zone, mm, vpn)


def split_edges(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, start: int, end: int) -> None:
    """Split the PMDs that the range start…end-1 covers only in part."""
    if start % PTRS_PER_PTE and READ_ONCE(pmd_ref(vm, mm, start)):
        split_huge_pmd(vm, cpu, zone, mm, start)
    if end % PTRS_PER_PTE and READ_ONCE(pmd_ref(vm, mm, end)):
        split_huge_pmd(vm, cpu, zone, mm, end)


def can_reuse_huge_pmd(folio: Folio) -> bool:
    """The test of `do_huge_pmd_wp_page` where the head page is not AnonExclusive, specification 1.9."""
    allowed = 1
    if folio_test_swapcache(folio):
        allowed += folio_nr_pages(folio)
    return folio_ref_count(folio) <= allowed and free_swap_leaves_one_reference(folio)


def huge_wp_fault(vm: Memory, mm: MM, vpn: int) -> bool:
    """Write fault on a PMD: whether it was reused; if not, split it and fault on the PTE."""
    entry = pmd_ref(vm, mm, vpn)
    value = READ_ONCE(entry)
    pfn = value >> PFN_SHIFT
    page = pfn_to_page(vm, pfn)
    if not PageAnonExclusive(page):
        if not can_reuse_huge_pmd(pfn_folio(vm, pfn)):
            return False
        SetPageAnonExclusive(page)
    WRITE_ONCE(entry, value | PTE_WRITE)
    return True
