"""Faults: first touch of anonymous memory and of files, and the write fault with its copy or reuse.

`_wp_fault` decides for a PTE, by the policy's hook `can_reuse`; `huge.huge_wp_fault` for a PMD, by references alone.

Sources: specification 1.7 to 1.9 and 2.7.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import policy_call
from foliolab.framework.engine.folio import (
    PageAnonExclusive,
    SetPageAnonExclusive,
    folio_add_lru,
    folio_get,
    folio_nr_pages,
    folio_ref_add,
    folio_ref_count,
    folio_test_anon,
    folio_test_large,
    folio_test_swapcache,
    free_swap_leaves_one_reference,
    lru_add_drain,
    page_head_pfn,
)
from foliolab.framework.engine.fork import copy_to_new_anon, new_small_anon
from foliolab.framework.engine.huge import huge_wp_fault, split_huge_pmd
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_ANON,
    PTE_DIRTY,
    PTE_FLAGS,
    PTE_PRESENT,
    PTE_VM_SHARED,
    PTE_WRITE,
    PTRS_PER_PTE,
    frame_of,
    get_and_clear,
    pmd_ref,
    pte_ref,
)
from foliolab.framework.engine.rmap import (
    folio_add_file_rmap_ptes,
    folio_add_new_anon_rmap,
    folio_remove_rmap_ptes,
    this_cpu_add,
)
from foliolab.framework.engine.structs import MAPPING_ANON, MAPPING_FILE, PG_lru, PG_pagecache, PG_swapbacked
from foliolab.framework.engine.zap import folio_put_refs, free_swap_cache
from foliolab.framework.engine.zone import alloc_folio
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Page, Zone
from foliolab.framework.machine.primitives import (
    PAGE_SIZE,
    READ_ONCE,
    WRITE_ONCE,
    copy_page,
    fill_page,
    load,
    pfn_folio,
    pfn_to_page,
    set_bit,
    store,
)

UNCHANGED: Final = 0
REUSED: Final = 1
COPIED: Final = 2
NEW_PAGE: Final = 3
NO_MEMORY: Final = 4
NOT_MAPPED: Final = 5
SWAPPED: Final = 6


def anon_fault(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, order: int, batched: int) -> bool:
    """`do_anonymous_page`: map a new folio of that order by PTEs; False without memory.

    Args:
        batched: whether the folio stays in a per-CPU LRU batch, which holds one more reference.
    """
    pfn = alloc_folio(vm, zone, order)
    if pfn < 0:
        return False
    nr = 1 << order
    folio = pfn_folio(vm, pfn)
    page = pfn_to_page(vm, pfn)
    store(page.mapping, MAPPING_ANON)
    if nr > 1:
        folio_ref_add(folio, nr - 1)
    store(mm.rss_anon, load(mm.rss_anon) + nr)
    folio_add_new_anon_rmap(vm, cpu, folio, page, mm, vpn, True)
    folio_add_lru(folio, batched)
    for i in range(nr):
        WRITE_ONCE(pte_ref(vm, mm, vpn + i), (pfn + i) << PFN_SHIFT | PTE_ANON)
    return True


def file_folio(vm: Memory, zone: Zone, order: int, shmem: int) -> int:
    """A new folio in the page cache, which holds one reference a page; its frame, -1 without memory."""
    pfn = alloc_folio(vm, zone, order)
    if pfn >= 0:
        page = pfn_to_page(vm, pfn)
        store(page.mapping, MAPPING_FILE)
        set_bit(PG_pagecache, page.flags)
        set_bit(PG_lru, page.flags)
        if shmem:
            set_bit(PG_swapbacked, page.flags)
        if order:
            folio_ref_add(pfn_folio(vm, pfn), (1 << order) - 1)
    return pfn


def file_map(vm: Memory, cpu: Cpu, mm: MM, vpn: int, pfn: int, nr: int, flags: int) -> None:
    """`set_pte_range`: map nr pages of a file folio from frame `pfn` on."""
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    folio_ref_add(folio, nr)
    folio_add_file_rmap_ptes(vm, cpu, folio, pfn_to_page(vm, pfn), nr, mm, vpn)
    for i in range(nr):
        WRITE_ONCE(pte_ref(vm, mm, vpn + i), (pfn + i) << PFN_SHIFT | flags)
    store(mm.rss_file, load(mm.rss_file) + nr)


def can_reuse_small(folio: Folio) -> bool:
    """`wp_can_reuse_anon_folio` for a small folio, specification 1.9."""
    if folio_ref_count(folio) > 3:
        return False
    lru_add_drain(folio)
    allowed = 1
    if folio_test_swapcache(folio):
        allowed = 2
    return folio_ref_count(folio) <= allowed and free_swap_leaves_one_reference(folio)


def can_reuse_anon(vm: Memory, folio: Folio, page: Page, mm: MM) -> bool:
    """`wp_can_reuse_anon_folio`: whether a write fault may write in place; of a large folio, the policy says."""
    if folio_test_large(folio):
        return policy_call(vm, calls.CAN_REUSE, folio, page, 1, mm, 0) != 0
    return can_reuse_small(folio)


def new_copy(vm: Memory, contents: Memory, zone: Zone, pfn: int) -> int:
    """A new frame with what the page contains; -1 without memory."""
    copy = alloc_folio(vm, zone, 0)
    if copy >= 0 and load(zone.has_contents):
        copy_page(contents, copy, pfn)
    return copy


def map_copy(vm: Memory, cpu: Cpu, mm: MM, vpn: int, value: int, copy: int) -> None:
    """Map a copy in the place of the page that a PTE maps."""
    entry = pte_ref(vm, mm, vpn)
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    get_and_clear(entry)
    page = pfn_to_page(vm, copy)
    store(page.mapping, MAPPING_ANON)
    folio_add_new_anon_rmap(vm, cpu, pfn_folio(vm, copy), page, mm, vpn, True)
    set_bit(PG_lru, page.flags)
    WRITE_ONCE(entry, copy << PFN_SHIFT | PTE_ANON)
    folio_remove_rmap_ptes(vm, cpu, folio, pfn_to_page(vm, pfn), 1, mm, vpn)
    if not folio_test_anon(folio):
        store(mm.rss_file, load(mm.rss_file) - 1)
        store(mm.rss_anon, load(mm.rss_anon) + 1)


def put_copied(vm: Memory, cpu: Cpu, zone: Zone, head: int) -> None:
    """Drop the reference of the PTE that was copied from, and the fault's own."""
    folio_put_refs(vm, cpu, zone, head, 1)
    free_swap_cache(vm, pfn_folio(vm, head))
    folio_put_refs(vm, cpu, zone, head, 1)
    this_cpu_add(1, cpu.PGCOPY)


