"""The exact owners of each large folio, kept up to date incrementally, and the policy's answers about it.

The mappings of each large folio by each MM are counted where a page table changes (a PMD counts as its pages), without
the policy; `engine.truth` derives the same counts from the page tables alone. After each change the policy is asked,
and the time that folios spend in each state is summed.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, next_ptes, pmd_ref
from foliolab.framework.engine.procfs import folio_maybe_mapped_shared
from foliolab.framework.machine.calltree import noinline
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, load, pfn_to_page, prefetch, pte_at
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import bump, cell, put, reg, tally
from foliolab.framework.replay.changes import note_change
from foliolab.framework.replay.episodes import episode

OWNERS_MASK = (1 << 20) - 1
IS_FALSE = 1 << 20
IS_UNSAFE = 1 << 21
IS_HINTED = 1 << 22
IS_UNSURE = 1 << 23
"""The order of events on the folio is not certain: it was forked or written to during another MM's teardown."""
IS_EARLIER = 1 << 24
"""It was mapped before the trace began, so that nobody knows which MM came first."""
IS_READ = 1 << 25
"""It was mapped before, and the MMs with a slot were read from the kernel's memory."""
ORDER_SHIFT = 26
LISTED, GAINED, LOST = range(3)
FOUR: Final = sum(1 << cells.COUNT_BITS * i for i in range(cells.COUNTS))
"""One mapping of each of the pages that are counted in one cell."""


def folio_at(vm: Memory, base: int, head: int) -> int:
    """The offset of the account of the large folio with that head frame."""
    return reg(vm, base, cells.AT_FOLIO) + 8 * cells.FOLIO_CELLS * (head >> 2)


def count_at(vm: Memory, base: int, slot: int, head: int) -> int:
    """The offset of the count of an MM's mappings of a large folio."""
    return reg(vm, base, cells.AT_COUNT) + 8 * (slot * reg(vm, base, cells.HEADS) + (head >> 2))


def large_head(vm: Memory, base: int, frame: int) -> int:
    """The head frame of the large folio that a frame belongs to; -1 if it belongs to a small folio.

    Large folios are aligned and have at least four pages, so that one cell serves four frames. No struct page is read.
    """
    return cell(vm, reg(vm, base, cells.AT_LARGE) + 8 * (frame >> 2)) - 1


def _mark(vm: Memory, base: int, head: int, order: int, value: int) -> None:
    """Set what `large_head` finds for the frames of a folio."""
    start = reg(vm, base, cells.AT_LARGE) + 8 * (head >> 2)
    for i in range(1 << (order - 2)):
        put(vm, start + 8 * i, value)


def order_of(vm: Memory, base: int, head: int) -> int:
    """The order of a large folio that is in use."""
    return cell(vm, folio_at(vm, base, head)) >> ORDER_SHIFT


def opened(vm: Memory, base: int, head: int, order: int) -> None:
    """Start the account of a large folio that was allocated."""
    at = folio_at(vm, base, head)
    put(vm, at, order << ORDER_SHIFT)
    put(vm, at + 8, 0)
    put(vm, at + 32, 0)
    _mark(vm, base, head, order, head + 1)


def gained(vm: Memory, base: int, slot: int, head: int, nr: int) -> None:
    """Count nr more pages of a large folio that an MM maps."""
    at = count_at(vm, base, slot, head)
    before = cell(vm, at)
    put(vm, at, before + nr)
    bump(vm, folio_at(vm, base, head) + 32, nr)
    if before == 0:
        bump(vm, folio_at(vm, base, head) + 8, 1)


def lost(vm: Memory, base: int, slot: int, head: int, nr: int) -> None:
    """Count nr fewer pages of a large folio that an MM maps."""
    at = count_at(vm, base, slot, head)
    left = cell(vm, at) - nr
    put(vm, at, left)
    bump(vm, folio_at(vm, base, head) + 32, -nr)
    if left == 0:
        bump(vm, folio_at(vm, base, head) + 8, -1)


