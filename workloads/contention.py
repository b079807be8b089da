"""Contention: threads that map and unmap folios of one size, either the same folios or disjoint ones.

Every thread is an MM on a CPU of its own. For one folio after another, it takes references, maps all pages by PTEs,
unmaps them and drops the references. Each thread has its own random order of folios, so that threads do not run in
lockstep; the spread over the rounds is part of the result. An idle MM maps all folios throughout. A thread that
spins too long for a lock yields its time slice; samples in which that happened are flagged (`native.yields`).

Source: specification 8 (open: "bit lock on big multi-socket machines"), 6.4 (kernel test robot).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foliolab.framework.api import (
    READ_ONCE,
    Memory,
    Setting,
    Timed,
    Workload,
    atomic_inc,
    cpu_at,
    cpu_relax,
    folio_add_anon_rmap_ptes,
    folio_ref_add,
    folio_ref_sub_return,
    folio_remove_rmap_ptes,
    load,
    mm_at,
    pfn_folio,
    pfn_to_page,
    pte_at,
)

if TYPE_CHECKING:
    from foliolab.framework.api import Machine

PAGES: Final = 1 << 18
"""Pages that each thread maps and unmaps in one timed call."""
HOLDER: Final = 0
SHARED: Final = 64
"""Folios that the threads share: few enough that threads meet, and more than there are threads."""


def map_unmap(
    vm: Memory, cpu: int, who: int, start: int, threads: int, order_at: int, folios: int, nr: int, turns: int
) -> int:
    """Wait for the other threads, then map and unmap `folios` folios `turns` times."""
    c = cpu_at(vm, cpu)
    mm = mm_at(vm, who)
    arrived = pte_at(vm, start).pte
    atomic_inc(arrived)
    while READ_ONCE(arrived) < threads:
        cpu_relax()
    for _ in range(turns):
        for i in range(folios):
            pfn = load(pte_at(vm, order_at + 8 * i).pte)
            folio = pfn_folio(vm, pfn)
            page = pfn_to_page(vm, pfn)
            folio_ref_add(folio, nr)
            folio_add_anon_rmap_ptes(vm, c, folio, page, nr, mm, False)
            folio_remove_rmap_ptes(vm, c, folio, page, nr, mm)
            folio_ref_sub_return(folio, nr)
    return 0


@dataclass(frozen=True)
class Contention:
    """One way to contend.

    Args:
        same: whether all threads use the same folios.
        threads: how many threads map and unmap at the same time.
    """

    same: bool
    threads: int

    def plan(self, setting: Setting) -> tuple[int, int]:
        """Folios of each thread, and how often the thread maps and unmaps all of them."""
        folios = max(1, min(SHARED, (setting.nr_pages >> setting.order) // self.threads))
        return folios, 1 if setting.counting else max(1, PAGES // (folios << setting.order))

    def prepare(self, machine: Machine, setting: Setting) -> Sequence[Timed]:
        """Let an idle MM map all folios; return one call per thread."""
        import numpy as np

        machine.create(HOLDER)
        machine.populate(HOLDER, 0, setting.nr_pages, setting.order)
        machine.fork(HOLDER, 1)  # pages that are AnonExclusive may be mapped by one MM only
        machine.exit(1)
        frames = [machine.frame(HOLDER, vpn) for vpn in range(0, setting.nr_pages, 1 << setting.order)]
        threads = 1 if setting.counting else self.threads
        folios, turns = self.plan(setting)
        random = np.random.default_rng(setting.seed)
        scratch = machine.scratch()
        calls = []
        for thread in range(threads):
            machine.create(1 + thread)
            first = 0 if self.same else thread * folios
            at = 8 + thread * SHARED
            scratch[at : at + folios] = random.permutation(frames[first : first + folios])
            cpu, mm = machine.map.cpus[thread], machine.map.mms[1 + thread]
            start, order_at = machine.map.scratch, machine.map.scratch + 8 * at
            numbers = (cpu, mm, start, threads, order_at, folios, 1 << setting.order, turns)
            calls.append(machine.bind_function(map_unmap, "miiiiiiii", *numbers))
        return calls

    def pages(self, setting: Setting) -> int:
        """Pages that one thread maps and unmaps in a timed call."""
        folios, turns = self.plan(setting)
        return turns * (folios << setting.order)

    def workload(self, name: str, threads: str) -> Workload:
        """The workload of that name; `threads` begins its summary."""
        return Workload(
            name=name,
            summary=f"{threads}: mapping and unmapping whole folios, all of it timed",
            references=("specification 6.4 and 8",),
            prepare=self.prepare,
            mms=1 + self.threads,
            threads=self.threads,
            scratch=8 * (8 + SHARED * self.threads),
            pages=self.pages,
            limit=lambda order: SHARED * self.threads << order,
        )


def workloads() -> list[Workload]:
    """One thread, then 2, 4, … up to the cores of the host, on the same folios and on disjoint ones."""
    made = [Contention(True, 1).workload("contention-1", "one thread")]
    n = 2
    while n <= (os.cpu_count() or 1):
        made.append(Contention(True, n).workload(f"contention-same-{n}", f"{n} threads on the same folios"))
        made.append(Contention(False, n).workload(f"contention-disjoint-{n}", f"{n} threads on their own folios"))
        n *= 2
    return made
