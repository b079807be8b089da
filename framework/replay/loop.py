"""The loop over a chunk of events: one function, native or interpreted, that runs a trace on a machine."""

from __future__ import annotations

from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT
from foliolab.framework.machine.calltree import noinline
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import load, pfn_to_page, prefetch, pte_at, zone_at
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import bump, cell, put, reg, tally
from foliolab.framework.replay.folios import any_mapped, drop, fork, move, new_folio, page_at, split, write
from foliolab.framework.replay.owners import folio_at, large_head
from foliolab.framework.replay.predecessors import leave
from foliolab.framework.replay.snapshot import hint, map_cached, present
from foliolab.framework.replay.spaces import (
    DENSE_MASK,
    LAST_PAGE,
    bury,
    create,
    destroy,
    entry_of,
    family_of,
    hash_table,
    is_dead,
    mm_of,
    share,
    slot_at,
    slot_of,
    vpn_of,
)
from foliolab.framework.trace import events as ev

MM_SHIFT = 32
PREDECESSORS_SHIFT = 24
CLUSTER_SHIFT = 32
NR_MASK = (1 << 32) - 1


def _creates(kind: int) -> bool:
    """Whether an event of this kind shows that its MM lives, even if it was unknown before."""
    return kind in (ev.PRESENT, ev.FORK, ev.SPAWN, ev.NEW, ev.WRITE, ev.MAP)


def _has_pages(kind: int) -> bool:
    return kind in (ev.PRESENT, ev.NEW, ev.WRITE, ev.UNMAP, ev.MOVE, ev.SPLIT, ev.MAP)


def _is_far(page: int, nr: int) -> bool:
    """Whether pages cannot be user addresses."""
    return page < 0 or page >= LAST_PAGE or page + nr > LAST_PAGE


def _find_mm(vm: Memory, base: int, kind: int, mm: int, cluster: int) -> int:
    """The slot of an event's MM; -1 if the MM is unknown or dead, or no slot is left (see STATUS)."""
    slot = slot_of(vm, base, mm)
    if slot >= 0:
        return slot
    if is_dead(vm, base, mm):
        if kind != ev.GONE:
            tally(vm, base, cells.DEAD_MM)
        return -1
    if mm <= 0:
        tally(vm, base, cells.NO_MM)
        return -1
    if _creates(kind):
        slot = create(vm, base, mm, -1, cluster)
    return slot


def _skipped(vm: Memory, base: int, kind: int, page: int, nr: int, order: int, flags: int) -> bool:
    """Whether an event is about something that the machine does not model; such events are counted."""
    if _has_pages(kind) and _is_far(page, nr):
        tally(vm, base, cells.FAR_PAGE)
        return True
    if kind in (ev.NEW, ev.PRESENT, ev.MAP):
        if flags & ev.FILE and kind != ev.MAP:
            tally(vm, base, cells.OF_FILE)
            return True
        if order == 1 or order > PMD_ORDER:
            tally(vm, base, cells.NO_ORDER)
            return True
    return False


def _end_process(vm: Memory, base: int, slot: int, mm: int) -> bool:
    """End a process's use of its MM; whether it was the last process."""
    bury(vm, base, mm)
    at = slot_at(vm, base, slot)
    bump(vm, at, -1)
    return cell(vm, at) == 0


def _stale(vm: Memory, base: int, slot: int, vpn: int, order: int) -> bool:
    """Whether anything is mapped where the kernel faulted in a folio: an unmap was not recorded."""
    return vpn >= 0 and any_mapped(vm, mm_of(vm, base, slot), vpn, 1 << order)


def _before(
    vm: Memory, base: int, kind: int, slot: int, mm: int, page: int, vpn: int, nr: int, order: int, to: int
) -> tuple[int, int]:
    """The pages that an event unmaps first, as (first page, page after the last); `vpn`: see `_of_mm`."""
    if kind in (ev.UNMAP, ev.MAP):
        return page, page + nr
    if kind in (ev.EXIT, ev.GONE, ev.EXEC):
        if _end_process(vm, base, slot, mm):
            return 0, LAST_PAGE
    elif kind == ev.MOVE:
        if to >= 0 and to + nr <= LAST_PAGE:
            return to, to + nr
    elif kind == ev.NEW and _stale(vm, base, slot, vpn, order):
        tally(vm, base, cells.STALE)
        return page, page + (1 << order)
    return 0, 0


def _relatives(vm: Memory, contents: Memory, base: int, kind: int, slot: int, child: int, unsure: int) -> None:
    """fork, spawn and exec: create the other MM."""
    if child <= 0 or slot_of(vm, base, child) >= 0:
        tally(vm, base, cells.NO_MM)
        return
    if kind == ev.SPAWN:
        share(vm, base, child, slot)
        return
    relative = -1
    if kind == ev.FORK:
        relative = slot
    made = create(vm, base, child, relative, 0)
    if made >= 0 and kind == ev.FORK:
        fork(vm, contents, base, slot, made, unsure)


