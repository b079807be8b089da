"""What a map shows: a byte a page of an MM's address space, painted from page tables and the exact account.

The byte is a set of bits; 0 is a page that maps nothing. The truth is the account's (`replay.owners`), which follows
the page tables; only FALSE_SHARED and UNSAFE hold what the policy says against it.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.engine.folio import folio_maybe_dma_pinned
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PMD_ORDER,
    PTE_FLAGS,
    PTE_PRESENT,
    PTRS_PER_PTE,
    pmd_ref,
)
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, load, pfn_folio
from foliolab.framework.replay.cells import AT_PAGES, COUNT_BITS, COUNTS, cell, reg
from foliolab.framework.replay.owners import (
    FOUR,
    IS_FALSE,
    IS_UNSAFE,
    OWNERS_MASK,
    folio_at,
    large_head,
    order_of,
)
from foliolab.framework.replay.spaces import family_of, mm_of, used_at, window_of

MAPPED: Final = 1
SHARED: Final = 2
"""More than one MM maps the page's folio."""
PAGE_SHARED: Final = 4
"""The page itself is mapped more than once."""
PARTIAL: Final = 8
"""The page's folio has pages that nothing maps."""
PINNED: Final = 16
SWAPPED: Final = 32
"""Nothing is mapped; the page's contents are out."""
FALSE_SHARED: Final = 64
"""One MM maps the folio, and the policy says that several may."""
UNSAFE: Final = 128
"""Several MMs map the folio, and the policy says that one does."""
BITS: Final = {
    MAPPED: "mapped", SHARED: "shared folio", PAGE_SHARED: "shared page", PARTIAL: "partially mapped folio",
    PINNED: "pinned", SWAPPED: "swapped out", FALSE_SHARED: "false shared", UNSAFE: "unsafe",
}  # fmt: skip

_COUNT: Final = (1 << COUNT_BITS) - 1
_LOWEST: Final = FOUR
_HIGHEST: Final = FOUR << COUNT_BITS - 1
_FRAME_AND_PRESENT: Final = ~PTE_FLAGS | PTE_PRESENT
_NEXT: Final = 1 << PFN_SHIFT
_FOURTHS: Final = 3 << PFN_SHIFT | PTE_PRESENT
"""A present PTE of a frame with a number that is a multiple of four has only PTE_PRESENT of these."""
_EACH: Final = 0x01010101
"""A byte in each of the four pages that are painted at a time."""


