"""The list of changes to the mappings of large folios, for an observer who asks for it (`Sizes.changes`).

A row says how a folio stands after an operation on it: how many of its pages are mapped, and what the kernel's
counters say. The observer collects the rows after each part of the events.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.folio import folio_test_anon
from foliolab.framework.engine.procfs import folio_mapcount
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import pfn_folio
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import CHANGE_CELLS, COUNT_BITS, COUNTS, Cells, cell, put, reg

STEP, HEAD, ORDER, OWNERS, SHARED, MAPPINGS, MAPPED_PAGES, DISTINCT = range(CHANGE_CELLS)
"""Columns of a row: the event's index in the chunk; the folio's head frame and order (negative: of a file); MMs that
map it; whether the policy says maybe shared; mappings; pages mapped, by every mapping anew; pages that are mapped.
OWNERS is 0 when nothing maps the folio any more; the columns after it mean nothing then."""

COUNT_MASK: Final = (1 << COUNT_BITS) - 1


def _mapped(vm: Memory, base: int, head: int, order: int) -> int:
    """Pages of a folio that are mapped at least once."""
    found = 0
    start = reg(vm, base, cells.AT_PAGES) + 8 * (head // COUNTS)
    for i in range((1 << order) // COUNTS):
        counts = cell(vm, start + 8 * i)
        for page in range(COUNTS):
            if counts >> COUNT_BITS * page & COUNT_MASK:
                found += 1
    return found


def note_change(vm: Memory, base: int, head: int, order: int, owners: int, mapped_pages: int, shared: int) -> None:
    """Append a row, or replace the last one if it is about the same folio and event.

    If the list is full, STATUS becomes NO_CHANGES.
    """
    rows = reg(vm, base, cells.AT_CHANGES)
    nr = reg(vm, base, cells.CHANGES)
    step = reg(vm, base, cells.STEP)
    at = rows + 8 * CHANGE_CELLS * (nr - 1)
    if nr == 0 or cell(vm, at + 8 * STEP) != step or cell(vm, at + 8 * HEAD) != head or cell(vm, at + 8 * OWNERS) == 0:
        if nr == reg(vm, base, cells.MOST_CHANGES):
            put(vm, base + 8 * cells.STATUS, cells.NO_CHANGES)
            return
        put(vm, base + 8 * cells.CHANGES, nr + 1)
        at += 8 * CHANGE_CELLS
    put(vm, at + 8 * STEP, step)
    put(vm, at + 8 * HEAD, head)
    put(vm, at + 8 * OWNERS, owners)
    if owners == 0:
        return
    put(vm, at + 8 * ORDER, order if folio_test_anon(pfn_folio(vm, head)) else -order)
    put(vm, at + 8 * SHARED, shared)
    put(vm, at + 8 * MAPPINGS, folio_mapcount(vm, head))
    put(vm, at + 8 * MAPPED_PAGES, mapped_pages)
    put(vm, at + 8 * DISTINCT, _mapped(vm, base, head, order))


def collect(state: Cells) -> NDArray[Any]:
    """Take the rows out of the machine, shape (changes, CHANGE_CELLS)."""
    nr = int(state.all[cells.CHANGES])
    state.all[cells.CHANGES] = 0
    rows: NDArray[Any] = state.table(cells.AT_CHANGES).reshape(-1, CHANGE_CELLS)[:nr].astype(np.int64)
    return rows
