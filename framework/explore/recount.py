"""Recount the owners of folios from the page tables, for machines that no replay drives.

A replay keeps its account of owners (`replay.owners`) up to date event by event. Scenarios and counterexamples run
other operations; their lanes recount after each.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine.folio import folio_nr_pages, folio_test_large, page_head_pfn
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, PTRS_PER_PTE, pmd_ref
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, load, pfn_folio, pte_at
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import (
    AT_COUNT,
    AT_PAGES,
    COUNTS,
    HEADS,
    SLOTS,
    WINDOWS,
    Cells,
    Sizes,
    cell,
    put,
    reg,
)
from foliolab.framework.replay.owners import ORDER_SHIFT, count_pages, folio_at, gained, opened, touched
from foliolab.framework.replay.spaces import mm_of

KEPT: Final = (
    cells.PAGES_MAPPED, cells.PAGES_UNMAPPED, cells.PAGES_FORKED, cells.PAGES_MOVED, cells.EXCLUSIVE_OPS,
    cells.SHARED_OPS, cells.FALSE_OPS, cells.UNSAFE_OPS,
)  # fmt: skip
"""Operation counters, kept when the owners are recounted."""


def sizes_for(nr_pages: int, nr_mms: int, nr_vpns: int) -> Sizes:
    """The sizes of the account's tables for a machine of that shape."""
    return Sizes(
        frames=-(-nr_pages // COUNTS) * COUNTS,
        slots=nr_mms,
        windows=-(-nr_vpns // PTRS_PER_PTE),
        mms=1,
        clusters=1,
        pfns=1,
        events=8,
        watched=True,
    )


def _folio_order(vm: Memory, head: int) -> int:
    """log2 of the pages of the folio with that head frame; 0 for a small folio, a free frame or a tail page."""
    if page_head_pfn(vm, head) != head:
        return 0
    folio = pfn_folio(vm, head)
    if not folio_test_large(folio):
        return 0
    order = 0
    while 1 << order < folio_nr_pages(folio):
        order += 1
    return order


def _clear(vm: Memory, base: int) -> None:
    """Reset all counts; end the entries of large folios that no longer exist."""
    heads = reg(vm, base, HEADS)
    for i in range(reg(vm, base, SLOTS) * heads):
        put(vm, reg(vm, base, AT_COUNT) + 8 * i, 0)
    for i in range(heads - 1):
        put(vm, reg(vm, base, AT_PAGES) + 8 * i, 0)
    for i in range(heads):
        at = folio_at(vm, base, COUNTS * i)
        put(vm, at + 8, 0)
        put(vm, at + 32, 0)
        state = cell(vm, at)
        if state and _folio_order(vm, COUNTS * i) != state >> ORDER_SHIFT:
            touched(vm, base, COUNTS * i)


def _count(vm: Memory, base: int, slot: int, frame: int, nr: int) -> None:
    """Count that an MM maps nr pages of the folio of a frame."""
    count_pages(vm, base, frame, nr, 1, cells.PAGES_MAPPED)
    head = page_head_pfn(vm, frame)
    order = _folio_order(vm, head)
    if order < 2:
        return
    if cell(vm, folio_at(vm, base, head)) == 0:
        opened(vm, base, head, order)
    gained(vm, base, slot, head, nr)


def _count_window(vm: Memory, base: int, slot: int, start: int) -> None:
    mm = mm_of(vm, base, slot)
    pmd = READ_ONCE(pmd_ref(vm, mm, start))
    if pmd:
        _count(vm, base, slot, pmd >> PFN_SHIFT, PTRS_PER_PTE)
        return
    ptes = load(mm.pgd) + 8 * start
    for i in range(PTRS_PER_PTE):
        value = READ_ONCE(pte_at(vm, ptes + 8 * i).pte)
        if value & PTE_PRESENT:
            _count(vm, base, slot, value >> PFN_SHIFT, 1)


def recount(vm: Memory, base: int, nr_mms: int) -> int:
    """Recount every mapping from the page tables, and ask the policy about every large folio.

    Args:
        base: address of the account's cells.
        nr_mms: number of MMs of the machine.

    Returns:
        0; an entry point must return a number.
    """
    _clear(vm, base)
    for slot in range(nr_mms):
        if load(mm_of(vm, base, slot).mm_id):
            for window in range(reg(vm, base, WINDOWS)):
                _count_window(vm, base, slot, window << PMD_ORDER)
    for i in range(reg(vm, base, HEADS)):
        if cell(vm, folio_at(vm, base, COUNTS * i)):
            touched(vm, base, COUNTS * i)
    return 0


def recount_owners(machine: Machine, state: Cells, step: int) -> None:
    """Recount the owners after a step (-1: at the start); the counters of operations stay."""
    tallies = state.table(cells.AT_TALLY)
    kept = tallies[list(KEPT)].copy()
    state.all[cells.NOW] = step + 1
    state.all[cells.STEP] = max(step, 0)
    machine.entry_point(recount, "mii")(state.base, machine.shape.nr_mms)
    tallies[list(KEPT)] = kept
