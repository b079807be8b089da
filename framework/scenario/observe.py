"""What /proc shows of a range of address space, gathered in one native call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.folio import PageAnonExclusive, folio_nr_pages, folio_test_large, page_head_pfn
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PTRS_PER_PTE, frame_of, pmd_ref
from foliolab.framework.engine.procfs import kpagecount, page_is_exclusive
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import Folio
from foliolab.framework.machine.primitives import READ_ONCE, load, mm_at, pfn_folio, pfn_to_page, pte_at, store
from foliolab.framework.scenario.record import View

WORDS = 8
"""Words stored for each page: frame + 1, kpagecount, exclusive, mapped by a PMD, pages of its folio, its head + 1,
AnonExclusive, whether its folio is in the split queue."""


@dataclass(frozen=True)
class ModelView(View):
    """What an MM of the engine sees, with its folios.

    Attributes:
        heads: first frame of the folio that each page belongs to; -1 for pages that are not mapped, shape (nr_pages,).
        sizes: pages of that folio; 0 for pages that are not mapped, shape (nr_pages,).
        queued: whether that folio is in the deferred split queue; 0 for pages that are not mapped, shape (nr_pages,).
    """

    heads: NDArray[np.int64]
    sizes: NDArray[np.int64]
    queued: NDArray[np.int64]


def view_of(machine: Machine, mm: int, start: int, nr: int) -> ModelView:
    """What an MM sees of nr pages. The machine needs 8 * WORDS bytes of scratch memory for each page."""
    words = machine.scratch()[: WORDS * nr]
    words[:] = 0
    for first, last in _runs(machine, mm, start, nr):
        out = machine.map.scratch + 8 * WORDS * (first - start)
        machine.bind_function(observe, "miiii", machine.map.mms[mm], first, last - first, out)()
    words = words.reshape(nr, WORDS).T.copy()
    return ModelView(
        frames=words[0] - 1,
        counts=words[1],
        exclusive=words[2],
        pmd=words[3] != 0,
        sizes=words[4],
        heads=words[5] - 1,
        anon_exclusive=words[6],
        queued=words[7],
    )


def _runs(machine: Machine, mm: int, start: int, nr: int) -> Iterator[tuple[int, int]]:
    """The first and the end of each run of pages that have an entry in a page table: most pages have none."""
    vpns = np.arange(start, start + nr)
    present = (machine.ptes(mm)[vpns] != 0) | (machine.pmds(mm)[vpns // PTRS_PER_PTE] != 0)
    edges = np.flatnonzero(np.diff(present, prepend=False, append=False)) + start
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _is_queued(folio: Folio) -> bool:
    """Whether a large folio is in the deferred split queue; folios of two pages have no place in it."""
    return folio_nr_pages(folio) > 2 and load(folio._deferred_list[0]) != 0


def observe(vm: Memory, who: int, start: int, nr: int, out: int) -> int:
    """Store `WORDS` words at offset `out` for each of nr pages of an MM, from page `start` on, where 0 stands."""
    mm: Any = mm_at(vm, who)
    for vpn in range(start, start + nr):
        pfn = frame_of(vm, mm, vpn)
        if pfn >= 0:
            head = page_head_pfn(vm, pfn)
            folio = pfn_folio(vm, head)
            store(pte_at(vm, out).pte, pfn + 1)
            store(pte_at(vm, out + 8).pte, kpagecount(vm, pfn))
            store(pte_at(vm, out + 16).pte, 1 if page_is_exclusive(vm, pfn) else 0)
            store(pte_at(vm, out + 24).pte, 1 if READ_ONCE(pmd_ref(vm, mm, vpn)) else 0)
            store(pte_at(vm, out + 32).pte, folio_nr_pages(folio) if folio_test_large(folio) else 1)
            store(pte_at(vm, out + 40).pte, head + 1)
            store(pte_at(vm, out + 48).pte, 1 if PageAnonExclusive(pfn_to_page(vm, pfn)) else 0)
            store(pte_at(vm, out + 56).pte, 1 if folio_test_large(folio) and _is_queued(folio) else 0)
        out += 8 * WORDS
    return 0
