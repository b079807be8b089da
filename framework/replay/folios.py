"""What events do to folios: allocate, write, unmap, copy at fork, move; each with the account of the owners."""

from __future__ import annotations

from typing import Any

from foliolab.framework.engine import entrypoints, fault, huge, mm, zap
from foliolab.framework.engine.folio import (
    ClearPageAnonExclusive,
    PageAnonExclusive,
    folio_nr_pages,
    folio_ref_add,
    folio_test_anon,
)
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PMD_ORDER,
    PTE_ANON,
    PTE_PROT,
    PTE_WRITE,
    PTRS_PER_PTE,
    pmd_ref,
    pte_ref,
)
from foliolab.framework.engine.rmap import folio_add_anon_rmap_ptes
from foliolab.framework.engine.structs import PG_pagecache
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
from foliolab.framework.replay.cells import (
    AT_LIST,
    AT_MATRIX,
    AT_PFN,
    AT_TALLY,
    CPU,
    DISTURBED,
    HINTED,
    KEEP_PFNS,
    KERNEL,
    LARGE,
    MM_STRIDE,
    MMS,
    NO_FRAMES,
    PAGES_MAPPED,
    PAGES_UNMAPPED,
    PFN_MASK,
    PMDS,
    POLICY,
    PRESENT_PAGES,
    SMALL,
    SNAPSHOT,
    SOLE_COPIES,
    STATUS,
    UNKNOWN,
    WITHIN,
    WRONG_REUSES,
    ZONE,
    bump,
    cell,
    put,
    reg,
    tally,
)
from foliolab.framework.replay.owners import (
    GAINED,
    IS_HINTED,
    IS_UNSURE,
    LISTED,
    LOST,
    ORDER_SHIFT,
    count_at,
    count_pages,
    count_window,
    doubt,
    folio_at,
    gained,
    large_head,
    lost,
    opened,
    touch_listed,
    touched,
)
from foliolab.framework.replay.spaces import (
    candidates,
    family_at,
    family_of,
    mm_of,
    nth_window,
    used_at,
    virtual_of,
    window_of,
)

PFN_BITS = 39
FRAME_BITS = 24
FRAME_MASK = (1 << FRAME_BITS - 1) - 1
BY_FAULT = 1 << FRAME_BITS - 1
"""In the table of recorded frames: a fault made the folio, so that its owner may write to it."""
NR_KERNEL = len(KERNEL)
NR_POLICY = len(POLICY)


def page_at(vm: Memory, base: int, slot: int, page: int, make: int) -> int:
    """Where an MM has a page of the trace: a page of its address space on the machine.

    Args:
        make: whether its window may be new; it then counts as used.

    Returns:
        the page; -1 if nothing is known there, or no window is left (STATUS says so).
    """
    dense = window_of(vm, base, family_of(vm, base, slot), page >> PMD_ORDER, make)
    if dense <= 0:
        return -1
    if make:
        put(vm, used_at(vm, base, slot, dense), 1)
    return dense << PMD_ORDER | page % PTRS_PER_PTE


def any_mapped(vm: Memory, who: Any, start: int, nr: int) -> bool:
    """Whether any of nr pages of one window is mapped."""
    if READ_ONCE(pmd_ref(vm, who, start)):
        return True
    for vpn in range(start, start + nr):
        if READ_ONCE(pte_ref(vm, who, vpn)):
            return True
    return False