def count_pages(vm: Memory, base: int, first: int, nr: int, by: int, kind: int) -> None:
    """Count mappings of frames first…first+nr-1, if the replay is watched.

    Args:
        by: 1 for one more mapping of each, -1 for one less, 0 for none.
        kind: the tally of page operations to add them to.
    """
    pages = reg(vm, base, cells.AT_PAGES)
    if pages == 0:
        return
    bump(vm, reg(vm, base, cells.AT_TALLY) + 8 * kind, nr)
    if by == 0:
        return
    frame = first
    end = first + nr
    while frame < end:
        at = pages + 8 * (frame // cells.COUNTS)
        if frame % cells.COUNTS == 0 and end - frame >= cells.COUNTS:
            bump(vm, at, by * FOUR)
            frame += cells.COUNTS
        else:
            bump(vm, at, by << cells.COUNT_BITS * (frame % cells.COUNTS))
            frame += 1


def _began(vm: Memory, base: int, kind: int) -> None:
    """List the present event as one that made an answer wrong; once for each event."""
    listed = reg(vm, base, cells.AT_WRONG)
    if listed == 0:
        return
    step = reg(vm, base, cells.STEP)
    nr = reg(vm, base, cells.WRONGS)
    if nr and cell(vm, listed + 8 * (nr - 1)) >> cells.WRONG_SHIFT == step:
        put(vm, listed + 8 * (nr - 1), cell(vm, listed + 8 * (nr - 1)) | kind)
        return
    put(vm, listed + 8 * nr, step << cells.WRONG_SHIFT | kind)
    put(vm, base + 8 * cells.WRONGS, nr + 1)


def _move(vm: Memory, base: int, bucket: int, folios: int, pages: int) -> None:
    """Add folios and pages to a bucket (or remove them); its contents until now are summed over time."""
    at = reg(vm, base, cells.AT_BUCKET) + 8 * cells.BUCKET_CELLS * bucket
    now = reg(vm, base, cells.NOW)
    passed = now - cell(vm, at + 16)
    if passed:
        bump(vm, at + 24, cell(vm, at) * passed)
        bump(vm, at + 32, cell(vm, at + 8) * passed)
        put(vm, at + 16, now)
    bump(vm, at, folios)
    bump(vm, at + 8, pages)


def _ended(vm: Memory, base: int, at: int, was: int, owners: int) -> None:
    """Account for the end of a wrong answer, and its reason."""
    how = cells.ANSWER
    unsafe = int(was == IS_UNSAFE)
    if owners == 0:
        how = cells.GONE
    elif (owners == 1) == (unsafe == 1):
        how = cells.OWNERS
    elif unsafe == 0 and cell(vm, at + 32) == 1:
        how = cells.ONE_PAGE
    episode(vm, base, unsafe, cell(vm, at + 16), cell(vm, at + 24), how)


def _wrongness(vm: Memory, base: int, at: int, state: int, owners: int, now_wrong: int) -> None:
    """Account for a wrong answer that begins, lasts or ends; `now_wrong`: IS_FALSE, IS_UNSAFE or 0."""
    was = state & (IS_FALSE | IS_UNSAFE)
    if was == now_wrong:
        if was:
            bump(vm, at + 24, 1)
        return
    pages = 1 << (state >> ORDER_SHIFT)
    tallies = reg(vm, base, cells.AT_TALLY)
    if was:
        bucket = cells.FALSE
        if was == IS_UNSAFE:
            bucket = cells.UNSAFE
        _move(vm, base, bucket, -1, -pages)
        _ended(vm, base, at, was, owners)
    put(vm, at + 16, reg(vm, base, cells.NOW))
    put(vm, at + 24, 1)
    if now_wrong == IS_FALSE:
        _began(vm, base, cells.WRONG_FALSE)
        _move(vm, base, cells.FALSE, 1, pages)
        folios = cell(vm, reg(vm, base, cells.AT_BUCKET) + 8 * cells.BUCKET_CELLS * cells.FALSE)
        if folios > cell(vm, tallies + 8 * cells.FALSE_PEAK):
            put(vm, tallies + 8 * cells.FALSE_PEAK, folios)
            put(vm, tallies + 8 * cells.FALSE_PEAK_AT, reg(vm, base, cells.NOW))
    if now_wrong == IS_UNSAFE:
        _began(vm, base, cells.WRONG_UNSAFE)
        _move(vm, base, cells.UNSAFE, 1, pages)
        if cell(vm, tallies + 8 * cells.UNSAFE_FIRST) == 0:
            put(vm, tallies + 8 * cells.UNSAFE_FIRST, reg(vm, base, cells.NOW) + 1)


def _operation(vm: Memory, base: int, owners: int, wrong: int) -> None:
    """Count an operation on a folio by the number of owners after it, and by whether the answer is wrong."""
    if owners == 1:
        tally(vm, base, cells.EXCLUSIVE_OPS)
    elif owners > 1:
        tally(vm, base, cells.SHARED_OPS)
        most = reg(vm, base, cells.AT_TALLY) + 8 * cells.OWNERS_PEAK
        put(vm, most, max(owners, cell(vm, most)))
    if wrong == IS_FALSE:
        tally(vm, base, cells.FALSE_OPS)
    elif wrong == IS_UNSAFE:
        tally(vm, base, cells.UNSAFE_OPS)


@noinline
def touched(vm: Memory, base: int, head: int) -> None:
    """Account for the owners of a large folio, and for the policy's answer, after an operation on it."""
    at = folio_at(vm, base, head)
    state = cell(vm, at)
    if state == 0:
        return  # a folio that was mapped at two addresses is listed twice; the first entry has freed it
    owners = cell(vm, at + 8)
    old = state & OWNERS_MASK
    pages = 1 << (state >> ORDER_SHIFT)
    if owners != old:
        if old:
            _move(vm, base, min(old, cells.MOST_OWNERS), -1, -pages)
        if owners:
            _move(vm, base, min(owners, cells.MOST_OWNERS), 1, pages)
    wrong = 0
    shared = False
    if owners:
        shared = folio_maybe_mapped_shared(vm, head)
        if shared and owners == 1:
            wrong = IS_FALSE
        if not shared and owners > 1:
            wrong = IS_UNSAFE
    _operation(vm, base, owners, wrong)
    _wrongness(vm, base, at, state, owners, wrong)
    if owners:
        put(vm, at, (state & ~(OWNERS_MASK | IS_FALSE | IS_UNSAFE)) | owners | wrong)
    else:
        put(vm, at, 0)
        _mark(vm, base, head, state >> ORDER_SHIFT, 0)
    if reg(vm, base, cells.AT_CHANGES):
        note_change(vm, base, head, state >> ORDER_SHIFT, owners, cell(vm, at + 32), int(shared))


def count_window(vm: Memory, base: int, slot: int, mm: Any, start: int, end: int, gain: int) -> int:
    """Count an MM's mappings of large folios in pages start…end-1 (of one window) as gained, or as lost.

    A PMD counts as its pages; one that the range covers in part must have been split.

    Args:
        gain: GAINED, LOST, or LISTED: list the folios, count nothing.

    Returns:
        the number of folios in the list for `touch_listed`.
    """
    pmd = READ_ONCE(pmd_ref(vm, mm, start))
    if pmd:
        _count_pages(vm, base, pmd >> PFN_SHIFT, end - start, gain)
        return _count(vm, base, slot, pmd >> PFN_SHIFT, end - start, gain, 0)
    pgd = load(mm.pgd)
    entries = _list_entries(vm, base, pgd, start, end, int(gain == LOST))
    listed = 0
    i = 0
    while i < entries:
        vpn = cell(vm, reg(vm, base, cells.AT_LIST) + 8 * i)
        value = READ_ONCE(pte_at(vm, pgd + 8 * vpn).pte)
        frame = value >> PFN_SHIFT
        head = large_head(vm, base, frame)
        nr = 1
        if head >= 0:
            limit = min(end - vpn, head + (1 << order_of(vm, base, head)) - frame)
            nr = next_ptes(vm, pgd, vpn, value, limit)
            listed = _count(vm, base, slot, head, nr, gain, listed)  # overwrites entries that were read
        _count_pages(vm, base, frame, nr, gain)
        i += nr
    return listed


def _list_entries(vm: Memory, base: int, pgd: int, start: int, end: int, lost: int) -> int:
    """List the pages start…end-1 that large folios are mapped at; all that are mapped, if single pages are counted.

    Small and large folios alternate as programs write, so that a branch for each would often be mispredicted: there is
    none. The struct pages are prefetched: fork and zap, which come next, would otherwise wait for one after the other.

    Args:
        lost: 1 if the pages will be unmapped. A small one may be freed then, which reads its neighbour, too.

    Returns:
        how many pages are in the list.
    """
    entries = reg(vm, base, cells.AT_LIST)
    large = reg(vm, base, cells.AT_LARGE)
    single = reg(vm, base, cells.AT_PAGES)
    nr = 0
    for vpn in range(start, end):
        value = READ_ONCE(pte_at(vm, pgd + 8 * vpn).pte)
        if value & PTE_PRESENT == 0:
            continue
        frame = value >> PFN_SHIFT
        prefetch(pfn_to_page(vm, frame).flags)
        prefetch(pfn_to_page(vm, frame ^ lost).flags)
        put(vm, entries + 8 * nr, vpn)  # the next one overwrites it, unless it counts
        nr += int(cell(vm, large + 8 * (frame >> 2)) | single != 0)
    return nr


def _count_pages(vm: Memory, base: int, first: int, nr: int, gain: int) -> None:
    if gain == GAINED:
        count_pages(vm, base, first, nr, 1, cells.PAGES_FORKED)
    elif gain == LOST:
        count_pages(vm, base, first, nr, -1, cells.PAGES_UNMAPPED)
    else:
        count_pages(vm, base, first, nr, 0, cells.PAGES_MOVED)


def _count(vm: Memory, base: int, slot: int, head: int, nr: int, gain: int, listed: int) -> int:
    if gain == GAINED:
        gained(vm, base, slot, head, nr)
    elif gain == LOST:
        lost(vm, base, slot, head, nr)
    put(vm, reg(vm, base, cells.AT_LIST) + 8 * listed, head)
    return listed + 1


def doubt(vm: Memory, base: int, head: int) -> None:
    """Mark a large folio: the order of the events on it, and so its further history, is not certain."""
    at = folio_at(vm, base, head)
    put(vm, at, cell(vm, at) | IS_UNSURE)


def older(vm: Memory, base: int, head: int, was_read: int) -> None:
    """Mark a large folio that was mapped before the trace began: who has a slot in it is not known, or was read."""
    at = folio_at(vm, base, head)
    put(vm, at, cell(vm, at) | (IS_READ if was_read else IS_EARLIER))


def touch_listed(vm: Memory, base: int, listed: int) -> None:
    """Call `touched` for each folio of the list."""
    for i in range(listed):
        touched(vm, base, cell(vm, reg(vm, base, cells.AT_LIST) + 8 * i))
