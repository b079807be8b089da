"""Events on folios: allocate, write, unmap, fork and move, each with the account of the owners."""

from __future__ import annotations

from typing import Any

from foliolab.framework.engine import entrypoints, fault, huge, zap
from foliolab.framework.engine.folio import folio_test_anon
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTRS_PER_PTE, frame_of, pmd_ref, pte_ref
from foliolab.framework.machine.calltree import noinline
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, cpu_at, pfn_folio, zone_at
from foliolab.framework.replay import cells, owners, spaces
from foliolab.framework.replay.cells import bump, cell, put, reg, tally
from foliolab.framework.replay.recorded_frames import BY_FAULT, remember_pfn

NR_KERNEL = len(cells.KERNEL)
NR_POLICY = len(cells.POLICY)


def page_at(vm: Memory, base: int, slot: int, page: int, make: int) -> int:
    """The page of the machine's address space that stands for a page of the trace.

    Args:
        make: whether to number the page's window if it is new, and mark it as used.

    Returns:
        the page; -1 if its window is not known, or no window is left (see STATUS).
    """
    dense = spaces.window_of(vm, base, spaces.family_of(vm, base, slot), page >> PMD_ORDER, make)
    if make and dense > 0:
        put(vm, spaces.used_at(vm, base, slot, dense), 1)
    return spaces.vpn_of(dense, page)


def use_page(vm: Memory, base: int, slot: int, page: int, vpn: int) -> int:
    """Mark a page's window as used; number it if it is new.

    Args:
        vpn: what `page_at` found for the page.

    Returns:
        the page of the machine's address space; -1 if no window is left (see STATUS).
    """
    if vpn < 0:
        return page_at(vm, base, slot, page, 1)
    put(vm, spaces.used_at(vm, base, slot, vpn >> PMD_ORDER), 1)
    return vpn


def any_mapped(vm: Memory, who: Any, start: int, nr: int) -> bool:
    """Whether any of nr pages of one window is mapped."""
    if READ_ONCE(pmd_ref(vm, who, start)):
        return True
    for vpn in range(start, start + nr):
        if READ_ONCE(pte_ref(vm, who, vpn)):
            return True
    return False


@noinline
def drop(vm: Memory, base: int, slot: int, first: int, end: int) -> None:
    """Unmap pages first…end-1 of the trace's address space, as far as the MM maps them."""
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    who = spaces.mm_of(vm, base, slot)
    nr = spaces.nr_windows(vm, base, slot, first, end)
    for i in range(nr):
        dense = spaces.used_window(vm, base, slot, first, end, nr, i)
        if dense == 0:
            continue
        window = spaces.virtual_of(vm, base, spaces.family_of(vm, base, slot), dense) << PMD_ORDER
        start = (dense << PMD_ORDER) + max(first - window, 0)
        stop = (dense << PMD_ORDER) + min(end - window, PTRS_PER_PTE)
        huge.split_edges(vm, c, z, who, start, stop)
        listed = owners.count_window(vm, base, slot, who, start, stop, owners.LOST)
        zap.zap_range(vm, c, z, who, start, stop, 1)
        owners.touch_listed(vm, base, listed)
        if stop - start == PTRS_PER_PTE:
            put(vm, spaces.used_at(vm, base, slot, dense), 0)


