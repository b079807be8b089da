"""move_pages(2) to another NUMA node: which folios move, and what they leave.

A folio moves unless it is maybe shared (`MPOL_MF_MOVE`), or something besides its mappings refers to it: then migration
entries are made and taken away again. Each process maps the same pages as before, with the same bits, in other frames:
the engine puts migration entries in the place of the PTEs, and maps the same frames again. Frames are compared by who
has the same ones, so that this cannot be told from a move.

When the first PTE of a large folio has become a migration entry, the folio counts as partially mapped, and is queued
for splitting. A folio that does not move stays in that queue. Of one that moves, the new folio is in the queue on some
kernels (a stable 6.12, 7.0 to 7.3) and not on others (6.16 to 6.19), so kernels are asked. What is in the queue is
split before it moves. Sources: add_folio_for_migration() and migrate_pages_batch() in mm/migrate.c, and
deferred_split_folio() in mm/huge_memory.c, of Linux 6.18; the difference was seen in guests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from foliolab.framework.engine.folio import folio_order
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PTE_PRESENT
from foliolab.framework.engine.rmap import deferred_split_folio, folio_unqueue_deferred_split
from foliolab.framework.engine.structs import PG_partially_mapped, PG_swapcache
from foliolab.framework.engine.truth import frames_of
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import clear_bit, cpu_at, load, pfn_folio
from foliolab.framework.scenario.observe import ModelView, view_of
from foliolab.framework.scenario.swap import Swap


class Migration:
    """Migration on the machine of a `Swap`.

    Args:
        swap: splits folios.
        do: runs an operation of the machine.
        requeues: whether a folio that was moved is in the split queue.
    """

    def __init__(self, swap: Swap, do: Callable[..., Any], requeues: bool) -> None:
        self.swap = swap
        self._do = do
        self.requeues = requeues

    @property
    def machine(self) -> Machine:
        return self.swap.machine

    def begin(self, mm: int, start: int, nr: int) -> None:
        """The operations of a migration of the folios in a range that runs at once with others, whoever maps them."""
        here = view_of(self.machine, mm, start, nr)
        for head in _heads(here):
            size = int(here.sizes[here.heads == head][0])
            first = next((vpn for owner, vpn in self._runs(head, size) if owner == mm), -1)
            if first >= 0:
                self._do("migrate", mm=mm, vpn=first)

    def move(self, mm: int, start: int, nr: int) -> bool:
        """Migrate the folios of a range; whether any moved."""
        here = view_of(self.machine, mm, start, nr)
        return any([self._folio(here, head) for head in _heads(here)])

    def _folio(self, here: ModelView, head: int) -> bool:
        pages = np.flatnonzero(here.heads == head)
        size = int(here.sizes[pages[0]])
        if self._is_shared(head, size):
            return False
        free = self._is_free(head, size)
        if free and here.queued[pages[0]]:
            self.swap.split(head)
            return True
        for mm, vpn in self._runs(head, size):
            self._do("migrate", mm=mm, vpn=vpn)
        if free and size > 1:
            cpu = self.machine.map.cpus[self.machine.cpu]
            self.machine.bind_function(arrive, "miii", cpu, head, int(self.requeues))()
        return free

    def _is_shared(self, head: int, size: int) -> bool:
        """Whether the kernel takes a folio for one of several processes."""
        return self.machine.maybe_shared(head) if size > 1 else self.machine.mapcount(head) > 1

    def _is_free(self, head: int, size: int) -> bool:
        """Whether nothing refers to a folio but its mappings and the swap cache."""
        machine = self.machine
        cached = int(machine.page(head).flags.peek()) >> PG_swapcache & 1
        return int(machine.folio(head)._refcount.peek()) == machine.mapcount(head) + cached * size

    def _runs(self, head: int, size: int) -> Iterator[tuple[int, int]]:
        """The MM and the first page of each place at which PTEs map a folio.

        What PMDs map is left out, it moves as it is; so is a part of a folio that ends where the address space does.
        """
        end = self.machine.shape.nr_vpns
        for mm in range(self.machine.shape.nr_mms):
            table = self.machine.ptes(mm)
            present = np.flatnonzero(table & np.uint64(PTE_PRESENT))
            frames = frames_of(table[present])
            inside = (frames >= head) & (frames < head + size)
            places = present[inside] - (frames[inside] - head)
            for place in np.unique(places).tolist():
                first = int(present[inside][places == place][0])
                if first + size <= end:
                    yield mm, first


def arrive(vm: Memory, cpu: int, pfn: int, requeues: int) -> int:
    """The new folio of a migration: the old one has left the split queue, and this one may enter it."""
    c = cpu_at(vm, cpu)
    folio = pfn_folio(vm, pfn)
    if folio_order(folio) > 1 and load(folio._deferred_list[0]):
        folio_unqueue_deferred_split(c, folio)
        clear_bit(PG_partially_mapped, folio._flags_1)
        if requeues:
            deferred_split_folio(c, folio, True)
    return 0


def _heads(here: ModelView) -> list[int]:
    """The first frame of each folio of a view, in order."""
    return [head for head in dict.fromkeys(here.heads.tolist()) if head >= 0]
