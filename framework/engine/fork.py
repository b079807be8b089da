"""fork: copy a range of page tables to the child (`copy_page_range`; specification 1.4 and 1.8).

References are taken before the rmap is duplicated; private writable PTEs become read-only in both MMs.
A folio that the parent may have pinned is copied for the child page by page.
"""

from __future__ import annotations

from foliolab.framework.engine.folio import (
    folio_get,
    folio_nr_pages,
    folio_ref_add,
    folio_ref_sub_return,
    folio_test_anon,
    page_head_pfn,
)
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_ANON,
    PTE_MIGRATION,
    PTE_MIGRATION_WRITE,
    PTE_PRESENT,
    PTE_SWAP_EXCLUSIVE,
    PTE_VM_SHARED,
    PTE_WRITE,
    PTRS_PER_PTE,
    alike_ptes,
    pmd_ref,
    wrprotect,
)
from foliolab.framework.engine.rmap import (
    folio_add_new_anon_rmap,
    folio_dup_file_rmap_ptes,
    folio_try_dup_anon_rmap_pmd,
    folio_try_dup_anon_rmap_ptes,
    this_cpu_add,
)
from foliolab.framework.engine.structs import MAPPING_ANON, PG_lru
from foliolab.framework.engine.zone import alloc_folio
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Zone
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    WRITE_ONCE,
    copy_page,
    load,
    pfn_folio,
    pfn_to_page,
    pte_at,
    set_bit,
    store,
)

OK = 0
ENOMEM = 1


def new_small_anon(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """A small anonymous folio with its rmap, exclusive to `mm`, on the LRU; its frame, -1 without memory."""
    pfn = alloc_folio(vm, zone, 0)
    if pfn >= 0:
        page = pfn_to_page(vm, pfn)
        store(page.mapping, MAPPING_ANON)
        folio_add_new_anon_rmap(vm, cpu, pfn_folio(vm, pfn), page, mm, vpn, True)
        set_bit(PG_lru, page.flags)
    return pfn


def copy_to_new_anon(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, pfn: int) -> int:
    """A small anonymous folio with a copy of a page, to be mapped by `mm` at `vpn`; its frame, -1 without memory."""
    copy = new_small_anon(vm, cpu, zone, mm, vpn)
    if copy >= 0:
        if load(zone.has_contents):
            copy_page(contents, copy, pfn)
        this_cpu_add(1, cpu.PGCOPY)
        store(mm.rss_anon, load(mm.rss_anon) + 1)
    return copy


def copy_present_ptes(
    vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, parent: MM, child: MM, vpn: int, end: int, value: int
) -> int:
    """Copy one batch of present PTEs; how many, 0 without memory."""
    pgd = load(parent.pgd)
    child_pgd = load(child.pgd)
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    folio = pfn_folio(vm, head)
    page = pfn_to_page(vm, pfn)
    limit = min(end - vpn, head + folio_nr_pages(folio) - pfn)
    nr = alike_ptes(vm, pgd, vpn, value, limit, PTE_WRITE | PTE_ACCESSED)  # what was written is dirty in the child, too
    folio_ref_add(folio, nr)
    if folio_test_anon(folio):
        if not folio_try_dup_anon_rmap_ptes(vm, folio, page, nr, parent, child, vpn):
            folio_ref_sub_return(folio, nr)
            folio_get(folio)
            nr = 1
            if not folio_try_dup_anon_rmap_ptes(vm, folio, page, 1, parent, child, vpn):
                folio_ref_sub_return(folio, 1)
                # `copy_present_page`: the parent may have pinned the page, so the child gets a copy
                copy = copy_to_new_anon(vm, contents, cpu, zone, child, vpn, pfn)
                if copy < 0:
                    return 0
                WRITE_ONCE(pte_at(vm, child_pgd + 8 * vpn).pte, copy << PFN_SHIFT | PTE_ANON)
                return 1
        store(child.rss_anon, load(child.rss_anon) + nr)
    else:
        folio_dup_file_rmap_ptes(vm, folio, page, nr, child, vpn)
        store(child.rss_file, load(child.rss_file) + nr)
    if value & PTE_VM_SHARED:
        for i in range(nr):
            WRITE_ONCE(pte_at(vm, child_pgd + 8 * (vpn + i)).pte, READ_ONCE(pte_at(vm, pgd + 8 * (vpn + i)).pte))
        return nr
    for i in range(nr):
        if READ_ONCE(pte_at(vm, pgd + 8 * (vpn + i)).pte) & PTE_WRITE:
            wrprotect(pte_at(vm, pgd + 8 * (vpn + i)).pte)
    value &= ~PTE_WRITE
    for i in range(nr):
        WRITE_ONCE(pte_at(vm, child_pgd + 8 * (vpn + i)).pte, value + (i << PFN_SHIFT))
    return nr


def copy_swap_entry(vm: Memory, parent: MM, child: MM, vpn: int, value: int) -> None:
    """`copy_nonpresent_pte`: one more swap entry; it stops being exclusive in both MMs."""
    folio = pfn_folio(vm, page_head_pfn(vm, value >> PFN_SHIFT))
    store(folio.private, load(folio.private) + 1)
    value &= ~PTE_SWAP_EXCLUSIVE
    store(pte_at(vm, load(parent.pgd) + 8 * vpn).pte, value)
    store(pte_at(vm, load(child.pgd) + 8 * vpn).pte, value)
    store(child.rss_swap, load(child.rss_swap) + 1)


def copy_migration_entry(vm: Memory, parent: MM, child: MM, vpn: int, value: int) -> None:
    """`copy_nonpresent_pte`: both MMs will map the page read-only, and it is shared."""
    value &= ~(PTE_SWAP_EXCLUSIVE | PTE_MIGRATION_WRITE)
    store(pte_at(vm, load(parent.pgd) + 8 * vpn).pte, value)
    store(pte_at(vm, load(child.pgd) + 8 * vpn).pte, value)
    store(child.rss_anon, load(child.rss_anon) + 1)


def copy_ptes(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, parent: MM, child: MM, start: int, end: int) -> int:
    """Copy PTEs start…end-1 to the child; OK or ENOMEM."""
    pgd = load(parent.pgd)
    vpn = start
    while vpn < end:
        value = READ_ONCE(pte_at(vm, pgd + 8 * vpn).pte)
        if value & PTE_PRESENT:
            nr = copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, end, value)
            if nr == 0:
                return ENOMEM
            vpn += nr
        else:
            if value & PTE_MIGRATION:
                copy_migration_entry(vm, parent, child, vpn, value)
            elif value:
                copy_swap_entry(vm, parent, child, vpn, value)
            vpn += 1
    return OK


def copy_huge_pmd(vm: Memory, parent: MM, child: MM, vpn: int) -> bool:
    """Copy a PMD; False (-EAGAIN) if it must be split first, since its folio may be pinned."""
    entry = pmd_ref(vm, parent, vpn)
    value = READ_ONCE(entry)
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, pfn)
    if not folio_test_anon(folio):
        return True  # file mappings are not copied by PMD: the child faults them in again
    folio_get(folio)
    if not folio_try_dup_anon_rmap_pmd(vm, folio, pfn_to_page(vm, pfn), parent, child, vpn):
        folio_ref_sub_return(folio, 1)
        return False
    wrprotect(entry)
    WRITE_ONCE(pmd_ref(vm, child, vpn), value & ~PTE_WRITE)
    store(child.rss_anon, load(child.rss_anon) + PTRS_PER_PTE)
    return True