def wp_page_copy(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, value: int) -> int:
    """`wp_page_copy`: the order of steps is that of specification 1.8."""
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    folio_get(pfn_folio(vm, head))
    copy = new_copy(vm, contents, zone, pfn)
    if copy < 0:
        folio_put_refs(vm, cpu, zone, head, 1)
        return NO_MEMORY
    map_copy(vm, cpu, mm, vpn, value, copy)
    put_copied(vm, cpu, zone, head)
    return COPIED


def wp_page_reuse(vm: Memory, cpu: Cpu, mm: MM, vpn: int, value: int) -> int:
    """Make a present read-only PTE writable, if the page is the MM's own; COPIED if it must be copied."""
    entry = pte_ref(vm, mm, vpn)
    if value & PTE_VM_SHARED:
        WRITE_ONCE(entry, value | PTE_WRITE | PTE_DIRTY)
        return UNCHANGED
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    page = pfn_to_page(vm, pfn)
    if folio_test_anon(folio) and (PageAnonExclusive(page) or can_reuse_anon(vm, folio, page, mm)):
        SetPageAnonExclusive(page)
        WRITE_ONCE(entry, value | PTE_WRITE | PTE_DIRTY)
        this_cpu_add(1, cpu.PGREUSE)
        return REUSED
    return COPIED


