"""MMs: IDs from a lowest-free allocator (specification 2.5), and mremap (specification 1.8)."""

from __future__ import annotations

from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import policy_call
from foliolab.framework.engine.folio import PageAnonExclusive, folio_test_large, page_head_pfn
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_PRESENT,
    PTE_WRITE,
    PTRS_PER_PTE,
    get_and_clear,
    pmd_ref,
    pte_ref,
)
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Zone
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    WRITE_ONCE,
    clear_bit,
    load,
    pfn_folio,
    pfn_to_page,
    pte_at,
    set_bit,
    store,
    test_and_set_bit,
)

MM_ID_DUMMY = 0


def mm_alloc_id(vm: Memory, zone: Zone, mm: MM) -> bool:
    """Give the MM the lowest free ID; False if none is left, and fork fails."""
    base = load(zone.mm_ida)
    for word in range(load(zone.mm_ida_words)):
        ids = pte_at(vm, base + 8 * word).pte
        used = READ_ONCE(ids)
        while used != -1:
            bit = 0
            while used >> bit & 1:
                bit += 1
            if 64 * word + bit > load(zone.max_mm_id):
                return False
            if not test_and_set_bit(bit, ids):
                _set_id(mm, 64 * word + bit)
                return True
            used = READ_ONCE(ids)  # another CPU was first
    return False


def _set_id(mm: MM, mm_id: int) -> None:
    store(mm.mm_id, mm_id)
    store(mm.flags, 0)


def mm_take_id(vm: Memory, zone: Zone, mm: MM, mm_id: int) -> None:
    """Give the MM a certain ID; one beyond the bitmap is not recorded there."""
    if mm_id < 64 * load(zone.mm_ida_words):
        set_bit(mm_id & 63, pte_at(vm, load(zone.mm_ida) + 8 * (mm_id >> 6)).pte)
    _set_id(mm, mm_id)


def mm_free_id(vm: Memory, zone: Zone, mm: MM) -> None:
    """Return the MM's ID (`__mmdrop`): no mapping of it can be left."""
    mm_id = load(mm.mm_id)
    store(mm.mm_id, MM_ID_DUMMY)
    if mm_id < 64 * load(zone.mm_ida_words):
        clear_bit(mm_id & 63, pte_at(vm, load(zone.mm_ida) + 8 * (mm_id >> 6)).pte)


def _tell_move(vm: Memory, mm: MM, vpn: int, to: int, value: int) -> None:
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if value & PTE_PRESENT and folio_test_large(folio):
        policy_call(vm, calls.MOVE_PTE, folio, pfn_to_page(vm, pfn), to, mm, vpn)


def move_ptes(vm: Memory, zone: Zone, mm: MM, start: int, to: int, nr: int) -> None:
    """mremap: move PTEs inside the MM; no counter of the engine changes. PMDs move whole if both ends allow."""
    tell = load(zone.notify_moves)
    i = 0
    while i < nr:
        pmd = READ_ONCE(pmd_ref(vm, mm, start + i))
        if pmd:
            WRITE_ONCE(pmd_ref(vm, mm, to + i), get_and_clear(pmd_ref(vm, mm, start + i)))
            i += PTRS_PER_PTE
            continue
        if READ_ONCE(pte_ref(vm, mm, start + i)):
            value = get_and_clear(pte_ref(vm, mm, start + i))
            WRITE_ONCE(pte_ref(vm, mm, to + i), value)
            if tell:
                _tell_move(vm, mm, start + i, to + i, value)
        i += 1


def make_writable(vm: Memory, mm: MM, start: int, end: int) -> None:
    """`can_change_pte_writable` of a private mapping: an AnonExclusive page needs no write fault."""
    vpn = start
    while vpn < end:
        pmd = READ_ONCE(pmd_ref(vm, mm, vpn))
        entry = pmd_ref(vm, mm, vpn) if pmd else pte_ref(vm, mm, vpn)
        value = READ_ONCE(entry)
        if value & PTE_PRESENT and PageAnonExclusive(pfn_to_page(vm, value >> PFN_SHIFT)):
            WRITE_ONCE(entry, value | PTE_WRITE)
        vpn += PTRS_PER_PTE if pmd else 1
