"""MADV_FREE, and what reclaim does with a folio that was freed lazily (specification 1.4 and 2.8).

`madvise_free_pte_range` makes PTEs clean. Reclaim (`try_to_unmap_one`) takes a batch of them away, and looks then
whether the folio was written since or has other users: if so, it puts the batch back, and ends. What it took before
is gone.
"""

from __future__ import annotations

from foliolab.framework.engine.folio import (
    folio_free_swap,
    folio_get,
    folio_nr_pages,
    folio_ref_count,
    folio_test_swapcache,
    page_head_pfn,
)
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_DIRTY,
    PTE_MAY_DIFFER,
    PTE_PRESENT,
    PTRS_PER_PTE,
    alike_ptes,
    get_and_clear,
)
from foliolab.framework.engine.procfs import folio_mapcount
from foliolab.framework.engine.rmap import folio_remove_rmap_ptes
from foliolab.framework.engine.structs import PG_dirty, PG_lazyfree
from foliolab.framework.engine.zap import folio_put_refs, zap_swap_entry
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Zone
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    WRITE_ONCE,
    clear_bit,
    load,
    pfn_folio,
    pfn_to_page,
    pte_at,
    set_bit,
    smp_mb,
    store,
    test_bit,
)


def _in_table(vm: Memory, pgd: int, vpn: int, end: int, value: int, differing: int) -> int:
    """The PTEs of one batch: of one folio and one page table."""
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    stop = min(end, (vpn | (PTRS_PER_PTE - 1)) + 1)
    limit = min(stop - vpn, head + folio_nr_pages(pfn_folio(vm, head)) - pfn)
    return alike_ptes(vm, pgd, vpn, value, limit, differing)


def _may_be_lazy(vm: Memory, head: int) -> bool:
    """Whether MADV_FREE may make a folio clean: one that is dirty or in the swap cache must have no other mapping."""
    folio = pfn_folio(vm, head)
    if folio_test_swapcache(folio) or test_bit(PG_dirty, folio.flags):
        if folio_mapcount(vm, head) != folio_nr_pages(folio):
            return False
        if folio_test_swapcache(folio) and not folio_free_swap(folio):
            return False
        clear_bit(PG_dirty, folio.flags)
    return True


def _free_present(vm: Memory, pgd: int, vpn: int, end: int, value: int) -> int:
    """MADV_FREE on one batch; how many PTEs it has. A part of a folio stays as it is: the caller splits it before."""
    head = page_head_pfn(vm, value >> PFN_SHIFT)
    folio = pfn_folio(vm, head)
    nr = _in_table(vm, pgd, vpn, end, value, PTE_MAY_DIFFER)
    if nr < folio_nr_pages(folio) or not _may_be_lazy(vm, head):
        return nr
    for i in range(nr):
        entry = pte_at(vm, pgd + 8 * (vpn + i)).pte
        if READ_ONCE(entry) & (PTE_ACCESSED | PTE_DIRTY):
            WRITE_ONCE(entry, get_and_clear(entry) & ~(PTE_ACCESSED | PTE_DIRTY))
    set_bit(PG_lazyfree, folio.flags)
    return nr


def free_range(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, start: int, end: int) -> None:
    """MADV_FREE of pages start…end-1, which PTEs map; swap entries are removed."""
    pgd = load(mm.pgd)
    vpn = start
    while vpn < end:
        value = READ_ONCE(pte_at(vm, pgd + 8 * vpn).pte)
        nr = 1
        if value & PTE_PRESENT:
            nr = _free_present(vm, pgd, vpn, end, value)
        elif value:
            zap_swap_entry(vm, cpu, zone, mm, pgd, vpn, value)
        vpn += nr


def _put_back(vm: Memory, pgd: int, vpn: int, nr: int, value: int) -> None:
    """`set_ptes`: the PTEs of a batch as the first one was, so all of them must have been as writable as that one."""
    for i in range(nr):
        WRITE_ONCE(pte_at(vm, pgd + 8 * (vpn + i)).pte, value + (i << PFN_SHIFT))


def _discard_batch(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, nr: int, value: int) -> bool:
    """Unmap one batch, unless the folio was written since, or has users beside its mappings."""
    pgd = load(mm.pgd)
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    folio = pfn_folio(vm, head)
    found = 0
    for i in range(nr):
        found |= get_and_clear(pte_at(vm, pgd + 8 * (vpn + i)).pte) & (PTE_ACCESSED | PTE_DIRTY)
    if found & PTE_DIRTY:
        set_bit(PG_dirty, folio.flags)
    smp_mb()
    used = folio_ref_count(folio) != 1 + folio_mapcount(vm, head)
    if test_bit(PG_dirty, folio.flags):
        clear_bit(PG_lazyfree, folio.flags)
        used = True
    if used:
        _put_back(vm, pgd, vpn, nr, value | found)
        return False
    store(mm.rss_anon, load(mm.rss_anon) - nr)
    folio_remove_rmap_ptes(vm, cpu, folio, pfn_to_page(vm, pfn), nr, mm, vpn)
    folio_put_refs(vm, cpu, zone, head, nr)
    return True


def discard(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> bool:
    """`try_to_unmap` of a lazily freed folio that one MM maps from `vpn` on; whether all of it went.

    Reclaim has isolated the folio, and holds a reference.
    """
    pgd = load(mm.pgd)
    head = page_head_pfn(vm, READ_ONCE(pte_at(vm, pgd + 8 * vpn).pte) >> PFN_SHIFT)
    folio = pfn_folio(vm, head)
    end = vpn + folio_nr_pages(folio)
    folio_get(folio)
    going = True
    while going and vpn < end:
        value = READ_ONCE(pte_at(vm, pgd + 8 * vpn).pte)
        nr = _in_table(vm, pgd, vpn, end, value, PTE_ACCESSED | PTE_DIRTY)
        going = _discard_batch(vm, cpu, zone, mm, vpn, nr, value)
        vpn += nr
    folio_put_refs(vm, cpu, zone, head, 1)
    return going
