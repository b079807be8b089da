"""The ends of wrong answers: how long they lasted, in time and in operations on the folio, and what ended them."""

from __future__ import annotations

from collections.abc import Sequence

from foliolab.framework.machine.memory import Memory
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import bump, cell, put, reg

NR_KINDS = cells.ENDS[1]
NR_HOW = cells.ENDS[2]
NR_LENGTHS = cells.LENGTHS[2]
HALF = cells.EXACT_LENGTHS // 2


def length_class(length: int) -> int:
    """The class of a length: below 64 the length itself, then 32 classes for each power of two."""
    shift = 0
    while length >> shift >= cells.EXACT_LENGTHS:
        shift += 1
    return shift * HALF + (length >> shift)


def length_of(number: int) -> int:
    """The length in the middle of a class; its error is at most a sixty-fourth."""
    if number < cells.EXACT_LENGTHS:
        return number
    shift = number // HALF - 1
    return ((number - shift * HALF) << shift) + (1 << shift >> 1)


def quantile(counts: Sequence[int], share: float) -> int:
    """The length that a share of all lengths does not exceed; 0 if there are none.

    Args:
        counts: by `length_class`.
        share: 0.5 for the median.
    """
    total = sum(counts)
    before = 0
    for number, count in enumerate(counts):
        before += count
        if count and before >= share * total:
            return length_of(number)
    return 0


def _longest(vm: Memory, base: int, tally: int, lasted: int) -> None:
    at = reg(vm, base, cells.AT_TALLY) + 8 * tally
    if lasted > cell(vm, at):
        put(vm, at, lasted)


def episode(vm: Memory, base: int, unsafe: int, since: int, ops: int, how: int) -> None:
    """Count a wrong answer that ended. One that was right again at the same moment does not count.

    Args:
        unsafe: 1 if a shared folio was called exclusive, 0 if an exclusive one was called shared.
        since: when the wrong answer began, ns.
        ops: operations on the folio after which the answer was wrong.
        how: what ended it, an index of `cells.HOW`.
    """
    lasted = reg(vm, base, cells.NOW) - since
    if lasted <= 0:
        return
    episodes = cells.FALSE_EPISODES
    longest = cells.FALSE_LONGEST
    longest_ops = cells.FALSE_LONGEST_OPS
    if unsafe:
        episodes = cells.UNSAFE_EPISODES
        longest = cells.UNSAFE_LONGEST
        longest_ops = cells.UNSAFE_LONGEST_OPS
    bump(vm, reg(vm, base, cells.AT_TALLY) + 8 * episodes, 1)
    _longest(vm, base, longest, lasted)
    _longest(vm, base, longest_ops, ops)
    lengths = reg(vm, base, cells.AT_LENGTHS) + 8 * (2 * NR_LENGTHS) * unsafe
    bump(vm, lengths + 8 * length_class(lasted), 1)
    bump(vm, lengths + 8 * (NR_LENGTHS + length_class(ops)), 1)
    bump(vm, reg(vm, base, cells.AT_ENDS) + 8 * ((unsafe * NR_KINDS + reg(vm, base, cells.EVENT)) * NR_HOW + how), 1)