def drop(vm: Memory, base: int, slot: int, first: int, end: int) -> None:
    """Unmap pages first…end-1 of the trace's addresses, as far as the MM maps them."""
    c = cpu_at(vm, reg(vm, base, CPU))
    z = zone_at(vm, reg(vm, base, ZONE))
    who = mm_of(vm, base, slot)
    family = family_of(vm, base, slot)
    low = first >> PMD_ORDER
    high = (end - 1) >> PMD_ORDER
    nr = candidates(vm, base, family, low, high)
    for i in range(nr):
        dense = nth_window(vm, base, family, low, high, nr, i)
        if dense == 0 or cell(vm, used_at(vm, base, slot, dense)) == 0:
            continue
        window = virtual_of(vm, base, family, dense) << PMD_ORDER
        start = (dense << PMD_ORDER) + max(first - window, 0)
        stop = (dense << PMD_ORDER) + min(end - window, PTRS_PER_PTE)
        huge.split_edges(vm, c, z, who, start, stop)
        listed = count_window(vm, base, slot, who, start, stop, LOST)
        zap.zap_range(vm, c, z, who, start, stop, 1)
        touch_listed(vm, base, listed)
        if stop - start == PTRS_PER_PTE:
            put(vm, used_at(vm, base, slot, dense), 0)


def fork(vm: Memory, contents: Memory, base: int, parent: int, child: int, unsure: int) -> None:
    """Copy the parent's page tables to a child that has none; `unsure`: during another MM's teardown."""
    stride = reg(vm, base, MM_STRIDE)
    mms = reg(vm, base, MMS)
    to = mm_of(vm, base, child)
    for dense in range(1, cell(vm, family_at(vm, base, family_of(vm, base, parent)) + 8) + 1):
        if cell(vm, used_at(vm, base, parent, dense)) == 0:
            continue
        start = dense << PMD_ORDER
        entrypoints.fork_range(
            vm,
            contents,
            reg(vm, base, CPU),
            reg(vm, base, ZONE),
            mms + parent * stride,
            mms + child * stride,
            start,
            PTRS_PER_PTE,
        )
        put(vm, used_at(vm, base, child, dense), 1)
        listed = count_window(vm, base, child, to, start, start + PTRS_PER_PTE, GAINED)
        touch_listed(vm, base, listed)
        if unsure:
            for i in range(listed):
                doubt(vm, base, cell(vm, reg(vm, base, AT_LIST) + 8 * i))


def place(vm: Memory, base: int, slot: int, vpn: int, order: int) -> int:
    """Map a new folio of that order at a page that is aligned to it; its head frame, -1 without memory."""
    c = cpu_at(vm, reg(vm, base, CPU))
    z = zone_at(vm, reg(vm, base, ZONE))
    who = mm_of(vm, base, slot)
    done = False
    if order == PMD_ORDER and reg(vm, base, PMDS):
        done = huge.anon_huge_fault(vm, c, z, who, vpn, 0)
    else:
        done = fault.anon_fault(vm, c, z, who, vpn, order, 0)
    if not done:
        put(vm, base + 8 * STATUS, NO_FRAMES)
        return -1
    head = fault.frame_of(vm, who, vpn)
    count_pages(vm, base, head, 1 << order, 1, PAGES_MAPPED)
    if order:
        opened(vm, base, head, order)
        gained(vm, base, slot, head, 1 << order)
        touched(vm, base, head)
    return head


def remember_pfn(vm: Memory, base: int, pfn: int, frame: int, made: int) -> None:
    """The folio that was recorded at frame `pfn` has its head at `frame` of the machine; `made`: BY_FAULT or 0."""
    if 0 < pfn < 1 << PFN_BITS:
        at = reg(vm, base, AT_PFN) + 8 * (pfn & reg(vm, base, PFN_MASK))
        put(vm, at, pfn << FRAME_BITS | made | (frame + 1))


def recall_pfn(vm: Memory, base: int, pfn: int) -> int:
    """The machine's frame for a recorded one, plus 1, with BY_FAULT; 0 if it is not known."""
    if 0 < pfn < 1 << PFN_BITS:
        entry = cell(vm, reg(vm, base, AT_PFN) + 8 * (pfn & reg(vm, base, PFN_MASK)))
        if entry >> FRAME_BITS == pfn:
            return entry & (FRAME_MASK | BY_FAULT)
    return 0