def _has_gap(vm: Memory, base: int, head: int, order: int) -> bool:
    """Whether a large folio has a page that nothing maps."""
    at = reg(vm, base, AT_PAGES) + 8 * (head // COUNTS)
    for i in range(1 << (order - 2)):
        counts = cell(vm, at + 8 * i)
        # some count of the four is 0: the usual trick, exact as to whether there is one
        if (counts - _LOWEST) & ~counts & _HIGHEST:
            return True
    return False


def _face(vm: Memory, base: int, head: int, pins: int) -> int:
    """What all mapped pages of a large folio have in common."""
    at = folio_at(vm, base, head)
    state = cell(vm, at)
    face = MAPPED
    if state & OWNERS_MASK > 1:
        face |= SHARED
    if state & IS_FALSE:
        face |= FALSE_SHARED
    if state & IS_UNSAFE:
        face |= UNSAFE
    if _has_gap(vm, base, head, order_of(vm, base, head)):
        face |= PARTIAL
    if pins and folio_maybe_dma_pinned(pfn_folio(vm, head)):
        face |= PINNED
    return face


def _shared_of(counts: int) -> int:
    """PAGE_SHARED for each of four pages, by their counts."""
    if counts == FOUR:
        return 0
    if counts == (counts & _COUNT) * FOUR:
        return PAGE_SHARED * _EACH if counts else 0
    found = 0
    for i in range(COUNTS):
        if counts >> COUNT_BITS * i & _COUNT > 1:
            found |= PAGE_SHARED << 8 * i
    return found


def _small(vm: Memory, base: int, frame: int, pins: int) -> int:
    """A page that is no part of a large folio: no policy decides about it."""
    face = MAPPED
    counts = cell(vm, reg(vm, base, AT_PAGES) + 8 * (frame // COUNTS))
    if counts >> COUNT_BITS * (frame % COUNTS) & _COUNT > 1:
        face |= SHARED | PAGE_SHARED
    if pins and folio_maybe_dma_pinned(pfn_folio(vm, frame)):
        face |= PINNED
    return face


def _single(vm: Memory, base: int, value: int, pins: int) -> int:
    """What one PTE shows."""
    if value & PTE_PRESENT == 0:
        return SWAPPED if value else 0
    frame = value >> PFN_SHIFT
    head = large_head(vm, base, frame)
    if head < 0:
        return _small(vm, base, frame, pins)
    face = _face(vm, base, head, pins)
    counts = cell(vm, reg(vm, base, AT_PAGES) + 8 * (frame // COUNTS))
    if counts >> COUNT_BITS * (frame % COUNTS) & _COUNT > 1:
        face |= PAGE_SHARED
    return face


def _mixed(vm: Memory, base: int, at: int, pins: int) -> int:
    """Four PTEs that are not one run of a large folio."""
    found = 0
    for i in range(4):
        found |= _single(vm, base, cell(vm, at + 8 * i), pins) << 8 * i
    return found


def _upper(four: int) -> int:
    """Four pages as the upper half of a word; sign-extended, so that the word fits."""
    return ((four ^ (1 << 31)) - (1 << 31)) << 32


def _by_ptes(vm: Memory, base: int, ptes: int, out: Any, at: int, pins: int) -> None:
    """A window of PTEs: four at a time, which are most often neighbours in a folio that was looked at already."""
    pages = reg(vm, base, AT_PAGES)
    low = 0
    high = 0
    face = 0
    before = 0
    for group in range(PTRS_PER_PTE // 4):
        here = ptes + 32 * group
        first = cell(vm, here)
        second = cell(vm, here + 8)
        third = cell(vm, here + 16)
        fourth = cell(vm, here + 24)
        four = 0
        apart = (second ^ (first + _NEXT)) | (third ^ (first + 2 * _NEXT)) | (fourth ^ (first + 3 * _NEXT))
        if apart & _FRAME_AND_PRESENT == 0 and first & _FOURTHS == PTE_PRESENT:
            frame = first >> PFN_SHIFT
            if frame < low or frame >= high:
                low = large_head(vm, base, frame)
                high = low
                if low >= 0:
                    high += 1 << order_of(vm, base, low)
                    face = _face(vm, base, low, pins) * _EACH
            if low < high:
                four = face
                if face & SHARED:
                    four |= _shared_of(cell(vm, pages + 8 * (frame // COUNTS)))
            else:
                four = _mixed(vm, base, here, pins)
        elif first | second | third | fourth:
            four = _mixed(vm, base, here, pins)
        if group % 2:
            out[at + group // 2] = before | _upper(four)
        before = four


def _by_pmd(vm: Memory, base: int, pmd: int, out: Any, at: int, pins: int) -> None:
    """A window that a PMD maps."""
    head = pmd >> PFN_SHIFT
    pages = reg(vm, base, AT_PAGES) + 8 * (head // COUNTS)
    face = _face(vm, base, head, pins) * _EACH
    for word in range(PTRS_PER_PTE // 8):
        lower = _shared_of(cell(vm, pages + 16 * word))
        upper = _shared_of(cell(vm, pages + 16 * word + 8))
        out[at + word] = face | lower | _upper(face | upper)


def window_at(vm: Memory, base: int, slot: int, window: int, by_trace: int) -> int:
    """Where an MM has a window of the map on the machine; -1 if it maps nothing there."""
    if load(mm_of(vm, base, slot).mm_id) == 0:
        return -1
    if by_trace == 0:
        return window
    dense = window_of(vm, base, family_of(vm, base, slot), window, 0)
    if dense <= 0 or cell(vm, used_at(vm, base, slot, dense)) == 0:
        return -1
    return dense


def paint(vm: Memory, base: int, slot: int, windows: Any, out: Any, by_trace: int, pins: int) -> int:
    """Paint a map.

    Args:
        base: where the account's cells are.
        slot: whose.
        windows: int64: the windows of 2 MiB that the map shows, in order.
        out: int64, 64 words a window: a byte a page.
        by_trace: whether they are windows of a trace's addresses, which the machine has elsewhere.
        pins: whether folios can be pinned.

    Returns:
        windows in which something is mapped.
    """
    who = mm_of(vm, base, slot)
    words = PTRS_PER_PTE // 8
    used = 0
    for i in range(len(windows)):
        window = window_at(vm, base, slot, windows[i], by_trace)
        if window < 0:
            for word in range(words):
                out[i * words + word] = 0
            continue
        used += 1
        pmd = READ_ONCE(pmd_ref(vm, who, window << PMD_ORDER))
        if pmd:
            _by_pmd(vm, base, pmd, out, i * words, pins)
        else:
            _by_ptes(vm, base, load(who.pgd) + 8 * (window << PMD_ORDER), out, i * words, pins)
    return used


def _heaviest(eight: int, weights: Any) -> int:
    """The greatest weight of four bytes."""
    most = weights[eight & 255]
    for i in range(1, 4):
        weight = weights[eight >> 8 * i & 255]
        most = max(most, weight)
    return int(most)


def shrink(painted: Any, weights: Any, out: Any) -> int:
    """A dot for each four pages of a painted map: the weight of the heaviest of them.

    Args:
        painted: int64, eight pages a word, as `paint` leaves them; a multiple of four words.
        weights: int64, shape (256,): of each byte, 0 to 127.
        out: int64, a quarter as long: a byte a dot.

    Returns:
        words that differ from the one before them.
    """
    before = 0
    pair = _heaviest(0, weights) * 257
    changes = 0
    for i in range(len(out)):
        word = 0
        for j in range(4):
            eight = painted[4 * i + j]
            if eight != before:
                before = eight
                pair = _heaviest(eight, weights) | _heaviest(eight >> 32, weights) << 8
                changes += 1
            word |= pair << 16 * j
        out[i] = word
    return changes