def _after(
    vm: Memory, contents: Memory, base: int, slot: int, head: int, page: int, vpn: int, nr: int, other: int
) -> None:
    """Carry out an event, after the pages that it replaces are unmapped; `vpn`: see `_of_mm`."""
    kind = head & 0xFF
    order = head >> 16 & 0xFF
    if kind == ev.NEW:
        new_folio(vm, base, slot, page, vpn, order, other)
    elif kind == ev.PRESENT:
        present(vm, contents, base, slot, page, nr, order, other, head >> PREDECESSORS_SHIFT & 0xFF)
    elif kind == ev.MOVE:
        if other >= 0 and other + nr <= LAST_PAGE:
            move(vm, base, slot, page, page + nr, other)
    elif kind == ev.MAP:
        map_cached(vm, base, slot, page, nr, order, other)
    elif kind == ev.SPLIT:
        split(vm, base, slot, page, page + nr)


def _unknown(vm: Memory, contents: Memory, base: int, kind: int, mm: int, other: int) -> None:
    """An event of an MM that is unknown, or for which no slot is left."""
    if reg(vm, base, cells.STATUS) != cells.FINE:
        return
    if kind in (ev.EXIT, ev.EXEC):
        bury(vm, base, mm)
    if kind == ev.EXEC:
        _relatives(vm, contents, base, kind, -1, other, 0)


def _of_mm(vm: Memory, contents: Memory, base: int, head: int, page: int, nr: int, cluster: int, other: int) -> None:
    """Carry out an event of an MM."""
    kind = head & 0xFF
    order = head >> 16 & 0xFF
    mm = head >> MM_SHIFT
    slot = _find_mm(vm, base, kind, mm, cluster)
    if slot < 0:
        _unknown(vm, contents, base, kind, mm, other)
        return
    vpn = -1  # of a fault: the page in the machine's address space, if its window is known
    if kind == ev.NEW:
        vpn = page_at(vm, base, slot, page, 0)
    low, high = _before(vm, base, kind, slot, mm, page, vpn, nr, order, other)
    if high > low:
        drop(vm, base, slot, low, high)
    if kind in (ev.EXIT, ev.GONE, ev.EXEC):
        if high:
            destroy(vm, base, slot)
        slot = -1
    if kind in (ev.FORK, ev.SPAWN, ev.EXEC):
        _relatives(vm, contents, base, kind, slot, other, head >> 8 & ev.UNCERTAIN)
    elif slot >= 0:
        _after(vm, contents, base, slot, head, page, vpn, nr, other)


def _begin(vm: Memory, base: int, i: int, kind: int) -> None:
    """Make an event the present one, which may be of another kind than the one before it, and count it."""
    if kind == ev.PRESENT:
        if reg(vm, base, cells.SNAPSHOT) == cells.BEFORE:
            put(vm, base + 8 * cells.SNAPSHOT, cells.WITHIN)
        elif reg(vm, base, cells.SNAPSHOT) == cells.BEHIND:
            put(vm, base + 8 * cells.SNAPSHOT, cells.AGAIN)
    elif reg(vm, base, cells.SNAPSHOT) & 1 != 0:  # WITHIN or AGAIN
        put(vm, base + 8 * cells.SNAPSHOT, cells.BEHIND)
        leave(vm, base)  # at the time of the snapshot
    put(vm, base + 8 * cells.EVENT, kind)
    _next(vm, base, i, kind)


def _next(vm: Memory, base: int, i: int, kind: int) -> None:
    """Make an event of the kind of the one before it the present one, and count it."""
    put(vm, base + 8 * cells.NOW, cell(vm, reg(vm, base, cells.AT_TIME) + 8 * i))
    put(vm, base + 8 * cells.STEP, i)
    tally(vm, base, kind)


@noinline
def _event(vm: Memory, contents: Memory, base: int, i: int) -> None:
    """Carry out an event of the chunk that is not a write fault."""
    head = cell(vm, reg(vm, base, cells.AT_HEAD) + 8 * i)
    page = cell(vm, reg(vm, base, cells.AT_PAGE) + 8 * i)
    other = cell(vm, reg(vm, base, cells.AT_OTHER) + 8 * i)
    nr = cell(vm, reg(vm, base, cells.AT_NR) + 8 * i)
    cluster = nr >> CLUSTER_SHIFT
    nr &= NR_MASK
    kind = head & 0xFF
    order = head >> 16 & 0xFF
    if kind > ev.LAST_KIND:
        kind = 0
    _begin(vm, base, i, kind)
    if kind == ev.FREE_HINT:
        hint(vm, base, other)
    if kind in (0, ev.LOST, ev.FREE_HINT):
        return
    if kind == ev.NEW and order <= PMD_ORDER:
        page = page >> order << order
        nr = 1 << order
    if not _skipped(vm, base, kind, page, nr, order, head >> 8 & 0xFF):
        _of_mm(vm, contents, base, head, page, nr, cluster, other)


