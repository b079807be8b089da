"""Migration entries: what stands in page tables while the kernel moves a folio, and what takes them away again.

`try_to_migrate` puts a migration entry in the place of each PTE; it remembers whether the PTE was writable, and whether
the page was AnonExclusive. `remove_migration_ptes` maps the pages again. The folio is locked in between, and a fault on
such an entry waits for that lock. Here the old one comes back, as where a migration fails.

Sources: specification 1.8; mm/rmap.c and mm/migrate.c of Linux 6.18.
"""

from __future__ import annotations

from foliolab.framework.engine.folio import (
    ClearPageAnonExclusive,
    PageAnonExclusive,
    folio_get,
    folio_maybe_dma_pinned,
    folio_nr_pages,
    folio_unlock,
    page_head_pfn,
)
from foliolab.framework.engine.gup import folio_try_get
from foliolab.framework.engine.locks import pte_lock, pte_unlock
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_ANON,
    PTE_MIGRATION,
    PTE_MIGRATION_WRITE,
    PTE_PRESENT,
    PTE_SWAP_EXCLUSIVE,
    PTE_WRITE,
    get_and_clear,
    pte_ref,
)
from foliolab.framework.engine.rmap import folio_add_anon_rmap_ptes, folio_remove_rmap_ptes
from foliolab.framework.engine.structs import PG_locked
from foliolab.framework.engine.zap import folio_put_refs
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Zone
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    WRITE_ONCE,
    bit_spin_lock,
    load,
    pfn_folio,
    pfn_to_page,
)


def is_of_folio(vm: Memory, entry: int, head: int) -> bool:
    """Whether an entry names a page of the folio with that head."""
    return page_head_pfn(vm, entry >> PFN_SHIFT) == head


def try_to_migrate_pte(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, head: int) -> bool:
    """`try_to_migrate_one` of one PTE that maps the folio, under the page-table lock.

    Returns:
        False if the page is AnonExclusive and may be pinned; the PTE then stays as it was.
    """
    entry = pte_ref(vm, mm, vpn)
    value = get_and_clear(entry)
    folio = pfn_folio(vm, head)
    page = pfn_to_page(vm, value >> PFN_SHIFT)
    left = value >> PFN_SHIFT << PFN_SHIFT | PTE_MIGRATION
    if PageAnonExclusive(page):
        if folio_maybe_dma_pinned(folio):
            WRITE_ONCE(entry, value)
            return False
        ClearPageAnonExclusive(page)
        left |= PTE_SWAP_EXCLUSIVE
    if value & PTE_WRITE:
        left |= PTE_MIGRATION_WRITE
    WRITE_ONCE(entry, left)
    folio_remove_rmap_ptes(vm, cpu, folio, page, 1, mm, vpn)
    folio_put_refs(vm, cpu, zone, head, 1)
    return True


def restore_pte(vm: Memory, cpu: Cpu, mm: MM, vpn: int, left: int) -> None:
    """Map a page again in the place of its migration entry, under the page-table lock."""
    pfn = left >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    folio_get(folio)
    exclusive = left & PTE_SWAP_EXCLUSIVE != 0
    folio_add_anon_rmap_ptes(vm, cpu, folio, pfn_to_page(vm, pfn), 1, mm, exclusive, vpn)
    value = pfn << PFN_SHIFT | PTE_ANON
    if left & PTE_MIGRATION_WRITE == 0:
        value &= ~PTE_WRITE
    WRITE_ONCE(pte_ref(vm, mm, vpn), value)


def remove_migration_pte(vm: Memory, cpu: Cpu, mm: MM, vpn: int, head: int) -> None:
    """`remove_migration_pte`: the page-table lock is held before anybody looks (commit 486cf46f3f9b)."""
    pte_lock(vm, mm)
    left = READ_ONCE(pte_ref(vm, mm, vpn))
    if left & PTE_PRESENT == 0 and left & PTE_MIGRATION and is_of_folio(vm, left, head):
        restore_pte(vm, cpu, mm, vpn, left)
    pte_unlock(vm, mm)


def try_to_migrate(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int, nr: int, head: int) -> None:
    """Make migration entries of the PTEs from `vpn` on that map the folio, up to the first that must stay."""
    going = True
    pte_lock(vm, mm)
    for at in range(vpn, vpn + nr):
        value = READ_ONCE(pte_ref(vm, mm, at))
        if going and value & PTE_PRESENT and is_of_folio(vm, value, head):
            going = try_to_migrate_pte(vm, cpu, zone, mm, at, head)
    pte_unlock(vm, mm)


def migrate(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, child: MM, vpn: int) -> None:
    """Begin to migrate the folio that an MM maps at `vpn`, and map it again.

    Args:
        child: an MM that a fork may have given migration entries meanwhile, or `mm`. The rmap walk comes to it after
            its parent, and to each place where mremap may have moved an entry after the place where it was.
    """
    value = READ_ONCE(pte_ref(vm, mm, vpn))
    if value & PTE_PRESENT == 0:
        return
    head = page_head_pfn(vm, value >> PFN_SHIFT)
    folio = pfn_folio(vm, head)
    if not folio_try_get(folio):
        return
    bit_spin_lock(PG_locked, folio.flags)
    try_to_migrate(vm, cpu, zone, mm, vpn, folio_nr_pages(folio), head)
    for at in range(load(mm.nr_ptes)):
        remove_migration_pte(vm, cpu, mm, at, head)
    if load(child.here) != load(mm.here):
        for at in range(load(child.nr_ptes)):
            remove_migration_pte(vm, cpu, child, at, head)
    folio_unlock(folio)
    folio_put_refs(vm, cpu, zone, head, 1)
