"""Page tables: entries with a frame number and flags, in flat arrays; one array of PTEs and one of PMDs an MM.

A PMD entry that is not 0 maps a whole folio of PMD size, and the 512 PTEs below it are unused.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, cmpxchg, load, pte_at, xchg

PMD_ORDER: Final = 9
PTRS_PER_PTE: Final = 1 << PMD_ORDER

# x86's bits, and two that software may use; VMAs are not modelled, so VM_SHARED is a bit of the entry
PTE_PRESENT: Final = 1 << 0
PTE_WRITE: Final = 1 << 1
PTE_ACCESSED: Final = 1 << 5
PTE_DIRTY: Final = 1 << 6
PTE_VM_SHARED: Final = 1 << 9
PTE_SWAP: Final = 1 << 1  # in an entry that is not present
PTE_SWAP_EXCLUSIVE: Final = 1 << 2
PFN_SHIFT: Final = 12
PTE_FLAGS: Final = (1 << PFN_SHIFT) - 1
PTE_PROT: Final = PTE_PRESENT | PTE_ACCESSED
PTE_ANON: Final = PTE_PROT | PTE_WRITE | PTE_DIRTY


def pte_ref(vm: Memory, mm: Any, vpn: int) -> Any:
    """The PTE of a page of address space."""
    return pte_at(vm, load(mm.pgd) + 8 * vpn).pte


def pmd_ref(vm: Memory, mm: Any, vpn: int) -> Any:
    """The PMD above a page of address space."""
    return pte_at(vm, load(mm.pmd) + 8 * (vpn >> PMD_ORDER)).pte


def next_ptes(vm: Memory, pgd: int, vpn: int, value: int, limit: int) -> int:
    """`folio_pte_batch`: how many PTEs from `vpn` on map consecutive frames alike, at most `limit`.

    The writable bit may differ, as in the kernel.
    """
    expected = value & ~PTE_WRITE
    nr = 1
    while nr < limit:
        if READ_ONCE(pte_at(vm, pgd + 8 * (vpn + nr)).pte) & ~PTE_WRITE != expected + (nr << PFN_SHIFT):
            break
        nr += 1
    return nr


def wrprotect(entry: Any) -> None:
    """`ptep_set_wrprotect`: the hardware may set flags meanwhile, so a compare-exchange."""
    old = READ_ONCE(entry)
    while True:
        found = cmpxchg(entry, old, old & ~PTE_WRITE)
        if found == old:
            break
        old = found


def get_and_clear(entry: Any) -> int:
    """`ptep_get_and_clear`: the hardware may set flags meanwhile, so an exchange."""
    return xchg(0, entry)
