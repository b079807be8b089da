"""Who decides by the policy's answer, and what each would do if it answered as the page tables do.

Specification 2.8 lists the callers of `folio_maybe_mapped_shared`, 2.7 has COW reuse. Each is asked only where
the answer decides: not where another reference, a limit or the kind of folio settles it whatever the policy says.
All of them are asked at every moment, of every MM and folio; that reclaim, NUMA nodes, `madvise` and the rest
would come by just then is assumed, not modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.consequences.sample import Bools, Pairs, Sample
from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import policy_call
from foliolab.framework.engine.pagetable import PMD_ORDER, PTE_VM_SHARED, PTE_WRITE, PTRS_PER_PTE
from foliolab.framework.engine.structs import PG_anon_exclusive
from foliolab.framework.engine.truth import Counts
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import mm_at, pfn_folio, pfn_to_page

MAX_PTES_SHARED: Final = PTRS_PER_PTE // 2
"""khugepaged's default: half of the pages of a PMD (specification 2.8)."""
MAX_PTES_SWAP: Final = PTRS_PER_PTE // 8
"""khugepaged's default limit of swap entries."""


@dataclass(frozen=True)
class Answers:
    """What an asker decides, each array of shape (questions,).

    Attributes:
        given: whether it does by the policy's answer what it does with an exclusive folio.
        right: whether it would by the truth.
        mm: for which MM; -1: for no particular one.
        of: of which folio, by its first frame; what else it is says `Decision.of`.
    """

    given: Bools
    right: Bools
    mm: Counts
    of: Counts


@dataclass(frozen=True)
class Decision:
    """An asker.

    Args:
        name: short, unique among all askers.
        does: what it does where it takes the folio for exclusive.
        source: section of the specification.
        ask: its questions at a moment.
        of: what a question is about: a folio (by its head), a page of address space, a frame.
        safe: whether doing it though shared breaks what the policy claims by "safe".
    """

    name: str
    does: str
    source: str
    ask: Callable[[Sample], Answers]
    of: str = "folio"
    safe: bool = True


def _by_answer(sample: Sample, pairs: Pairs) -> Answers:
    """Whoever asks nothing but whether the folio may be mapped by several MMs."""
    given = ~sample.called_shared[pairs.head]
    return Answers(given, sample.truth.owners[pairs.head] == 1, pairs.mm, pairs.head)


# -- specification 2.8 ---------------------------------------------------------------------------------
def khugepaged(sample: Sample) -> Answers:
    """Ranges of PTEs of anonymous pages: at most MAX_PTES_SHARED of them may be shared."""
    truth, ptes = sample.truth, sample.ptes
    heads = truth.heads[ptes.frame]
    large = truth.nr_pages_of[heads] > 1
    small_shared = truth.folio_mapcount[heads] > 1
    ranges = ptes.mm * (1 << 40) + (ptes.vpn >> PMD_ORDER)  # one number a range of an MM
    known, which = np.unique(ranges, return_inverse=True)

    def count(what: NDArray[Any]) -> Counts:
        return np.bincount(which, weights=what, minlength=known.size).astype(np.int64)

    settled = count(~sample.anon[heads] | (sample.extra[heads] > sample.lru_batch[heads])) > 0
    settled |= count(large | small_shared) <= MAX_PTES_SHARED
    mms, places = known >> 40, known & (1 << 40) - 1
    settled |= _swap_entries(sample, mms, places) > MAX_PTES_SWAP
    given = count(np.where(large, sample.called_shared[heads], small_shared)) <= MAX_PTES_SHARED
    right = count(np.where(large, truth.owners[heads] > 1, small_shared)) <= MAX_PTES_SHARED
    asked = ~settled
    return Answers(given[asked], right[asked], mms[asked], places[asked] * PTRS_PER_PTE)


def _swap_entries(sample: Sample, mms: Counts, places: Counts) -> Counts:
    machine = sample.machine
    if not sample.swap_entries.any():
        return np.zeros(mms.size, np.int64)
    found = []
    for mm, place in zip(mms.tolist(), places.tolist(), strict=True):
        entries = machine.ptes(mm)[place * PTRS_PER_PTE : (place + 1) * PTRS_PER_PTE]
        found.append(int(((entries != 0) & (entries & np.uint64(1) == 0)).sum()))
    return np.array(found, np.int64)


def madvise_part(sample: Sample) -> Answers:
    """MADV_COLD, MADV_PAGEOUT and MADV_FREE of a part of a folio that PTEs map: it is split, else passed over."""
    pairs = sample.pairs
    free = (sample.extra[pairs.head] == 0) & ~sample.swapcache[pairs.head]  # or it cannot be split
    return _by_answer(sample, pairs.where(free & sample.by_ptes(pairs)))


def migrate(sample: Sample) -> Answers:
    """mbind, migrate_pages and move_pages without MOVE_ALL."""
    pairs = sample.pairs
    return _by_answer(sample, pairs.where(sample.extra[pairs.head] <= sample.lru_batch[pairs.head]))


def numa_executable(sample: Sample) -> Answers:
    """NUMA hinting on a private, presumably executable, mapping of a file."""
    pairs = sample.pairs
    free = sample.extra[pairs.head] <= sample.lru_batch[pairs.head]
    return _by_answer(sample, pairs.where(free & ~sample.anon[pairs.head] & ~sample.marked(pairs, PTE_VM_SHARED)))


