"""The address spaces of a trace on a machine: MM numbers map to slots, addresses map to windows of 2 MiB.

Slots are reused. MMs that are related by fork form a family, which numbers the windows that occur in it, so that a
child inherits pages at the addresses of its parent. A window keeps its alignment. The trace does not use window 0:
`snapshot` makes folios there that are mapped in part.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.engine.mm import mm_alloc_id, mm_free_id
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import mm_at, zone_at
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import bump, cell, put, reg

DEAD: Final = 1 << 40
"""The entry of an MM that is gone, in the table of MMs."""
DENSE_BITS: Final = 20
DENSE_MASK: Final = (1 << DENSE_BITS) - 1
LAST_PAGE: Final = 1 << 51
"""Pages from here on cannot be user addresses, and their windows cannot be numbered."""


def mm_of(vm: Memory, base: int, slot: int) -> Any:
    """The engine's MM of a slot."""
    return mm_at(vm, reg(vm, base, cells.MMS) + slot * reg(vm, base, cells.MM_STRIDE))


def slot_at(vm: Memory, base: int, slot: int) -> int:
    """The offset of a slot's cells: users, family, the MM's first number in the trace."""
    return reg(vm, base, cells.AT_SLOT) + 8 * cells.SLOT_CELLS * slot


def family_of(vm: Memory, base: int, slot: int) -> int:
    """The family of a slot's MM."""
    return cell(vm, slot_at(vm, base, slot) + 8)


def family_at(vm: Memory, base: int, family: int) -> int:
    """The offset of a family's cells: MMs, windows, cluster."""
    return reg(vm, base, cells.AT_FAMILY) + 8 * cells.FAMILY_CELLS * family


def used_at(vm: Memory, base: int, slot: int, dense: int) -> int:
    """The offset of the cell that says whether an MM may map something in a window."""
    return reg(vm, base, cells.AT_USED) + 8 * (slot * reg(vm, base, cells.WINDOWS) + dense)


def slot_of(vm: Memory, base: int, mm: int) -> int:
    """The slot of a live MM; -1 for others."""
    if mm <= 0 or mm >= reg(vm, base, cells.MM_LIMIT):
        return -1
    known = cell(vm, reg(vm, base, cells.AT_MM) + 8 * mm)
    if known in (0, DEAD):
        return -1
    return known - 1


def is_dead(vm: Memory, base: int, mm: int) -> bool:
    """Whether the MM lived and is gone."""
    if mm <= 0 or mm >= reg(vm, base, cells.MM_LIMIT):
        return False
    return cell(vm, reg(vm, base, cells.AT_MM) + 8 * mm) == DEAD


def bury(vm: Memory, base: int, mm: int) -> None:
    """Mark an MM as gone; its events are ignored from now on."""
    if 0 < mm < reg(vm, base, cells.MM_LIMIT):
        put(vm, reg(vm, base, cells.AT_MM) + 8 * mm, DEAD)


def share(vm: Memory, base: int, mm: int, slot: int) -> None:
    """Let an MM number stand for the MM that is in the slot already."""
    if 0 < mm < reg(vm, base, cells.MM_LIMIT):
        put(vm, reg(vm, base, cells.AT_MM) + 8 * mm, slot + 1)
        bump(vm, slot_at(vm, base, slot), 1)


def _new_family(vm: Memory, base: int, cluster: int) -> int:
    """The family of a cluster, or a new one. There are as many families as slots: while a slot is free, one is, too."""
    if cluster:
        known = cell(vm, reg(vm, base, cells.AT_CLUSTER) + 8 * cluster)
        if known:
            at = family_at(vm, base, known - 1)
            if cell(vm, at) and cell(vm, at + 16) == cluster:
                return known - 1
    family = 0
    while cell(vm, family_at(vm, base, family)):
        family += 1
    at = family_at(vm, base, family)
    put(vm, at + 8, 0)
    put(vm, at + 16, cluster)
    if cluster:
        put(vm, reg(vm, base, cells.AT_CLUSTER) + 8 * cluster, family + 1)
    return family


def create(vm: Memory, base: int, mm: int, relative: int, cluster: int) -> int:
    """A new, empty MM.

    Args:
        relative: a slot whose family it belongs to, or -1.
        cluster: the cluster whose family it belongs to, or 0.

    Returns:
        its slot; -1 if there is none (see STATUS).
    """
    free = reg(vm, base, cells.FREE_SLOTS)
    if free == 0 or mm >= reg(vm, base, cells.MM_LIMIT):
        put(vm, base + 8 * cells.STATUS, cells.NO_SLOTS)
        return -1
    slot = cell(vm, reg(vm, base, cells.AT_FREE) + 8 * (free - 1))
    if not mm_alloc_id(vm, zone_at(vm, reg(vm, base, cells.ZONE)), mm_of(vm, base, slot)):
        put(vm, base + 8 * cells.STATUS, cells.NO_IDS)
        return -1
    put(vm, base + 8 * cells.FREE_SLOTS, free - 1)
    bump(vm, base + 8 * cells.LIVE, 1)
    family = family_of(vm, base, relative) if relative >= 0 else _new_family(vm, base, cluster)
    bump(vm, family_at(vm, base, family), 1)
    put(vm, slot_at(vm, base, slot), 1)
    put(vm, slot_at(vm, base, slot) + 8, family)
    put(vm, slot_at(vm, base, slot) + 16, mm)
    put(vm, reg(vm, base, cells.AT_MM) + 8 * mm, slot + 1)
    return slot


