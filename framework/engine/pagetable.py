"""Page tables: entries with a frame number and flags, in flat arrays; one array of PTEs and one of PMDs per MM.

A PMD entry that is not 0 maps a whole folio of PMD size, and the 512 PTEs below it are unused. CONTRIBUTING.md lists
what a further level changes.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine.folio import folio_nr_pages
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Folio, Page
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    as_page,
    cmpxchg,
    load,
    memory_of,
    page_to_pfn,
    pte_at,
    xchg,
)
from foliolab.framework.machine.ref import Ref

PTRS_PER_PTE: Final = 1 << PMD_ORDER

# x86's bits, and two that software may use; VMAs are not modelled, so VM_SHARED is a bit of the entry
PTE_PRESENT: Final = 1 << 0
PTE_WRITE: Final = 1 << 1
PTE_ACCESSED: Final = 1 << 5
PTE_DIRTY: Final = 1 << 6
PTE_VM_SHARED: Final = 1 << 9
PTE_SWAP: Final = 1 << 1  # in an entry that is not present
PTE_SWAP_EXCLUSIVE: Final = 1 << 2
PTE_MIGRATION: Final = 1 << 3  # the same, and the bit of AnonExclusive is that of a swap entry
PTE_MIGRATION_WRITE: Final = 1 << 4
PFN_SHIFT: Final = 12
PTE_FLAGS: Final = (1 << PFN_SHIFT) - 1
PTE_MAY_DIFFER: Final = PTE_WRITE | PTE_ACCESSED | PTE_DIRTY
PTE_PROT: Final = PTE_PRESENT | PTE_ACCESSED
PTE_ANON: Final = PTE_PROT | PTE_WRITE | PTE_DIRTY


def pte_ref(vm: Memory, mm: MM, vpn: int) -> Ref:
    """The PTE of a page of address space."""
    return pte_at(vm, load(mm.pgd) + 8 * vpn).pte


def pmd_ref(vm: Memory, mm: MM, vpn: int) -> Ref:
    """The PMD above a page of address space."""
    return pte_at(vm, load(mm.pmd) + 8 * (vpn >> PMD_ORDER)).pte


def frame_of(vm: Memory, mm: MM, vpn: int) -> int:
    """The frame that a PMD or a PTE maps at a page of address space; -1 if nothing is mapped there."""
    pmd = READ_ONCE(pmd_ref(vm, mm, vpn))
    if pmd:
        return (pmd >> PFN_SHIFT) + vpn % PTRS_PER_PTE
    value = READ_ONCE(pte_ref(vm, mm, vpn))
    if value & PTE_PRESENT:
        return value >> PFN_SHIFT
    return -1


def next_ptes(vm: Memory, pgd: int, vpn: int, value: int, limit: int) -> int:
    """`folio_pte_batch`: how many PTEs from `vpn` on map consecutive frames alike, at most `limit`.

    As in the kernel, the writable bit and the bits that hardware sets may differ.
    """
    return alike_ptes(vm, pgd, vpn, value, limit, PTE_MAY_DIFFER)


def alike_ptes(vm: Memory, pgd: int, vpn: int, value: int, limit: int, differing: int) -> int:
    """`folio_pte_batch_flags`: the same, with the bits that may differ."""
    expected = value & ~differing
    nr = 1
    while nr < limit:
        if READ_ONCE(pte_at(vm, pgd + 8 * (vpn + nr)).pte) & ~differing != expected + (nr << PFN_SHIFT):
            break
        nr += 1
    return nr


def _maps(vm: Memory, mm: MM, vpn: int, pfn: int) -> bool:
    value = READ_ONCE(pte_ref(vm, mm, vpn))
    return value & PTE_PRESENT != 0 and value >> PFN_SHIFT == pfn


def folio_mapped_between(folio: Folio, page: Page, nr: int, mm: MM, vpn: int, low: int, high: int) -> bool:
    """Whether an MM maps other pages of a folio where the mapping that has `page` at `vpn` would have them.

    A mapping is linear, so within a VMA each page of the folio has one address: the function reads at most as many PTEs
    as the folio has pages. A PMD that maps the folio there counts as well.

    Args:
        folio: a large folio.
        page: one of its pages; at `vpn` in the address space of `mm`.
        nr: PTEs from `vpn` on that are left out.
        mm: whose page tables are read; their lock is held.
        vpn: page of address space.
        low, high: pages of address space to look at are low…high-1; all that the folio may take where they are more.
    """
    vm = memory_of(mm)
    head = page_to_pfn(vm, as_page(folio))
    start = vpn - (page_to_pfn(vm, page) - head)
    low = max(low, start, 0)
    high = min(high, start + folio_nr_pages(folio), load(mm.nr_ptes))
    at = low
    while at < high:
        if at == low or at % PTRS_PER_PTE == 0:
            pmd = READ_ONCE(pmd_ref(vm, mm, at))
            if pmd:
                if pmd >> PFN_SHIFT == head + (at & ~(PTRS_PER_PTE - 1)) - start:
                    return True
                at = (at | (PTRS_PER_PTE - 1)) + 1
                continue
        if at == vpn and nr > 0:
            at += nr
            # what is left out may end in another table
            low = at
            continue
        if _maps(vm, mm, at, head + at - start):
            return True
        at += 1
    return False


def wrprotect(entry: Ref) -> None:
    """`ptep_set_wrprotect`: the hardware may set flags meanwhile, so a compare-exchange."""
    old = READ_ONCE(entry)
    while True:
        found = cmpxchg(entry, old, old & ~PTE_WRITE)
        if found == old:
            break
        old = found


def get_and_clear(entry: Ref) -> int:
    """`ptep_get_and_clear`: the hardware may set flags meanwhile, so an exchange."""
    return xchg(0, entry)
