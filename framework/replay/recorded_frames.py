"""The table of recorded frame numbers: which folio of the machine stands for the folio at a recorded frame."""

from __future__ import annotations

from typing import Final

from foliolab.framework.machine.memory import Memory
from foliolab.framework.replay.cells import AT_PFN, PFN_MASK, cell, put, reg

PFN_BITS: Final = 39
FRAME_BITS: Final = 24
FRAME_MASK: Final = (1 << FRAME_BITS - 1) - 1
BY_FAULT: Final = 1 << FRAME_BITS - 1
"""A flag of an entry: a fault made the folio, so that its owner may write to it."""


def remember_pfn(vm: Memory, base: int, pfn: int, frame: int, made: int) -> None:
    """Enter the head frame of the machine's folio that stands for the folio at frame `pfn`; `made`: BY_FAULT or 0."""
    if 0 < pfn < 1 << PFN_BITS:
        at = reg(vm, base, AT_PFN) + 8 * (pfn & reg(vm, base, PFN_MASK))
        put(vm, at, pfn << FRAME_BITS | made | (frame + 1))


def recall_pfn(vm: Memory, base: int, pfn: int) -> int:
    """The machine's frame for a recorded frame, plus 1, with BY_FAULT; 0 if it is not known."""
    if 0 < pfn < 1 << PFN_BITS:
        entry = cell(vm, reg(vm, base, AT_PFN) + 8 * (pfn & reg(vm, base, PFN_MASK)))
        if entry >> FRAME_BITS == pfn:
            return entry & (FRAME_MASK | BY_FAULT)
    return 0
