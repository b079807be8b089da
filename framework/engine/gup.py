"""get_user_pages for writing and for DMA (`pin_user_pages_fast`), in an MM that other threads use meanwhile.

GUP-fast takes no lock: it pins the page, and looks then whether the PTE is the same, and whether a fork copies page
tables (`write_protect_seq`, commit 57efa1fe5957). Where it fails, GUP looks under the page-table lock, and faults the
page in. Source: mm/gup.c of Linux 6.18.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine.fault import NO_MEMORY, SWAPPED, UNCHANGED
from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS, folio_get, folio_test_large, page_head_pfn
from foliolab.framework.engine.locks import (
    SEQ_ODD,
    mmap_read_lock,
    mmap_read_unlock,
    pte_lock,
    pte_unlock,
    write_protect_seq,
)
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, PTE_WRITE, pte_ref
from foliolab.framework.engine.reference import unpin_folio
from foliolab.framework.engine.structs import MMF_HAS_PINNED
from foliolab.framework.engine.threads import handle_write_fault
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Zone
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    atomic_add,
    atomic_read,
    atomic_sub,
    cmpxchg,
    load,
    pfn_folio,
    pte_at,
    set_bit,
    smp_mb,
    test_bit,
)

_WRITABLE: Final = PTE_PRESENT | PTE_WRITE


def folio_try_get(folio: Folio) -> bool:
    """Take a reference, unless the folio has none: it is free then."""
    old = atomic_read(folio._refcount)
    while old != 0:
        found = cmpxchg(folio._refcount, old, old + 1)
        if found == old:
            return True
        old = found
    return False


def note_pin(vm: Memory, zone: Zone, pfn: int) -> None:
    """Count a pin for writing by the page, which no kernel does: a law of the verifier reads it."""
    pins = pte_at(vm, load(zone.pins) + 8 * pfn).pte
    atomic_add(1, pins)


def forget_pin(vm: Memory, zone: Zone, pfn: int) -> None:
    """Undo `note_pin`, if there was one."""
    pins = pte_at(vm, load(zone.pins) + 8 * pfn).pte
    if READ_ONCE(pins):
        atomic_sub(1, pins)


def try_grab_folio(folio: Folio) -> bool:
    """`try_grab_folio_fast(FOLL_PIN)`."""
    if not folio_try_get(folio):
        return False
    if folio_test_large(folio):
        atomic_add(1, folio._pincount)
    else:
        atomic_add(GUP_PIN_COUNTING_BIAS - 1, folio._refcount)
    smp_mb()
    return True


def gup_fast_pte(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """`gup_fast_pte_range` of one page: pin what a writable PTE maps, unless the PTE changes meanwhile.

    Returns:
        the frame; -1 if it is not pinned.
    """
    value = READ_ONCE(pte_ref(vm, mm, vpn))
    if value & _WRITABLE != _WRITABLE:
        return -1
    pfn = value >> PFN_SHIFT
    if not try_grab_folio(pfn_folio(vm, page_head_pfn(vm, pfn))):
        return -1
    if READ_ONCE(pte_ref(vm, mm, vpn)) != value:
        unpin_folio(vm, cpu, zone, pfn)
        return -1
    return pfn


def gup_without_lock(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """`gup_fast`: pin a page for writing without a lock, unless a fork copies page tables meanwhile; -1: not pinned."""
    seq = write_protect_seq(vm, mm)
    if seq & SEQ_ODD:
        return -1
    pfn = gup_fast_pte(vm, cpu, zone, mm, vpn)
    if pfn >= 0 and write_protect_seq(vm, mm) != seq:
        unpin_folio(vm, cpu, zone, pfn)
        return -1
    return pfn


def follow_page_pte(vm: Memory, mm: MM, vpn: int, may_be_read_only: bool) -> int:
    """Pin what a PTE maps, under the page-table lock; -1 if the PTE does not allow what is asked for.

    Args:
        may_be_read_only: whether a PTE that is not writable is good enough. For a write it never is.
    """
    value = READ_ONCE(pte_ref(vm, mm, vpn))
    if value & PTE_PRESENT == 0 or (value & PTE_WRITE == 0 and not may_be_read_only):
        return -1
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if folio_test_large(folio):
        folio_get(folio)
        atomic_add(1, folio._pincount)
    else:
        atomic_add(GUP_PIN_COUNTING_BIAS, folio._refcount)
    return pfn


def after_fault(outcome: int) -> bool:
    """Whether the page may be read-only when GUP looks again after a write fault: a fault before does not allow it."""
    return False


def gup_slow(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """`__get_user_pages` for writing: look for the page under the page-table lock, fault it in, and look again.

    Returns:
        the frame; -1 if there is no memory, or the page is in swap.
    """
    pfn = -1
    outcome = UNCHANGED
    mmap_read_lock(vm, mm)
    while pfn < 0 and outcome != NO_MEMORY and outcome != SWAPPED:  # noqa: PLR1714
        pte_lock(vm, mm)
        pfn = follow_page_pte(vm, mm, vpn, after_fault(outcome))
        pte_unlock(vm, mm)
        if pfn < 0:
            outcome = handle_write_fault(vm, contents, cpu, zone, mm, vpn)
    mmap_read_unlock(vm, mm)
    return pfn


def pin_user_page(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """`pin_user_pages_fast` of one page for writing; its frame, or -1."""
    if not test_bit(MMF_HAS_PINNED, mm.flags):
        set_bit(MMF_HAS_PINNED, mm.flags)
    pfn = gup_without_lock(vm, cpu, zone, mm, vpn)
    if pfn < 0:
        pfn = gup_slow(vm, contents, cpu, zone, mm, vpn)
    if pfn >= 0:
        note_pin(vm, zone, pfn)
    return pfn