def numa_group(sample: Sample) -> Answers:
    """NUMA hinting in a MAP_SHARED mapping: TNF_SHARED groups tasks."""
    return _by_answer(sample, sample.pairs.where(sample.marked(sample.pairs, PTE_VM_SHARED)))


def numa_sample(sample: Sample) -> Answers:
    """mprotect for NUMA hinting in a COW mapping: PTEs of shared folios are skipped, also of pinned ones."""
    pairs = sample.pairs
    pins = sample.machine.column("folio", "_pincount")[pairs.head]
    here = sample.by_ptes(pairs) & ~sample.marked(pairs, PTE_VM_SHARED)
    return _by_answer(sample, pairs.where(here & (pins == 0)))


def referenced(sample: Sample) -> Answers:
    """folio_referenced_one, were the MM just exiting: it skips a swap-backed folio that is the MM's alone."""
    return _by_answer(sample, sample.pairs.where(sample.anon[sample.pairs.head]))


# -- specification 2.7 ---------------------------------------------------------------------------------
def ask_can_reuse(vm: Memory, pfn: int, head: int, who: int) -> int:
    """The policy's `can_reuse`, for a write of an MM to that frame of a large folio."""
    mm: Any = mm_at(vm, who)
    return policy_call(vm, calls.CAN_REUSE, pfn_folio(vm, head), pfn_to_page(vm, pfn), 1, mm, 0)


def cow_reuse(sample: Sample) -> Answers:
    """Write faults on read-only PTEs of large anonymous folios, once for each MM and folio.

    Not asked where the page is AnonExclusive (reused without a question), nor where one mapping is left: to copy
    then is meant, since it gives the large folio back.
    """
    truth, ptes = sample.truth, sample.ptes
    heads = truth.heads[ptes.frame]
    exclusive = sample.machine.column("page", "flags")[ptes.frame] >> np.uint64(PG_anon_exclusive) & np.uint64(1)
    faults = (ptes.flags & (PTE_WRITE | PTE_VM_SHARED) == 0) & (exclusive == 0) & sample.anon[heads]
    faults &= (truth.nr_pages_of[heads] > 1) & (truth.folio_mapcount[heads] > 1)
    _, first = np.unique(ptes.mm[faults] * truth.heads.size + heads[faults], return_index=True)
    mms, frames, heads = ptes.mm[faults][first], ptes.frame[faults][first], heads[faults][first]
    right = (truth.owners[heads] == 1) & (sample.extra[heads] == 0)
    right &= ~sample.swapcache[heads] | (sample.swap_entries[heads] == 0)
    given = [_asked(sample, *each) for each in zip(mms.tolist(), frames.tolist(), heads.tolist(), strict=True)]
    return Answers(np.array(given, np.bool_), right, mms, heads)


def _asked(sample: Sample, mm: int, frame: int, head: int) -> bool:
    """The answer; what the question changes in the folio (it may leave the swap cache) is put back."""
    machine = sample.machine
    stride = machine.layouts["page"].size
    pages = machine.vm.buffer[head * stride : (head + int(sample.truth.nr_pages_of[head])) * stride]
    before = pages.copy()
    answer = machine.bind_function(ask_can_reuse, "miii", frame, head, machine.map.mms[mm])()
    pages[:] = before
    return bool(answer)


# -- specification 3.2 ---------------------------------------------------------------------------------
def pagemap_exclusive(sample: Sample) -> Answers:
    """Bit 56 of pagemap (PM_MMAP_EXCLUSIVE), of every mapped page of a large folio: mapped exactly once."""
    frames, _, given = seen_frames(sample)
    return Answers(given, sample.truth.page_mapcount[frames] == 1, np.full(frames.size, -1), frames)


def seen_frames(sample: Sample) -> tuple[Counts, Counts, Bools]:
    """(frame, kpagecount, exclusive) of every mapped page of a large folio, each of shape (pages,)."""
    seen = list(sample.views.values())
    if not seen:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing.astype(np.bool_)
    frames, counts, exclusive, sizes = (
        np.concatenate([getattr(view, name) for view in seen]) for name in ("frames", "counts", "exclusive", "sizes")
    )
    known, first = np.unique(np.where(sizes > 1, frames, -1), return_index=True)
    first = first[known >= 0]
    return frames[first], counts[first], exclusive[first] != 0


DECISIONS: Final = (
    Decision("khugepaged", "collapses the range (max_ptes_shared)", "2.8", khugepaged, "page"),
    Decision("madvise", "MADV_COLD, PAGEOUT, FREE on a part: splits the folio, then goes on", "2.8", madvise_part),
    Decision("migrate", "mbind, migrate_pages, move_pages move the folio without MOVE_ALL", "2.8", migrate),
    Decision("numa-exec", "NUMA hinting migrates a folio of an executable file", "2.8", numa_executable),
    Decision("numa-group", "NUMA hinting in MAP_SHARED takes the folio for private (no TNF_SHARED)", "2.8", numa_group),
    Decision("numa-sample", "NUMA hinting samples the PTEs of a COW mapping", "2.8", numa_sample),
    Decision("referenced", "folio_referenced skips the folio of a process that is dying", "2.8", referenced),
    Decision("cow-reuse", "a write fault reuses the page of a large folio", "2.7", cow_reuse),
    Decision(
        "pagemap-56", "pagemap shows the page as exclusive (bit 56)", "3.2", pagemap_exclusive, "frame", safe=False
    ),
)
"""All askers that decide."""
