"""Pages that are mapped without a fault: those of the snapshot that a trace begins with, and of the page cache."""

from __future__ import annotations

from foliolab.framework.engine import fault, huge, mm, zap
from foliolab.framework.engine.folio import (
    ClearPageAnonExclusive,
    PageAnonExclusive,
    folio_nr_pages,
    folio_ref_add,
    folio_test_anon,
)
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_ANON, PTE_PROT, PTE_WRITE, PTRS_PER_PTE, pmd_ref, pte_ref
from foliolab.framework.engine.rmap import folio_add_anon_rmap_ptes
from foliolab.framework.engine.structs import PG_pagecache
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    WRITE_ONCE,
    atomic_read,
    cpu_at,
    load,
    pfn_folio,
    pfn_to_page,
    store,
    test_bit,
    zone_at,
)
from foliolab.framework.replay import cells, owners, predecessors
from foliolab.framework.replay.cells import bump, cell, put, reg, tally
from foliolab.framework.replay.folios import any_mapped, map_new, page_at
from foliolab.framework.replay.recorded_frames import BY_FAULT, FRAME_MASK, recall_pfn, remember_pfn
from foliolab.framework.replay.spaces import mm_of

WAS_READ = 1 << 7
"""Beside a number of predecessors: the MMs that the kernel remembered of the folio were read."""


def _known_folio(vm: Memory, base: int, pfn: int, order: int) -> int:
    """The head frame of the folio of that order that the snapshot has shown at `pfn` before; -1 if it is new.

    Valid within the snapshot only: later, its first owner may write to it, or another folio may use the frame.
    """
    known = recall_pfn(vm, base, pfn)
    if known == 0 or known & BY_FAULT or reg(vm, base, cells.SNAPSHOT) != cells.WITHIN:
        return -1
    frame = known - 1
    page = pfn_to_page(vm, frame)
    if load(page.compound_head) & 1 or atomic_read(page._refcount) < 1:
        return -1
    folio = pfn_folio(vm, frame)
    if not folio_test_anon(folio) or folio_nr_pages(folio) != 1 << order:
        return -1
    return frame


def _cached_folio(vm: Memory, base: int, pfn: int, order: int) -> int:
    """The head frame of the page-cache folio at frame `pfn` of the trace, a new one if needed; -1 without memory."""
    frame = (recall_pfn(vm, base, pfn) & FRAME_MASK) - 1
    if frame >= 0 and load(pfn_to_page(vm, frame).compound_head) & 1 == 0:
        folio = pfn_folio(vm, frame)
        cached = test_bit(PG_pagecache, pfn_to_page(vm, frame).flags)
        if cached and folio_nr_pages(folio) == 1 << order:
            return frame
    frame = fault.file_folio(vm, zone_at(vm, reg(vm, base, cells.ZONE)), order, 0)
    if frame < 0:
        put(vm, base + 8 * cells.STATUS, cells.NO_FRAMES)
    else:
        remember_pfn(vm, base, pfn, frame, 0)
    return frame


def map_cached(vm: Memory, base: int, slot: int, page: int, nr: int, order: int, pfn: int) -> None:
    """Map nr pages of page-cache folios by PTEs; nothing is mapped there."""
    size = 1 << order
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    who = mm_of(vm, base, slot)
    i = 0
    while i < nr:
        vpn = page_at(vm, base, slot, page + i, 1)
        if vpn < 0:
            return
        index = (pfn + i) & (size - 1)
        part = min(nr - i, size - index, PTRS_PER_PTE - vpn % PTRS_PER_PTE)
        head = _cached_folio(vm, base, pfn + i - index, order)
        if head < 0:
            return
        fault.file_map(vm, c, who, vpn, head + index, part, PTE_PROT)
        owners.count_pages(vm, base, head + index, part, 1, cells.PAGES_MAPPED)
        if order:
            if owners.large_head(vm, base, head) < 0:
                owners.opened(vm, base, head, order)
            owners.gained(vm, base, slot, head, part)
            owners.touched(vm, base, head)
        i += part