def destroy(vm: Memory, base: int, slot: int) -> None:
    """Free the slot of an MM that maps nothing any more, and its family with the last MM."""
    mm_free_id(vm, zone_at(vm, reg(vm, base, cells.ZONE)), mm_of(vm, base, slot))
    family = family_of(vm, base, slot)
    at = family_at(vm, base, family)
    bump(vm, at, -1)
    if cell(vm, at) == 0:
        hash_cells = reg(vm, base, cells.AT_HASH_CELL) + 8 * family * reg(vm, base, cells.WINDOWS)
        for dense in range(1, cell(vm, at + 8) + 1):
            put(vm, cell(vm, hash_cells + 8 * dense), 0)
        put(vm, at + 8, 0)
    free = reg(vm, base, cells.FREE_SLOTS)
    put(vm, reg(vm, base, cells.AT_FREE) + 8 * free, slot)
    put(vm, base + 8 * cells.FREE_SLOTS, free + 1)
    bump(vm, base + 8 * cells.LIVE, -1)


def hash_table(vm: Memory, base: int, family: int) -> tuple[int, int]:
    """A family's hash table of windows: its offset, and the mask of an entry's index."""
    size = reg(vm, base, cells.HASH_SIZE)
    return reg(vm, base, cells.AT_HASH) + 8 * family * size, size - 1


def entry_of(vm: Memory, table: int, mask: int, window: int) -> int:
    """The offset of a window's entry in a family's hash table, which is 0 if the window has no number."""
    mixed = window * 40503
    i = (mixed ^ (mixed >> 16)) & mask
    while True:
        entry = cell(vm, table + 8 * i)
        if entry == 0 or entry >> DENSE_BITS == window + 1:
            return table + 8 * i
        i = (i + 1) & mask


def window_of(vm: Memory, base: int, family: int, window: int, make: int) -> int:
    """A window's number in a family.

    Args:
        make: whether to number it if it is new.

    Returns:
        the number, from 1; 0 if it has none; -1 if no number is left (see STATUS).
    """
    table, mask = hash_table(vm, base, family)
    found = entry_of(vm, table, mask, window)
    entry = cell(vm, found)
    if entry or not make:
        return entry & DENSE_MASK
    at = family_at(vm, base, family)
    dense = cell(vm, at + 8) + 1
    windows = reg(vm, base, cells.WINDOWS)
    if dense >= windows:
        put(vm, base + 8 * cells.STATUS, cells.NO_WINDOWS)
        return -1
    put(vm, at + 8, dense)
    put(vm, found, (window + 1) << DENSE_BITS | dense)
    put(vm, reg(vm, base, cells.AT_VIRTUAL) + 8 * (family * windows + dense), window)
    put(vm, reg(vm, base, cells.AT_HASH_CELL) + 8 * (family * windows + dense), found)
    return dense


def vpn_of(dense: int, page: int) -> int:
    """The page of the machine's address space that stands for a page of the trace, in the window of that number.

    Returns:
        the page; -1 if the window has no number.
    """
    if dense <= 0:
        return -1
    return dense << PMD_ORDER | page % PTRS_PER_PTE


def nr_windows(vm: Memory, base: int, slot: int, first: int, end: int) -> int:
    """How many windows to look at for pages first…end-1 of an MM: those of the range or of its family, if fewer."""
    in_range = ((end - 1) >> PMD_ORDER) - (first >> PMD_ORDER) + 1
    return min(in_range, cell(vm, family_at(vm, base, family_of(vm, base, slot)) + 8))


def used_window(vm: Memory, base: int, slot: int, first: int, end: int, nr: int, i: int) -> int:
    """The number of the i-th of `nr` windows; 0 if it is not in the range, or the MM maps nothing there."""
    low = first >> PMD_ORDER
    high = (end - 1) >> PMD_ORDER
    family = family_of(vm, base, slot)
    dense = i + 1
    if nr == high - low + 1:
        dense = window_of(vm, base, family, low + i, 0)
    elif not low <= virtual_of(vm, base, family, dense) <= high:
        return 0
    if dense == 0 or cell(vm, used_at(vm, base, slot, dense)) == 0:
        return 0
    return dense


def virtual_of(vm: Memory, base: int, family: int, dense: int) -> int:
    """The window that has a number."""
    return cell(vm, reg(vm, base, cells.AT_VIRTUAL) + 8 * (family * reg(vm, base, cells.WINDOWS) + dense))