def do_wp_page(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, value: int) -> int:
    """`do_wp_page` on a present read-only PTE."""
    outcome = wp_page_reuse(vm, cpu, mm, vpn, value)
    if outcome != COPIED:
        return outcome
    return wp_page_copy(vm, contents, cpu, zone, mm, vpn, value)


def _write_fault_file_pmd(
    vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, pfn: int, pmd: int
) -> int:
    """Write below a read-only PMD of a file: the PMD goes, and the one page is faulted in again."""
    split_huge_pmd(vm, cpu, zone, mm, vpn)
    if pmd & PTE_VM_SHARED:
        file_map(vm, cpu, mm, vpn, pfn, 1, (pmd & PTE_FLAGS) | PTE_WRITE | PTE_DIRTY)
        return UNCHANGED
    copy = copy_to_new_anon(vm, contents, cpu, zone, mm, vpn, pfn)  # `do_cow_fault`
    if copy < 0:
        return NO_MEMORY
    WRITE_ONCE(pte_ref(vm, mm, vpn), copy << PFN_SHIFT | PTE_ANON)
    return COPIED


def write_fault(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """What a write to a page does that its PTE or PMD does not already allow."""
    pmd = READ_ONCE(pmd_ref(vm, mm, vpn))
    if pmd:
        if pmd & PTE_WRITE:
            return UNCHANGED
        pfn = (pmd >> PFN_SHIFT) + vpn % PTRS_PER_PTE
        if not folio_test_anon(pfn_folio(vm, pmd >> PFN_SHIFT)):
            return _write_fault_file_pmd(vm, contents, cpu, zone, mm, vpn, pfn, pmd)
        if huge_wp_fault(vm, mm, vpn):
            return REUSED
        split_huge_pmd(vm, cpu, zone, mm, vpn)
    value = READ_ONCE(pte_ref(vm, mm, vpn))
    if value & PTE_PRESENT:
        if value & PTE_WRITE:
            return UNCHANGED
        return do_wp_page(vm, contents, cpu, zone, mm, vpn, value)
    return SWAPPED if value else NOT_MAPPED


def write_page(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, value: int, nbytes: int) -> int:
    """A store of the application into the first bytes of a page; what the fault did (UNCHANGED: no fault)."""
    outcome = UNCHANGED
    entry = READ_ONCE(pte_ref(vm, mm, vpn))
    if entry & PTE_WRITE == 0 or entry & PTE_PRESENT == 0:
        outcome = write_fault(vm, contents, cpu, zone, mm, vpn)
    elif entry & PTE_DIRTY == 0:  # after MADV_FREE; hardware sets the bits
        WRITE_ONCE(pte_ref(vm, mm, vpn), entry | PTE_ACCESSED | PTE_DIRTY)
    if outcome <= COPIED and load(zone.has_contents):
        fill_page(contents, frame_of(vm, mm, vpn), value, nbytes)
    return outcome


def touch_new(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """First touch of one page of anonymous memory, with a small folio."""
    pfn = new_small_anon(vm, cpu, zone, mm, vpn)
    if pfn < 0:
        return NO_MEMORY
    if load(zone.has_contents):
        fill_page(contents, pfn, 0, PAGE_SIZE)
    WRITE_ONCE(pte_ref(vm, mm, vpn), pfn << PFN_SHIFT | PTE_ANON)
    store(mm.rss_anon, load(mm.rss_anon) + 1)
    return NEW_PAGE


def file_drop(vm: Memory, cpu: Cpu, zone: Zone, pfn: int) -> None:
    """Truncate a file folio that nothing maps: the page cache drops its references."""
    page = pfn_to_page(vm, pfn)
    store(page.flags, load(page.flags) & ~(1 << PG_pagecache))
    folio_put_refs(vm, cpu, zone, pfn, folio_nr_pages(pfn_folio(vm, pfn)))
