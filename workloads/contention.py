"""Contention: threads that map and unmap folios of one size, the same ones or each its own.

Every thread is an MM on a CPU of its own. It takes references, maps all pages of a folio by PTEs, unmaps them
and drops the references, folio after folio in a random order of its own, so that threads do not march in
step; the spread over the rounds is part of the result. An idle MM maps all folios throughout. A thread that
spins too long for a lock yields its time slice; samples in which that happened are flagged (`native.yields`).

Source: specification 8 (open: "bit lock on big multi-socket machines"), 6.4 (kernel test robot).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
"""Folios that the threads share: few enough to meet, more than the threads."""


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


def _frames(machine: Machine, setting: Setting) -> list[int]:
    return [machine.frame(HOLDER, vpn) for vpn in range(0, setting.nr_pages, 1 << setting.order)]


def _plan(setting: Setting, threads: int) -> tuple[int, int]:
    """Folios of each thread, and how often it goes through them."""
    share = max(1, min(SHARED, (setting.nr_pages >> setting.order) // threads))
    return share, 1 if setting.counting else max(1, PAGES // (share << setting.order))


def prepare(machine: Machine, setting: Setting, same: bool, threads: int) -> Sequence[Timed]:
    """An idle MM maps all folios; one call a thread."""
    import numpy as np

    machine.create(HOLDER)
    machine.populate(HOLDER, 0, setting.nr_pages, setting.order)
    frames = _frames(machine, setting)
    share, turns = _plan(setting, threads)
    random = np.random.default_rng(setting.seed)
    scratch = machine.scratch()
    calls = []
    for thread in range(1 if setting.counting else threads):
        machine.create(1 + thread)
        mine = frames[:share] if same else frames[thread * share : (thread + 1) * share]
        at = 8 + thread * SHARED
        scratch[at : at + share] = random.permutation(mine)
        numbers = (
            machine.map.cpus[thread],
            machine.map.mms[1 + thread],
            machine.map.scratch,
            1 if setting.counting else threads,
            machine.map.scratch + 8 * at,
            share,
            1 << setting.order,
            turns,
        )
        calls.append(machine.bind_function(map_unmap, "miiiiiiii", *numbers))
    return calls


class _Case:
    """One way to contend: its `prepare` and the pages that each thread then handles."""

    def __init__(self, same: bool, threads: int) -> None:
        self.same = same
        self.threads = threads

    def prepare(self, machine: Machine, setting: Setting) -> Sequence[Timed]:
        return prepare(machine, setting, self.same, self.threads)

    def pages(self, setting: Setting) -> int:
        share, turns = _plan(setting, self.threads)
        return turns * (share << setting.order)

    def limit(self, order: int) -> int:
        return SHARED * self.threads << order


def workloads() -> list[Workload]:
    """One thread, then 2, 4, … up to the machine's cores, on the same folios and on disjoint ones."""
    made = [_workload("contention-1", "one thread", _Case(True, 1))]
    threads = 2
    while threads <= (os.cpu_count() or 1):
        made += [
            _workload(f"contention-same-{threads}", f"{threads} threads on the same folios", _Case(True, threads)),
            _workload(
                f"contention-disjoint-{threads}",
                f"{threads} threads on their own folios",
                _Case(False, threads),
            ),
        ]
        threads *= 2
    return made


def _workload(name: str, what: str, case: _Case) -> Workload:
    return Workload(
        name=name,
        summary=f"{what}: mapping and unmapping whole folios, all of it timed",
        references=("specification 6.4 and 8",),
        prepare=case.prepare,
        mms=1 + case.threads,
        threads=case.threads,
        scratch=8 * (8 + SHARED * case.threads),
        pages=case.pages,
        limit=case.limit,
    )
