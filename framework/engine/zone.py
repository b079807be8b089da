"""The zone: a buddy allocator of page frames, and what allocation and freeing do to struct pages.

Struct pages start at byte 0 of memory. Free blocks hang in lists through struct page itself. The kernel's
per-CPU page lists are not modelled; every scheme pays the same here.
"""

from __future__ import annotations

from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import policy_call
from foliolab.framework.engine.structs import ORDER_MASK, TAIL_MAPPING, PG_buddy, PG_head
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import Zone
from foliolab.framework.machine.primitives import (
    WRITE_ONCE,
    as_folio,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    load,
    nth_page,
    pfn_to_page,
    store,
)


def _link(vm: Memory, zone: Zone, pfn: int, order: int) -> None:
    page = pfn_to_page(vm, pfn)
    first = load(zone.free_area[order])
    store(page.flags, 1 << PG_buddy)
    store(page.private, order)
    store(page.lru_prev, 0)
    store(page.lru_next, first << 1)
    if first:
        store(pfn_to_page(vm, first - 1).lru_prev, pfn + 1)
    store(zone.free_area[order], pfn + 1)


def _unlink(vm: Memory, zone: Zone, pfn: int, order: int) -> None:
    page = pfn_to_page(vm, pfn)
    after = load(page.lru_next) >> 1
    before = load(page.lru_prev)
    if before:
        store(pfn_to_page(vm, before - 1).lru_next, after << 1)
    else:
        store(zone.free_area[order], after)
    if after:
        store(pfn_to_page(vm, after - 1).lru_prev, before)
    store(page.flags, 0)
    store(page.private, 0)
    store(page.lru_next, 0)
    store(page.lru_prev, 0)


def _take_block(vm: Memory, zone: Zone, order: int) -> int:
    """Take a free block of that order, if necessary split off a larger one; -1 if no block is free."""
    have = order
    while have <= load(zone.max_order) and load(zone.free_area[have]) == 0:
        have += 1
    if have > load(zone.max_order):
        return -1
    pfn = load(zone.free_area[have]) - 1
    _unlink(vm, zone, pfn, have)
    while have > order:
        have -= 1
        _link(vm, zone, pfn + (1 << have), have)
    store(zone.nr_free, load(zone.nr_free) - (1 << order))
    return pfn


def _give_block(vm: Memory, zone: Zone, pfn: int, order: int) -> None:
    """Return a block, merged with its free buddies."""
    store(zone.nr_free, load(zone.nr_free) + (1 << order))
    while order < load(zone.max_order):
        buddy = pfn ^ (1 << order)
        if buddy + (1 << order) > load(zone.nr_pages):
            break
        page = pfn_to_page(vm, buddy)
        if load(page.flags) != 1 << PG_buddy or load(page.private) != order:
            break
        _unlink(vm, zone, buddy, order)
        pfn &= ~(1 << order)
        order += 1
    _link(vm, zone, pfn, order)


def _prep_compound_page(vm: Memory, pfn: int, order: int) -> None:
    page = pfn_to_page(vm, pfn)
    nr = 1 << order
    for i in range(1, nr):
        tail = nth_page(page, i)
        store(tail.compound_head, pfn << 1 | 1)
        store(tail.mapping, TAIL_MAPPING)
    folio = as_folio(page)
    store(folio._flags_1, order)
    policy_call(vm, calls.PREPARE, folio, page, nr, folio, 0)


def alloc_folio(vm: Memory, zone: Zone, order: int) -> int:
    """Allocate a folio with one reference.

    Returns:
        the frame of its head page, -1 without memory.
    """
    bit_spin_lock(0, zone.lock)
    pfn = _take_block(vm, zone, order)
    bit_spin_unlock(0, zone.lock)
    if pfn < 0:
        return pfn
    page = pfn_to_page(vm, pfn)
    store(page.flags, 0)
    store(page.gup_refs, 0)
    store(page.private, 0)
    if order:
        store(page.flags, 1 << PG_head)
        _prep_compound_page(vm, pfn, order)
    atomic_set(page._refcount, 1)
    return pfn


def free_folio(vm: Memory, zone: Zone, pfn: int) -> int:
    """Free a folio whose last reference is gone.

    Returns:
        the number of pages freed.
    """
    page = pfn_to_page(vm, pfn)
    order = 0
    if load(page.flags) >> PG_head & 1:
        folio = as_folio(page)
        policy_call(vm, calls.RELEASE, folio, page, 0, folio, 0)
        order = load(folio._flags_1) & ORDER_MASK
    nr = 1 << order
    for i in range(nr):
        one = nth_page(page, i)
        WRITE_ONCE(one.flags, 0)
        WRITE_ONCE(one.mapping, 0)
        WRITE_ONCE(one.compound_head, 0)
    bit_spin_lock(0, zone.lock)
    _give_block(vm, zone, pfn, order)
    bit_spin_unlock(0, zone.lock)
    return nr
