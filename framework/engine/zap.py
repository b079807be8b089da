"""zap: unmap a range of pages (munmap, MADV_DONTNEED, exit) and drop the references when the gather is flushed.

The PTEs are cleared, then the rmap is removed, and only a flush of the mmu_gather drops the references, so
refcount > mapcount in between (specification 1.4 and 1.8).
"""

from __future__ import annotations

from foliolab.framework.engine.folio import (
    folio_free_swap,
    folio_nr_pages,
    folio_ref_sub_return,
    folio_test_anon,
    folio_test_large,
    folio_test_swapcache,
    folio_trylock,
    folio_unlock,
    page_head_pfn,
)
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_MIGRATION,
    PTE_PRESENT,
    PTRS_PER_PTE,
    get_and_clear,
    next_ptes,
    pmd_ref,
)
from foliolab.framework.engine.rmap import (
    folio_mapped,
    folio_remove_rmap_pmd,
    folio_remove_rmap_ptes,
    folio_unqueue_deferred_split,
    this_cpu_add,
)
from foliolab.framework.engine.structs import GATHER_MAX, PG_swapcache
from foliolab.framework.engine.zone import free_folio
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Zone
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    clear_bit,
    load,
    pfn_folio,
    pfn_to_page,
    pte_at,
    store,
    test_bit,
)


def folio_put_refs(vm: Memory, cpu: Cpu, zone: Zone, pfn: int, nr: int) -> None:
    """Drop nr references of the folio whose head is that frame; free it with the last one."""
    folio = pfn_folio(vm, pfn)
    if folio_ref_sub_return(folio, nr):
        return
    if folio_test_anon(folio):
        order = 0
        if folio_test_large(folio):
            folio_unqueue_deferred_split(cpu, folio)
            order = load(folio._flags_1) & 0xFF
        this_cpu_add(-1, cpu.nr_anon[order])
    this_cpu_add(free_folio(vm, zone, pfn), cpu.PGFREE)


def free_swap_cache(vm: Memory, folio: Folio) -> None:
    """Let an unmapped folio leave the swap cache if nothing keeps it there."""
    if not folio_test_swapcache(folio) or folio_mapped(vm, folio) or not folio_trylock(folio):
        return
    folio_free_swap(folio)
    folio_unlock(folio)


def tlb_flush_mmu(vm: Memory, cpu: Cpu, zone: Zone) -> None:
    """Flush the mmu_gather: drop the references that it collected."""
    nr = load(cpu.gather_nr)
    for i in range(nr):
        entry = load(cpu.gather[i])
        free_swap_cache(vm, pfn_folio(vm, entry >> 16))
        folio_put_refs(vm, cpu, zone, entry >> 16, entry & 0xFFFF)
    store(cpu.gather_nr, 0)


def tlb_remove_folio(vm: Memory, cpu: Cpu, zone: Zone, pfn: int, nr: int) -> None:
    """`__tlb_remove_folio_pages`: leave nr references of a folio to the mmu_gather; flush it first if it is full."""
    at = load(cpu.gather_nr)
    if at == GATHER_MAX:
        tlb_flush_mmu(vm, cpu, zone)
        at = 0
    store(cpu.gather[at], pfn << 16 | nr)
    store(cpu.gather_nr, at + 1)


def free_swap_entry(vm: Memory, cpu: Cpu, zone: Zone, pfn: int) -> None:
    """A swap entry is gone; the last one of a folio whose references are only the swap cache's frees it."""
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    store(folio.private, load(folio.private) - 1)
    nr = folio_nr_pages(folio)
    if load(folio.private) == 0 and READ_ONCE(folio._refcount) == nr and test_bit(PG_swapcache, folio.flags):
        clear_bit(PG_swapcache, folio.flags)
        folio_put_refs(vm, cpu, zone, page_head_pfn(vm, pfn), nr)


def zap_swap_entry(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, pgd: int, vpn: int, value: int) -> None:
    """Remove a swap entry from a page table."""
    store(pte_at(vm, pgd + 8 * vpn).pte, 0)
    store(mm.rss_swap, load(mm.rss_swap) - 1)
    free_swap_entry(vm, cpu, zone, value >> PFN_SHIFT)


def zap_migration_entry(vm: Memory, mm: MM, pgd: int, vpn: int) -> None:
    """Remove a migration entry from a page table: its mapping is gone already, and counts in the RSS still."""
    store(pte_at(vm, pgd + 8 * vpn).pte, 0)
    store(mm.rss_anon, load(mm.rss_anon) - 1)


def zap_present_ptes(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, pgd: int, vpn: int, end: int, value: int) -> int:
    """Unmap one batch of PTEs that map consecutive pages of a folio; how many they were."""
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    folio = pfn_folio(vm, head)
    limit = min(end - vpn, head + folio_nr_pages(folio) - pfn)
    nr = next_ptes(vm, pgd, vpn, value, limit)
    for i in range(nr):
        get_and_clear(pte_at(vm, pgd + 8 * (vpn + i)).pte)
    if folio_test_anon(folio):
        store(mm.rss_anon, load(mm.rss_anon) - nr)
    else:
        store(mm.rss_file, load(mm.rss_file) - nr)
    folio_remove_rmap_ptes(vm, cpu, folio, pfn_to_page(vm, pfn), nr, mm, vpn)
    tlb_remove_folio(vm, cpu, zone, head, nr)
    return nr


def zap_ptes(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, start: int, end: int) -> None:
    """`zap_pte_range`: unmap PTEs start…end-1, swap entries included."""
    pgd = load(mm.pgd)
    vpn = start
    while vpn < end:
        value = READ_ONCE(pte_at(vm, pgd + 8 * vpn).pte)
        if value & PTE_PRESENT:
            vpn += zap_present_ptes(vm, cpu, zone, mm, pgd, vpn, end, value)
            continue
        if value & PTE_MIGRATION:
            zap_migration_entry(vm, mm, pgd, vpn)
        elif value:
            zap_swap_entry(vm, cpu, zone, mm, pgd, vpn, value)
        vpn += 1


def zap_huge_pmd(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> None:
    """Unmap a folio that a PMD maps."""
    value = get_and_clear(pmd_ref(vm, mm, vpn))
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, pfn)
    folio_remove_rmap_pmd(vm, cpu, folio, mm, vpn)
    if folio_test_anon(folio):
        store(mm.rss_anon, load(mm.rss_anon) - PTRS_PER_PTE)
    else:
        store(mm.rss_file, load(mm.rss_file) - PTRS_PER_PTE)
    tlb_remove_folio(vm, cpu, zone, pfn, 1)


def zap_range(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, start: int, end: int, flush: int) -> None:
    """Unmap pages start…end-1. A PMD in the range must lie in it whole (split it first).

    Args:
        flush: whether to flush the gather at the end; a caller that does not must do so later.
    """
    vpn = start
    while vpn < end:
        stop = min(end, (vpn | (PTRS_PER_PTE - 1)) + 1)
        if READ_ONCE(pmd_ref(vm, mm, vpn)):
            zap_huge_pmd(vm, cpu, zone, mm, vpn)
        else:
            zap_ptes(vm, cpu, zone, mm, vpn, stop)
        vpn = stop
    if flush:
        tlb_flush_mmu(vm, cpu, zone)