def new_folio(vm: Memory, base: int, slot: int, page: int, order: int, pfn: int) -> None:
    """A fault allocated a folio; its range is unmapped."""
    vpn = page_at(vm, base, slot, page, 1)
    if vpn < 0:
        return
    head = place(vm, base, slot, vpn, order)
    if order and head >= 0 and reg(vm, base, KEEP_PFNS):
        remember_pfn(vm, base, pfn, head, BY_FAULT)


def _history(vm: Memory, base: int, head: int) -> tuple[int, int]:
    """(class, whether uncertain) of a write fault on a large folio: what happened to it before counts."""
    state = cell(vm, folio_at(vm, base, head))
    kind = LARGE
    if state & IS_HINTED:
        kind = DISTURBED
    uncertain = 0
    if state & IS_UNSURE:
        uncertain = 1
    return kind, uncertain


def _decided(vm: Memory, base: int, slot: int, head: int, outcome: int, sole: bool) -> None:
    """A write fault on a large folio was decided; `sole`: nobody else maps it, and more than this page of it."""
    if outcome == fault.COPIED:
        lost(vm, base, slot, head, 1)
        if sole:
            tally(vm, base, SOLE_COPIES)
    elif outcome == fault.REUSED and cell(vm, folio_at(vm, base, head) + 8) > 1:
        tally(vm, base, WRONG_REUSES)
    touched(vm, base, head)


def write(vm: Memory, contents: Memory, base: int, slot: int, page: int, kernel: int, uncertain: int) -> None:
    """A write-protect fault; the policy's outcome is counted beside the kernel's."""
    c = cpu_at(vm, reg(vm, base, CPU))
    z = zone_at(vm, reg(vm, base, ZONE))
    who = mm_of(vm, base, slot)
    # what the kernel copied is known from now on
    vpn = page_at(vm, base, slot, page, int(kernel == fault.COPIED))
    if vpn < 0 and kernel == fault.COPIED:
        return
    kind = UNKNOWN
    outcome = fault.NOT_MAPPED
    frame = -1
    if vpn >= 0:
        frame = fault.frame_of(vm, who, vpn)
    if frame >= 0:
        head = large_head(vm, base, frame)
        large = head >= 0
        kind = SMALL
        sole = False
        if large:
            if uncertain:
                doubt(vm, base, head)
            kind, uncertain = _history(vm, base, head)
            # one mapping left is copied by every scheme, to give the folio back
            alone = cell(vm, folio_at(vm, base, head) + 8) == 1
            sole = alone and folio_test_anon(pfn_folio(vm, head)) and cell(vm, count_at(vm, base, slot, head)) > 1
        outcome = fault.write_page(vm, contents, c, z, who, vpn, 1, 1)
        if outcome == fault.COPIED:
            count_pages(vm, base, frame, 1, -1, PAGES_UNMAPPED)
            count_pages(vm, base, fault.frame_of(vm, who, vpn), 1, 1, PAGES_MAPPED)
        if large and outcome != fault.UNCHANGED:
            _decided(vm, base, slot, head, outcome, sole)
    elif kernel == fault.COPIED:
        outcome = fault.touch_new(vm, contents, c, z, who, vpn)
        if outcome == fault.NEW_PAGE:
            count_pages(vm, base, fault.frame_of(vm, who, vpn), 1, 1, PAGES_MAPPED)
    if outcome == fault.NO_MEMORY:
        put(vm, base + 8 * STATUS, NO_FRAMES)
        return
    at = ((kind * NR_KERNEL + kernel) * NR_POLICY + min(outcome, NR_POLICY - 1)) * 2 + uncertain
    bump(vm, reg(vm, base, AT_MATRIX) + 8 * at, 1)


