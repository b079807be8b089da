"""The cells of a map: a byte for each page of an MM's address space.

The byte is a set of bits, 0 for a page that is not mapped. The bits are painted from the page tables and from the
account of owners that follows them (`replay.owners`), which is exact. Only FALSE_SHARED and UNSAFE depend on the
policy: they mark folios about which its answer is wrong.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.engine.folio import folio_maybe_dma_pinned
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_FLAGS, PTE_PRESENT, PTRS_PER_PTE, pmd_ref
from foliolab.framework.machine.layout import PMD_ORDER
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
"""The page is swapped out."""
FALSE_SHARED: Final = 64
"""One MM maps the folio, but the policy says that several may."""
UNSAFE: Final = 128
"""Several MMs map the folio, but the policy says that only one does."""
BITS: Final = {
    MAPPED: "mapped", SHARED: "shared folio", PAGE_SHARED: "shared page", PARTIAL: "partially mapped folio",
    PINNED: "pinned", SWAPPED: "swapped out", FALSE_SHARED: "false shared", UNSAFE: "unsafe",
}  # fmt: skip

_COUNT: Final = (1 << COUNT_BITS) - 1
_LOWEST: Final = FOUR
_HIGHEST: Final = FOUR << COUNT_BITS - 1
_FRAME_AND_PRESENT: Final = ~PTE_FLAGS | PTE_PRESENT
_NEXT: Final = 1 << PFN_SHIFT
_ALIGNED: Final = 3 << PFN_SHIFT | PTE_PRESENT
"""Of these bits, a present PTE of a frame whose number is a multiple of four has only PTE_PRESENT."""
_EACH: Final = 0x01010101
"""Times a byte: that byte for each of the four pages that are painted at a time."""


def _has_gap(vm: Memory, base: int, head: int, order: int) -> bool:
    """Whether a large folio has a page that nothing maps."""
    at = reg(vm, base, AT_PAGES) + 8 * (head // COUNTS)
    for i in range(1 << (order - 2)):
        counts = cell(vm, at + 8 * i)
        # whether one of four packed counts is 0: subtract 1 from each, and look for a borrow
        if (counts - _LOWEST) & ~counts & _HIGHEST:
            return True
    return False


def _folio_bits(vm: Memory, base: int, head: int, pins: int) -> int:
    """The bits that all mapped pages of a large folio share."""
    at = folio_at(vm, base, head)
    state = cell(vm, at)
    bits = MAPPED
    if state & OWNERS_MASK > 1:
        bits |= SHARED
    if state & IS_FALSE:
        bits |= FALSE_SHARED
    if state & IS_UNSAFE:
        bits |= UNSAFE
    if _has_gap(vm, base, head, order_of(vm, base, head)):
        bits |= PARTIAL
    if pins and folio_maybe_dma_pinned(pfn_folio(vm, head)):
        bits |= PINNED
    return bits


def _shared_bits(counts: int) -> int:
    """PAGE_SHARED for each of four pages, from their packed counts."""
    if counts == FOUR:
        return 0
    if counts == (counts & _COUNT) * FOUR:
        return PAGE_SHARED * _EACH if counts else 0
    found = 0
    for i in range(COUNTS):
        if counts >> COUNT_BITS * i & _COUNT > 1:
            found |= PAGE_SHARED << 8 * i
    return found


def _small_folio_bits(vm: Memory, base: int, frame: int, pins: int) -> int:
    """The bits of a small folio, about which the policy is not asked."""
    bits = MAPPED
    counts = cell(vm, reg(vm, base, AT_PAGES) + 8 * (frame // COUNTS))
    if counts >> COUNT_BITS * (frame % COUNTS) & _COUNT > 1:
        bits |= SHARED | PAGE_SHARED
    if pins and folio_maybe_dma_pinned(pfn_folio(vm, frame)):
        bits |= PINNED
    return bits


def _pte_bits(vm: Memory, base: int, value: int, pins: int) -> int:
    """The bits of one PTE."""
    if value & PTE_PRESENT == 0:
        return SWAPPED if value else 0
    frame = value >> PFN_SHIFT
    head = large_head(vm, base, frame)
    if head < 0:
        return _small_folio_bits(vm, base, frame, pins)
    bits = _folio_bits(vm, base, head, pins)
    counts = cell(vm, reg(vm, base, AT_PAGES) + 8 * (frame // COUNTS))
    if counts >> COUNT_BITS * (frame % COUNTS) & _COUNT > 1:
        bits |= PAGE_SHARED
    return bits


def _four_ptes(vm: Memory, base: int, at: int, pins: int) -> int:
    """The bits of four PTEs that do not map consecutive pages of one large folio."""
    found = 0
    for i in range(4):
        found |= _pte_bits(vm, base, cell(vm, at + 8 * i), pins) << 8 * i
    return found


def _upper(four: int) -> int:
    """Four pages as the upper half of a word, sign-extended, so that the result fits into an int64."""
    return ((four ^ (1 << 31)) - (1 << 31)) << 32


def _paint_ptes(vm: Memory, base: int, ptes: int, out: Any, at: int, pins: int) -> None:
    """Paint a window of PTEs, four at a time.

    Four PTEs most often map consecutive pages of the folio that was looked up last (frames low…high-1, common bits
    `bits`): then nothing else is read.
    """
    pages = reg(vm, base, AT_PAGES)
    low = 0
    high = 0
    bits = 0
    before = 0
    for group in range(PTRS_PER_PTE // 4):
        here = ptes + 32 * group
        first = cell(vm, here)
        second = cell(vm, here + 8)
        third = cell(vm, here + 16)
        fourth = cell(vm, here + 24)
        four = 0
        apart = (second ^ (first + _NEXT)) | (third ^ (first + 2 * _NEXT)) | (fourth ^ (first + 3 * _NEXT))
        if apart & _FRAME_AND_PRESENT == 0 and first & _ALIGNED == PTE_PRESENT:
            frame = first >> PFN_SHIFT
            if frame < low or frame >= high:
                low = large_head(vm, base, frame)
                high = low
                if low >= 0:
                    high += 1 << order_of(vm, base, low)
                    bits = _folio_bits(vm, base, low, pins) * _EACH
            if low < high:
                four = bits
                if bits & SHARED:
                    four |= _shared_bits(cell(vm, pages + 8 * (frame // COUNTS)))
            else:
                four = _four_ptes(vm, base, here, pins)
        elif first | second | third | fourth:
            four = _four_ptes(vm, base, here, pins)
        if group % 2:
            out[at + group // 2] = before | _upper(four)
        before = four


def _paint_pmd(vm: Memory, base: int, pmd: int, out: Any, at: int, pins: int) -> None:
    """Paint a window that a PMD maps."""
    head = pmd >> PFN_SHIFT
    pages = reg(vm, base, AT_PAGES) + 8 * (head // COUNTS)
    bits = _folio_bits(vm, base, head, pins) * _EACH
    for word in range(PTRS_PER_PTE // 8):
        lower = _shared_bits(cell(vm, pages + 16 * word))
        upper = _shared_bits(cell(vm, pages + 16 * word + 8))
        out[at + word] = bits | lower | _upper(bits | upper)


def window_at(vm: Memory, base: int, slot: int, window: int, by_trace: int) -> int:
    """The machine's window for an MM's window of the map; -1 if the MM maps nothing there."""
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
        base: address of the account's cells.
        slot: number of the MM.
        windows: int64: the windows of 2 MiB that the map shows, ascending.
        out: int64, 64 words a window: a byte a page.
        by_trace: whether the windows are addresses of a trace, which the machine stores elsewhere.
        pins: whether folios can be pinned.

    Returns:
        the number of windows in which something is mapped.
    """
    mm = mm_of(vm, base, slot)
    words = PTRS_PER_PTE // 8
    used = 0
    for i in range(len(windows)):
        window = window_at(vm, base, slot, windows[i], by_trace)
        if window < 0:
            for word in range(words):
                out[i * words + word] = 0
            continue
        used += 1
        pmd = READ_ONCE(pmd_ref(vm, mm, window << PMD_ORDER))
        if pmd:
            _paint_pmd(vm, base, pmd, out, i * words, pins)
        else:
            _paint_ptes(vm, base, load(mm.pgd) + 8 * (window << PMD_ORDER), out, i * words, pins)
    return used


def _heaviest(eight: int, weights: Any) -> int:
    """The greatest weight of the four lower bytes."""
    most = weights[eight & 255]
    for i in range(1, 4):
        weight = weights[eight >> 8 * i & 255]
        most = max(most, weight)
    return int(most)


def shrink(painted: Any, weights: Any, out: Any) -> int:
    """Shrink a painted map to a dot for each four pages: the greatest of their weights.

    Args:
        painted: int64, eight pages a word, as `paint` writes them; a multiple of four words.
        weights: int64, shape (256,): weight of each byte, 0 to 127.
        out: int64, a quarter as long: a byte a dot.

    Returns:
        the number of words that differ from the word before.
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
