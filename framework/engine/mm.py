"""MMs: IDs from a lowest-free allocator (section 2.5), and mremap (section 1.8)."""

from __future__ import annotations

from typing import Any

from foliolab.framework.engine.pagetable import PTRS_PER_PTE, get_and_clear, pmd_ref, pte_ref
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, WRITE_ONCE, load, pte_at, store

MM_ID_DUMMY = 0


def mm_alloc_id(vm: Memory, zone: Any, mm: Any) -> bool:
    """Give the MM the lowest free ID; False if none is left, and fork fails."""
    base = load(zone.mm_ida)
    for word in range(load(zone.mm_ida_words)):
        used = load(pte_at(vm, base + 8 * word).pte)
        if used == -1:
            continue
        bit = 0
        while used >> bit & 1:
            bit += 1
        if 64 * word + bit > load(zone.max_mm_id):
            return False
        mm_take_id(vm, zone, mm, 64 * word + bit)
        return True
    return False


def mm_take_id(vm: Memory, zone: Any, mm: Any, mm_id: int) -> None:
    """Give the MM a certain ID; one beyond the bitmap is not recorded there."""
    if mm_id < 64 * load(zone.mm_ida_words):
        word = pte_at(vm, load(zone.mm_ida) + 8 * (mm_id >> 6)).pte
        store(word, load(word) | 1 << (mm_id & 63))
    store(mm.mm_id, mm_id)
    store(mm.flags, 0)


def mm_free_id(vm: Memory, zone: Any, mm: Any) -> None:
    """Return the MM's ID (`__mmdrop`): no mapping of it can be left."""
    mm_id = load(mm.mm_id)
    store(mm.mm_id, MM_ID_DUMMY)
    if mm_id < 64 * load(zone.mm_ida_words):
        word = pte_at(vm, load(zone.mm_ida) + 8 * (mm_id >> 6)).pte
        store(word, load(word) & ~(1 << (mm_id & 63)))


def move_ptes(vm: Memory, mm: Any, start: int, to: int, nr: int) -> None:
    """mremap: move PTEs inside the MM; no counter of any folio changes. PMDs move whole if both ends allow."""
    i = 0
    while i < nr:
        pmd = READ_ONCE(pmd_ref(vm, mm, start + i))
        if pmd:
            WRITE_ONCE(pmd_ref(vm, mm, to + i), get_and_clear(pmd_ref(vm, mm, start + i)))
            i += PTRS_PER_PTE
            continue
        if READ_ONCE(pte_ref(vm, mm, start + i)):
            WRITE_ONCE(pte_ref(vm, mm, to + i), get_and_clear(pte_ref(vm, mm, start + i)))
        i += 1