def split(vm: Memory, base: int, slot: int, first: int, end: int) -> None:
    """Map by PTEs what PMDs map in pages first…end-1."""
    c = cpu_at(vm, reg(vm, base, CPU))
    z = zone_at(vm, reg(vm, base, ZONE))
    who = mm_of(vm, base, slot)
    family = family_of(vm, base, slot)
    low = first >> PMD_ORDER
    high = (end - 1) >> PMD_ORDER
    nr = candidates(vm, base, family, low, high)
    for i in range(nr):
        dense = nth_window(vm, base, family, low, high, nr, i)
        pmd = READ_ONCE(pmd_ref(vm, who, dense << PMD_ORDER))
        if dense and pmd:
            huge.split_huge_pmd(vm, c, z, who, dense << PMD_ORDER)
            touched(vm, base, pmd >> PFN_SHIFT)


def move(vm: Memory, base: int, slot: int, first: int, end: int, to: int) -> None:
    """mremap pages first…end-1 to `to`, where nothing is mapped."""
    family = family_of(vm, base, slot)
    low = first >> PMD_ORDER
    high = (end - 1) >> PMD_ORDER
    # windows that the destination adds to the family come behind these, and are none of the source's
    windows = candidates(vm, base, family, low, high)
    for i in range(windows):
        dense = nth_window(vm, base, family, low, high, windows, i)
        if dense == 0 or cell(vm, used_at(vm, base, slot, dense)) == 0:
            continue
        window = virtual_of(vm, base, family, dense) << PMD_ORDER
        page = max(first, window)
        stop = min(end, window + PTRS_PER_PTE)
        while page < stop:
            there = page - first + to
            nr = min(stop - page, PTRS_PER_PTE - there % PTRS_PER_PTE)
            vpn = page_at(vm, base, slot, there, 1)
            if vpn < 0:
                return
            source = dense << PMD_ORDER | page % PTRS_PER_PTE
            who = reg(vm, base, MMS) + slot * reg(vm, base, MM_STRIDE)
            entrypoints.move_range(vm, reg(vm, base, CPU), reg(vm, base, ZONE), who, source, vpn, nr)
            # no mapping more or less, but a policy may tell places apart
            touch_listed(vm, base, count_window(vm, base, slot, mm_of(vm, base, slot), vpn, vpn + nr, LISTED))
            page += nr


def _known_folio(vm: Memory, base: int, pfn: int, order: int) -> int:
    """The head frame of the folio of that order that the snapshot showed at `pfn`; -1 if it is new.

    Only while nothing else happened: later, its first owner may write to it, or the frame is another folio's.
    """
    known = recall_pfn(vm, base, pfn)
    if known == 0 or known & BY_FAULT or reg(vm, base, SNAPSHOT) != WITHIN:
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
    """The head frame of the page-cache folio that a trace has at `pfn`, made if it is new; -1 without memory."""
    frame = (recall_pfn(vm, base, pfn) & FRAME_MASK) - 1
    if frame >= 0 and load(pfn_to_page(vm, frame).compound_head) & 1 == 0:
        folio = pfn_folio(vm, frame)
        cached = test_bit(PG_pagecache, pfn_to_page(vm, frame).flags)
        if cached and folio_nr_pages(folio) == 1 << order:
            return frame
    frame = fault.file_folio(vm, zone_at(vm, reg(vm, base, ZONE)), order, 0)
    if frame < 0:
        put(vm, base + 8 * STATUS, NO_FRAMES)
    else:
        remember_pfn(vm, base, pfn, frame, 0)
    return frame


def map_cached(vm: Memory, base: int, slot: int, page: int, nr: int, order: int, pfn: int) -> None:
    """Map nr pages of page-cache folios where nothing is mapped, by PTEs."""
    size = 1 << order
    c = cpu_at(vm, reg(vm, base, CPU))
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
        count_pages(vm, base, head + index, part, 1, PAGES_MAPPED)
        if order:
            if large_head(vm, base, head) < 0:
                opened(vm, base, head, order)
            gained(vm, base, slot, head, part)
            touched(vm, base, head)
        i += part


