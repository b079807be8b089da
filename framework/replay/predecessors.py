"""MMs that mapped a folio before all that a trace's snapshot shows, and that had left when the trace began.

Which MMs a policy has remembered of a folio that is older than the trace nobody knows. Predecessors are the worst case:
they come first, so that a policy that has room for some MMs remembers them, and they leave when all others have come.
They map one folio at a time, in window 0, and are no owners of it.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine import entrypoints, fault, zap
from foliolab.framework.engine.mm import mm_alloc_id
from foliolab.framework.engine.pagetable import PTRS_PER_PTE, frame_of
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import cpu_at, zone_at
from foliolab.framework.replay import cells, owners
from foliolab.framework.replay.cells import put, reg
from foliolab.framework.replay.spaces import mm_of

HOLDS: Final = 2
"""What HELD exceeds a head frame by. 0 in HELD: the predecessors have no IDs yet; 1: they map nothing."""


def _first(vm: Memory, base: int) -> int:
    """The slot of the first of them; they have the last slots."""
    return reg(vm, base, cells.SLOTS) - reg(vm, base, cells.PREDECESSORS)


def _begin(vm: Memory, base: int) -> bool:
    """Give them IDs; False if none is left (see STATUS)."""
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    for i in range(reg(vm, base, cells.PREDECESSORS)):
        if not mm_alloc_id(vm, z, mm_of(vm, base, _first(vm, base) + i)):
            put(vm, base + 8 * cells.STATUS, cells.NO_IDS)
            return False
    put(vm, base + 8 * cells.HELD, 1)
    return True


def map_first(vm: Memory, contents: Memory, base: int, order: int, nr: int) -> int:
    """Map a new large folio by nr of them, after they have left the one before; its head frame, -1: see STATUS."""
    if reg(vm, base, cells.HELD) == 0 and not _begin(vm, base):
        return -1
    leave(vm, base)
    first = _first(vm, base)
    who = mm_of(vm, base, first)
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    if not fault.anon_fault(vm, c, z, who, 0, order, 0):
        put(vm, base + 8 * cells.STATUS, cells.NO_FRAMES)
        return -1
    head = frame_of(vm, who, 0)
    at = reg(vm, base, cells.MMS) + first * reg(vm, base, cells.MM_STRIDE)
    for i in range(1, nr):
        child = at + i * reg(vm, base, cells.MM_STRIDE)
        cpu, zone = reg(vm, base, cells.CPU), reg(vm, base, cells.ZONE)
        entrypoints.fork_range(vm, contents, cpu, zone, at, child, 0, 1 << order)
    owners.opened(vm, base, head, order)
    put(vm, base + 8 * cells.HELD, head + HOLDS)
    return head


def leave(vm: Memory, base: int) -> None:
    """Let them unmap what they map."""
    held = reg(vm, base, cells.HELD)
    if held < HOLDS:
        return
    c = cpu_at(vm, reg(vm, base, cells.CPU))
    z = zone_at(vm, reg(vm, base, cells.ZONE))
    for i in range(reg(vm, base, cells.PREDECESSORS)):
        zap.zap_range(vm, c, z, mm_of(vm, base, _first(vm, base) + i), 0, PTRS_PER_PTE, 1)
    put(vm, base + 8 * cells.HELD, 1)
    owners.touched(vm, base, held - HOLDS)