@noinline
def fork(vm: Memory, contents: Memory, base: int, parent: int, child: int, unsure: int) -> None:
    """Copy the parent's page tables to a new child; `unsure`: while another MM of the family is torn down."""
    stride = reg(vm, base, cells.MM_STRIDE)
    mms = reg(vm, base, cells.MMS)
    old = spaces.mm_of(vm, base, parent)
    new = spaces.mm_of(vm, base, child)
    for dense in range(1, cell(vm, spaces.family_at(vm, base, spaces.family_of(vm, base, parent)) + 8) + 1):
        if cell(vm, spaces.used_at(vm, base, parent, dense)) == 0:
            continue
        start = dense << PMD_ORDER
        # the child gets the parent's PTEs, so that they can be counted first; a PMD of a file is not copied
        counted_first = READ_ONCE(pmd_ref(vm, old, start)) == 0
        listed = 0
        if counted_first:
            listed = owners.count_window(vm, base, child, old, start, start + PTRS_PER_PTE, owners.GAINED)
        entrypoints.fork_range(
            vm,
            contents,
            reg(vm, base, cells.CPU),
            reg(vm, base, cells.ZONE),
            mms + parent * stride,
            mms + child * stride,
            start,
            PTRS_PER_PTE,
        )
        put(vm, spaces.used_at(vm, base, child, dense), 1)
        if not counted_first:
            listed = owners.count_window(vm, base, child, new, start, start + PTRS_PER_PTE, owners.GAINED)
        owners.touch_listed(vm, base, listed)
        if unsure:
            for i in range(listed):
                owners.doubt(vm, base, cell(vm, reg(vm, base, cells.AT_LIST) + 8 * i))


def map_new(vm: Memory, base: int, slot: int, vpn: int, order: int) -> int:
    """Map a new folio of an order at an aligned page; its head frame, -1 without memory."""
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    who = spaces.mm_of(vm, base, slot)
    done = False
    if order == PMD_ORDER and reg(vm, base, cells.PMDS):
        done = huge.anon_huge_fault(vm, c, z, who, vpn, 0)
    else:
        done = fault.anon_fault(vm, c, z, who, vpn, order, 0)
    if not done:
        put(vm, base + 8 * cells.STATUS, cells.NO_FRAMES)
        return -1
    head = frame_of(vm, who, vpn)
    owners.count_pages(vm, base, head, 1 << order, 1, cells.PAGES_MAPPED)
    if order:
        owners.opened(vm, base, head, order)
        owners.gained(vm, base, slot, head, 1 << order)
        owners.touched(vm, base, head)
    return head


def new_folio(vm: Memory, base: int, slot: int, page: int, vpn: int, order: int, pfn: int) -> None:
    """A fault allocates a folio; nothing is mapped in its range. `vpn`: what `page_at` found for the page."""
    vpn = use_page(vm, base, slot, page, vpn)
    if vpn < 0:
        return
    head = map_new(vm, base, slot, vpn, order)
    if order and head >= 0 and reg(vm, base, cells.KEEP_PFNS):
        remember_pfn(vm, base, pfn, head, BY_FAULT)


def _history(vm: Memory, base: int, head: int) -> tuple[int, int]:
    """(class, whether uncertain) of a write fault on a large folio, from the folio's history."""
    state = cell(vm, owners.folio_at(vm, base, head))
    kind = cells.LARGE
    if state & owners.IS_HINTED:
        kind = cells.DISTURBED
    elif state & owners.IS_EARLIER:
        kind = cells.EARLIER
    elif state & owners.IS_READ:
        kind = cells.READ
    uncertain = 0
    if state & owners.IS_UNSURE:
        uncertain = 1
    return kind, uncertain


def _decided(vm: Memory, base: int, slot: int, head: int, outcome: int, sole: bool) -> None:
    """Account for a write fault on a large folio; `sole`: no other MM maps it, and this one maps more than one page."""
    if outcome == fault.COPIED:
        owners.lost(vm, base, slot, head, 1)
        if sole:
            tally(vm, base, cells.SOLE_COPIES)
    elif outcome == fault.REUSED and cell(vm, owners.folio_at(vm, base, head) + 8) > 1:
        tally(vm, base, cells.WRONG_REUSES)
    owners.touched(vm, base, head)