def _map_more(vm: Memory, base: int, slot: int, vpn: int, head: int, index: int, nr: int) -> None:
    """Map nr pages of a folio that is mapped already, by another MM or elsewhere."""
    who = mm_of(vm, base, slot)
    folio = pfn_folio(vm, head)
    folio_ref_add(folio, nr)
    for i in range(nr):
        page = pfn_to_page(vm, head + index + i)
        if PageAnonExclusive(page):
            ClearPageAnonExclusive(page)
    first = pfn_to_page(vm, head + index)
    folio_add_anon_rmap_ptes(vm, cpu_at(vm, reg(vm, base, cells.CPU)), folio, first, nr, who, False, vpn)
    store(who.rss_anon, load(who.rss_anon) + nr)
    for i in range(nr):
        WRITE_ONCE(pte_ref(vm, who, vpn + i), (head + index + i) << PFN_SHIFT | PTE_ANON & ~PTE_WRITE)
    owners.count_pages(vm, base, head + index, nr, 1, cells.PAGES_MAPPED)
    if folio_nr_pages(folio) > 1:
        owners.gained(vm, base, slot, head, nr)
        if reg(vm, base, cells.HELD) != head + predecessors.HOLDS:  # they are asked about when these have left
            owners.touched(vm, base, head)


def _map_first(vm: Memory, base: int, slot: int, vpn: int, order: int, index: int, nr: int) -> int:
    """Allocate a folio and map its pages index…index+nr-1 at `vpn`; its head frame, -1 without memory.

    A folio that is mapped in part is mapped whole in window 0 first, which the trace does not use; the wanted pages
    are moved, and the others unmapped.
    """
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    who = mm_of(vm, base, slot)
    size = 1 << order
    whole = nr == size and vpn % size == 0
    at = 0
    if whole:
        at = vpn
    head = map_new(vm, base, slot, at, order)
    if head < 0:
        return -1
    if not whole:
        if order == PMD_ORDER and reg(vm, base, cells.PMDS):
            huge.split_huge_pmd(vm, c, z, who, 0)
        mm.move_ptes(vm, z, who, index, vpn, nr)
        zap.zap_range(vm, c, z, who, 0, size, 1)
        owners.count_pages(vm, base, head, index, -1, cells.PAGES_UNMAPPED)
        owners.count_pages(vm, base, head + index + nr, size - index - nr, -1, cells.PAGES_UNMAPPED)
        if order:
            owners.lost(vm, base, slot, head, size - nr)
            owners.touched(vm, base, head)
    # a snapshot does not record what is writable; read-only is safe: a write fault that the trace lacks never comes
    if READ_ONCE(pmd_ref(vm, who, vpn)):
        WRITE_ONCE(pmd_ref(vm, who, vpn), READ_ONCE(pmd_ref(vm, who, vpn)) & ~PTE_WRITE)
    else:
        for i in range(nr):
            WRITE_ONCE(pte_ref(vm, who, vpn + i), READ_ONCE(pte_ref(vm, who, vpn + i)) & ~PTE_WRITE)
    return head


def present(
    vm: Memory, contents: Memory, base: int, slot: int, page: int, nr: int, order: int, pfn: int, first: int
) -> None:
    """Map pages that were mapped when the trace began; MMs with the same recorded frames share folios.

    Args:
        first: how many predecessors mapped a large folio before (`predecessors`); with WAS_READ if its slots were read.
    """
    was_read = first & WAS_READ
    nr_first = first & (WAS_READ - 1)
    size = 1 << order
    who = mm_of(vm, base, slot)
    i = 0
    while i < nr:
        vpn = page_at(vm, base, slot, page + i, 1)
        if vpn < 0:
            return
        index = (pfn + i) & (size - 1)
        part = min(nr - i, size - index, PTRS_PER_PTE - vpn % PTRS_PER_PTE)
        if not any_mapped(vm, who, vpn, part):
            head = _known_folio(vm, base, pfn + i - index, order)
            if head >= 0:
                _map_more(vm, base, slot, vpn, head, index, part)
            else:
                if order and nr_first and part < PTRS_PER_PTE:
                    head = predecessors.map_first(vm, contents, base, order, nr_first)
                    if head >= 0:
                        _map_more(vm, base, slot, vpn, head, index, part)
                else:
                    head = _map_first(vm, base, slot, vpn, order, index, part)
                if head < 0:
                    return
                remember_pfn(vm, base, pfn + i - index, head, 0)
            if order:
                owners.older(vm, base, head, was_read)
            bump(vm, reg(vm, base, cells.AT_TALLY) + 8 * cells.PRESENT_PAGES, part)
        i += part


def hint(vm: Memory, base: int, pfn: int) -> None:
    """Mark the large folio at a recorded frame: the kernel itself changed it."""
    frame = (recall_pfn(vm, base, pfn) & FRAME_MASK) - 1
    if frame >= 0 and cell(vm, owners.folio_at(vm, base, frame)) >> owners.ORDER_SHIFT:
        at = owners.folio_at(vm, base, frame)
        put(vm, at, cell(vm, at) | owners.IS_HINTED)
        tally(vm, base, cells.HINTED)
