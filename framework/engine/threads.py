"""Write faults of an MM that several threads use, under its locks.

What a fault reads without the page-table lock it compares when it has the lock (`pte_same`): another thread may have
changed the PTE, and then the access is repeated. Source: mm/memory.c of Linux 6.18, `handle_pte_fault`.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine.fault import (
    COPIED,
    NEW_PAGE,
    NO_MEMORY,
    SWAPPED,
    UNCHANGED,
    map_copy,
    new_copy,
    put_copied,
    wp_page_reuse,
)
from foliolab.framework.engine.folio import folio_get, page_head_pfn
from foliolab.framework.engine.locks import mmap_read_lock, mmap_read_unlock, pte_lock, pte_unlock
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_ACCESSED,
    PTE_ANON,
    PTE_DIRTY,
    PTE_MIGRATION,
    PTE_PRESENT,
    PTE_WRITE,
    frame_of,
    pte_ref,
)
from foliolab.framework.engine.rmap import folio_add_new_anon_rmap
from foliolab.framework.engine.structs import MAPPING_ANON, PG_locked, PG_lru
from foliolab.framework.engine.zap import folio_put_refs
from foliolab.framework.engine.zone import alloc_folio
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Zone
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    WRITE_ONCE,
    cmpxchg,
    fill_page,
    load,
    pfn_folio,
    pfn_to_page,
    set_bit,
    spin_wait_clear,
    store,
)

AGAIN: Final = 7
"""Another thread has changed the PTE meanwhile."""
_WRITABLE: Final = PTE_PRESENT | PTE_WRITE


def pte_same(vm: Memory, mm: MM, vpn: int, value: int) -> bool:
    """Whether a PTE is as it was read; the page-table lock is held."""
    return READ_ONCE(pte_ref(vm, mm, vpn)) == value


def wp_fault(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, value: int) -> int:
    """`do_wp_page` and `wp_page_copy` with the page-table lock, which is not held while the page is copied."""
    pte_lock(vm, mm)
    if not pte_same(vm, mm, vpn, value):
        pte_unlock(vm, mm)
        return AGAIN
    outcome = wp_page_reuse(vm, cpu, mm, vpn, value)
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    if outcome == COPIED:
        folio_get(pfn_folio(vm, head))
    pte_unlock(vm, mm)
    if outcome != COPIED:
        return outcome
    copy = new_copy(vm, contents, zone, pfn)
    if copy < 0:
        folio_put_refs(vm, cpu, zone, head, 1)
        return NO_MEMORY
    pte_lock(vm, mm)
    if not pte_same(vm, mm, vpn, value):
        pte_unlock(vm, mm)
        folio_put_refs(vm, cpu, zone, copy, 1)
        folio_put_refs(vm, cpu, zone, head, 1)
        return AGAIN
    map_copy(vm, cpu, mm, vpn, value, copy)
    pte_unlock(vm, mm)
    put_copied(vm, cpu, zone, head)
    return COPIED


def anon_page_fault(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """`do_anonymous_page` for a small folio, with the page-table lock."""
    pfn = alloc_folio(vm, zone, 0)
    if pfn < 0:
        return NO_MEMORY
    pte_lock(vm, mm)
    if not pte_same(vm, mm, vpn, 0):
        pte_unlock(vm, mm)
        folio_put_refs(vm, cpu, zone, pfn, 1)
        return AGAIN
    page = pfn_to_page(vm, pfn)
    store(page.mapping, MAPPING_ANON)
    folio_add_new_anon_rmap(vm, cpu, pfn_folio(vm, pfn), page, mm, vpn, True)
    set_bit(PG_lru, page.flags)
    WRITE_ONCE(pte_ref(vm, mm, vpn), pfn << PFN_SHIFT | PTE_ANON)
    store(mm.rss_anon, load(mm.rss_anon) + 1)
    pte_unlock(vm, mm)
    return NEW_PAGE


def migration_entry_wait(vm: Memory, entry: int) -> None:
    """Wait until a migration has ended: its folio is locked meanwhile."""
    folio = pfn_folio(vm, page_head_pfn(vm, entry >> PFN_SHIFT))
    spin_wait_clear(PG_locked, folio.flags)


def handle_write_fault(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """`handle_pte_fault` for a write; mmap_lock is held. AGAIN: the access is repeated."""
    value = READ_ONCE(pte_ref(vm, mm, vpn))
    if value == 0:
        return anon_page_fault(vm, cpu, zone, mm, vpn)
    if value & PTE_PRESENT == 0:
        if value & PTE_MIGRATION == 0:
            return SWAPPED
        migration_entry_wait(vm, value)
        return AGAIN
    if value & PTE_WRITE:
        return AGAIN
    return wp_fault(vm, contents, cpu, zone, mm, vpn, value)


def write_page_of_thread(
    vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, value: int, nbytes: int
) -> int:
    """A store of one thread; see `fault.write_page`."""
    outcome = AGAIN
    while outcome == AGAIN:
        entry = READ_ONCE(pte_ref(vm, mm, vpn))
        if entry & _WRITABLE != _WRITABLE:
            mmap_read_lock(vm, mm)
            outcome = handle_write_fault(vm, contents, cpu, zone, mm, vpn)
            mmap_read_unlock(vm, mm)
        elif entry & PTE_DIRTY or cmpxchg(pte_ref(vm, mm, vpn), entry, entry | PTE_ACCESSED | PTE_DIRTY) == entry:
            outcome = UNCHANGED
    if (outcome <= COPIED or outcome == NEW_PAGE) and load(zone.has_contents):
        frame = frame_of(vm, mm, vpn)
        if frame >= 0:
            fill_page(contents, frame, value, nbytes)
    return outcome