def _map_more(vm: Memory, base: int, slot: int, vpn: int, head: int, index: int, nr: int) -> None:
    """Map nr pages of a folio that another MM maps (or this one elsewhere), in whole or in part."""
    who = mm_of(vm, base, slot)
    folio = pfn_folio(vm, head)
    folio_ref_add(folio, nr)
    for i in range(nr):
        page = pfn_to_page(vm, head + index + i)
        if PageAnonExclusive(page):
            ClearPageAnonExclusive(page)
    first = pfn_to_page(vm, head + index)
    folio_add_anon_rmap_ptes(vm, cpu_at(vm, reg(vm, base, CPU)), folio, first, nr, who, False, vpn)
    store(who.rss_anon, load(who.rss_anon) + nr)
    for i in range(nr):
        WRITE_ONCE(pte_ref(vm, who, vpn + i), (head + index + i) << PFN_SHIFT | PTE_ANON & ~PTE_WRITE)
    count_pages(vm, base, head + index, nr, 1, PAGES_MAPPED)
    if folio_nr_pages(folio) > 1:
        gained(vm, base, slot, head, nr)
        touched(vm, base, head)


def _map_first(vm: Memory, base: int, slot: int, vpn: int, order: int, index: int, nr: int) -> int:
    """Make a folio of which pages index…index+nr-1 are mapped at `vpn`; its head frame, -1 without memory."""
    c = cpu_at(vm, reg(vm, base, CPU))
    z = zone_at(vm, reg(vm, base, ZONE))
    who = mm_of(vm, base, slot)
    size = 1 << order
    whole = nr == size and vpn % size == 0
    at = 0
    if whole:
        at = vpn
    head = place(vm, base, slot, at, order)
    if head < 0:
        return -1
    if not whole:
        if order == PMD_ORDER and reg(vm, base, PMDS):
            huge.split_huge_pmd(vm, c, z, who, 0)
        mm.move_ptes(vm, z, who, index, vpn, nr)
        zap.zap_range(vm, c, z, who, 0, size, 1)
        count_pages(vm, base, head, index, -1, PAGES_UNMAPPED)
        count_pages(vm, base, head + index + nr, size - index - nr, -1, PAGES_UNMAPPED)
        if order:
            lost(vm, base, slot, head, size - nr)
            touched(vm, base, head)
    # whether it was writable is not recorded; a fault that was not recorded cannot have been needed
    if READ_ONCE(pmd_ref(vm, who, vpn)):
        WRITE_ONCE(pmd_ref(vm, who, vpn), READ_ONCE(pmd_ref(vm, who, vpn)) & ~PTE_WRITE)
    else:
        for i in range(nr):
            WRITE_ONCE(pte_ref(vm, who, vpn + i), READ_ONCE(pte_ref(vm, who, vpn + i)) & ~PTE_WRITE)
    return head


def present(vm: Memory, base: int, slot: int, page: int, nr: int, order: int, pfn: int) -> None:
    """Pages that were mapped when the trace began; MMs with the same frames share their folios."""
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
                head = _map_first(vm, base, slot, vpn, order, index, part)
                if head < 0:
                    return
                remember_pfn(vm, base, pfn + i - index, head, 0)
            bump(vm, reg(vm, base, AT_TALLY) + 8 * PRESENT_PAGES, part)
        i += part


def hint(vm: Memory, base: int, pfn: int) -> None:
    """The kernel itself changed the large folio at a recorded frame."""
    frame = (recall_pfn(vm, base, pfn) & FRAME_MASK) - 1
    if frame >= 0 and cell(vm, folio_at(vm, base, frame)) >> ORDER_SHIFT:
        at = folio_at(vm, base, frame)
        put(vm, at, cell(vm, at) | IS_HINTED)
        tally(vm, base, HINTED)