def write(vm: Memory, contents: Memory, base: int, slot: int, page: int, vpn: int, kernel: int, uncertain: int) -> None:
    """A write-protect fault; the policy's outcome is counted together with the kernel's.

    Args:
        vpn: what `page_at` found for the page.
        kernel: what the kernel did, an index of `cells.KERNEL`.
        uncertain: 1 if the order of events around it is not certain, else 0.
    """
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    who = spaces.mm_of(vm, base, slot)
    if kernel == fault.COPIED:  # the page is known from now on
        vpn = use_page(vm, base, slot, page, vpn)
        if vpn < 0:
            return
    kind = cells.UNKNOWN
    outcome = fault.NOT_MAPPED
    frame = -1
    if vpn >= 0:
        frame = frame_of(vm, who, vpn)
    if frame >= 0:
        head = owners.large_head(vm, base, frame)
        large = head >= 0
        kind = cells.SMALL
        sole = False
        if large:
            if uncertain:
                owners.doubt(vm, base, head)
            kind, uncertain = _history(vm, base, head)
            # the last mapped page is copied by every scheme, to free the large folio
            alone = cell(vm, owners.folio_at(vm, base, head) + 8) == 1
            sole = (
                alone and folio_test_anon(pfn_folio(vm, head)) and cell(vm, owners.count_at(vm, base, slot, head)) > 1
            )
        outcome = fault.write_page(vm, contents, c, z, who, vpn, 1, 1)
        if outcome == fault.COPIED and reg(vm, base, cells.AT_PAGES):
            owners.count_pages(vm, base, frame, 1, -1, cells.PAGES_UNMAPPED)
            owners.count_pages(vm, base, frame_of(vm, who, vpn), 1, 1, cells.PAGES_MAPPED)
        if large and outcome != fault.UNCHANGED:
            _decided(vm, base, slot, head, outcome, sole)
    elif kernel == fault.COPIED:
        outcome = fault.touch_new(vm, contents, c, z, who, vpn)
        if outcome == fault.NEW_PAGE:
            owners.count_pages(vm, base, frame_of(vm, who, vpn), 1, 1, cells.PAGES_MAPPED)
    if outcome == fault.NO_MEMORY:
        put(vm, base + 8 * cells.STATUS, cells.NO_FRAMES)
        return
    at = ((kind * NR_KERNEL + kernel) * NR_POLICY + min(outcome, NR_POLICY - 1)) * 2 + uncertain
    bump(vm, reg(vm, base, cells.AT_MATRIX) + 8 * at, 1)


def split(vm: Memory, base: int, slot: int, first: int, end: int) -> None:
    """Map by PTEs what PMDs map in pages first…end-1."""
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    who = spaces.mm_of(vm, base, slot)
    nr = spaces.nr_windows(vm, base, slot, first, end)
    for i in range(nr):
        dense = spaces.used_window(vm, base, slot, first, end, nr, i)
        pmd = READ_ONCE(pmd_ref(vm, who, dense << PMD_ORDER))
        if dense and pmd:
            huge.split_huge_pmd(vm, c, z, who, dense << PMD_ORDER)
            owners.touched(vm, base, pmd >> PFN_SHIFT)


def move(vm: Memory, base: int, slot: int, first: int, end: int, to: int) -> None:
    """Move pages first…end-1 to `to`, where nothing is mapped (mremap)."""
    # the destination may add windows to the family; they come after these, and are not windows of the source
    windows = spaces.nr_windows(vm, base, slot, first, end)
    for i in range(windows):
        dense = spaces.used_window(vm, base, slot, first, end, windows, i)
        if dense == 0:
            continue
        window = spaces.virtual_of(vm, base, spaces.family_of(vm, base, slot), dense) << PMD_ORDER
        page = max(first, window)
        stop = min(end, window + PTRS_PER_PTE)
        while page < stop:
            there = page - first + to
            nr = min(stop - page, PTRS_PER_PTE - there % PTRS_PER_PTE)
            vpn = page_at(vm, base, slot, there, 1)
            if vpn < 0:
                return
            source = dense << PMD_ORDER | page % PTRS_PER_PTE
            who = reg(vm, base, cells.MMS) + slot * reg(vm, base, cells.MM_STRIDE)
            entrypoints.move_range(vm, reg(vm, base, cells.CPU), reg(vm, base, cells.ZONE), who, source, vpn, nr)
            # the number of mappings stays the same, but a policy's answer may depend on the address
            listed = owners.count_window(vm, base, slot, spaces.mm_of(vm, base, slot), vpn, vpn + nr, owners.LISTED)
            owners.touch_listed(vm, base, listed)
            page += nr