def _fetch(vm: Memory, base: int, pte: int) -> None:
    """Bring what a write fault will read into the CPU's caches; `pte`: the offset of the page's PTE."""
    value = cell(vm, pte)
    if value & PTE_PRESENT:
        frame = value >> PFN_SHIFT
        prefetch(pfn_to_page(vm, frame).flags)
        head = max(large_head(vm, base, frame), 0)
        prefetch(pte_at(vm, folio_at(vm, base, head)).pte)


def _look_up(vm: Memory, base: int, slot: int, i: int, end: int) -> int:
    """List the pages, in the machine's address space, of the write faults from event i on that are alike.

    Returns:
        the event after them.
    """
    heads = reg(vm, base, cells.AT_HEAD)
    pages = reg(vm, base, cells.AT_PAGE)
    nrs = reg(vm, base, cells.AT_NR)
    found = reg(vm, base, cells.AT_FOUND) - 8 * i
    table, mask = hash_table(vm, base, family_of(vm, base, slot))
    pgd = load(mm_of(vm, base, slot).pgd)
    head = cell(vm, heads + 8 * i)
    stop = min(end, i + cells.RUN)
    at = i
    while at < stop and cell(vm, heads + 8 * at) == head:
        page = cell(vm, pages + 8 * at)
        if _is_far(page, cell(vm, nrs + 8 * at) & NR_MASK):
            break
        vpn = vpn_of(cell(vm, entry_of(vm, table, mask, page >> PMD_ORDER)) & DENSE_MASK, page)
        put(vm, found + 8 * at, vpn)
        if vpn >= 0:
            _fetch(vm, base, pgd + 8 * vpn)
        at += 1
    return at


def _writes(vm: Memory, contents: Memory, base: int, i: int, end: int) -> int:
    """Carry out the write faults from event i on that are alike: of one MM, with one outcome.

    Their pages are looked up together, so that the CPU fetches what the later ones need during the earlier ones.

    Returns:
        the event after them, or after the first that could not be carried out (see STATUS).
    """
    head = cell(vm, reg(vm, base, cells.AT_HEAD) + 8 * i)
    nr = cell(vm, reg(vm, base, cells.AT_NR) + 8 * i)
    _begin(vm, base, i, ev.WRITE)
    if _is_far(cell(vm, reg(vm, base, cells.AT_PAGE) + 8 * i), nr & NR_MASK):
        tally(vm, base, cells.FAR_PAGE)
        return i + 1
    slot = _find_mm(vm, base, ev.WRITE, head >> MM_SHIFT, nr >> CLUSTER_SHIFT)
    if slot < 0:
        return i + 1
    flags = head >> 8 & 0xFF
    kernel = min(flags & ev.OUTCOME, ev.COPIED)
    uncertain = int(flags & ev.UNCERTAIN != 0)
    behind = _look_up(vm, base, slot, i, end)
    for at in range(i, behind):
        if at > i:
            _next(vm, base, at, ev.WRITE)
        page = cell(vm, reg(vm, base, cells.AT_PAGE) + 8 * at)
        vpn = cell(vm, reg(vm, base, cells.AT_FOUND) + 8 * (at - i))
        write(vm, contents, base, slot, page, vpn, kernel, uncertain)
        _note_peak(vm, base)
        if reg(vm, base, cells.STATUS) != cells.FINE:
            _forget(vm, base, behind - i)
            return at + 1
    _forget(vm, base, behind - i)
    return behind


def _forget(vm: Memory, base: int, nr: int) -> None:
    """Clear the list of pages, so that memory is the same however many events were carried out at a time."""
    for i in range(nr):
        put(vm, reg(vm, base, cells.AT_FOUND) + 8 * i, 0)


def _note_peak(vm: Memory, base: int) -> None:
    """Note how few frames are free, if there were never fewer."""
    left = load(zone_at(vm, reg(vm, base, cells.ZONE)).nr_free)
    peak = reg(vm, base, cells.AT_TALLY) + 8 * cells.FRAMES_PEAK
    if left < cell(vm, peak):
        put(vm, peak, left)


def replay_chunk(vm: Memory, contents: Memory, base: int, first: int, end: int) -> int:
    """Replay events first…end-1 of the chunk.

    Args:
        base: offset of the replay's cells.

    Returns:
        the first event that was not carried out completely, `end` if there is none; STATUS says why.
    """
    i = first
    while i < end:
        behind = i + 1
        if cell(vm, reg(vm, base, cells.AT_HEAD) + 8 * i) & 0xFF == ev.WRITE:
            behind = _writes(vm, contents, base, i, end)
        else:
            _event(vm, contents, base, i)
        _note_peak(vm, base)
        if reg(vm, base, cells.STATUS) != cells.FINE:
            return behind - 1
        i = behind
    return end
