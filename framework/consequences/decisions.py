"""The kernel's decisions that depend on the policy's answer: what is decided, and what the truth would decide.

Specification 2.8 lists the callers of `folio_maybe_mapped_shared`, specification 2.7 describes COW reuse. A decision
counts only where the answer matters: not where another reference, a limit or the kind of folio settles it whatever
the policy says. All decisions are taken at every moment, for every MM and folio. The model assumes that reclaim,
NUMA balancing, `madvise` and the others run just then; it does not model when they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.consequences.moment import Bools, Moment, Pairs
from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import policy_call
from foliolab.framework.engine.pagetable import PTE_VM_SHARED, PTE_WRITE, PTRS_PER_PTE
from foliolab.framework.engine.structs import PG_anon_exclusive
from foliolab.framework.engine.truth import Counts
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import mm_at, pfn_folio, pfn_to_page

MAX_PTES_SHARED: Final = PTRS_PER_PTE // 2
"""khugepaged's default: half of the pages of a PMD (specification 2.8)."""
MAX_PTES_SWAP: Final = PTRS_PER_PTE // 8
"""khugepaged's default limit of swap entries (specification 2.8)."""


@dataclass(frozen=True)
class Answers:
    """How a decision falls at a moment, each array of shape (questions,).

    Attributes:
        given: whether the policy's answer makes the kernel act as on an exclusive folio.
        right: whether the truth would.
        mm: the MM that is concerned; -1 for no particular one.
        of: the folio, page or frame that is concerned (see `Decision.of`).
    """

    given: Bools
    right: Bools
    mm: Counts
    of: Counts


@dataclass(frozen=True)
class Decision:
    """A decision that depends on the policy's answer.

    Args:
        name: short, unique among all decisions and figures.
        does: what the kernel does if it takes the folio for exclusive.
        section: the section of the specification that describes it.
        ask: how it falls at a moment.
        of: what `Answers.of` names: a folio (by its head), a page of address space, a frame.
        safe: whether acting on a shared folio breaks the policy's claim "safe".
    """

    name: str
    does: str
    section: str
    ask: Callable[[Moment], Answers]
    of: str = "folio"
    safe: bool = True


def _by_answer(moment: Moment, pairs: Pairs) -> Answers:
    """A decision that depends on nothing but whether several MMs may map the folio."""
    given = ~moment.called_shared[pairs.head]
    return Answers(given, moment.truth.owners[pairs.head] == 1, pairs.mm, pairs.head)


# -- specification 2.8 ---------------------------------------------------------------------------------
def khugepaged(moment: Moment) -> Answers:
    """khugepaged collapses a range of PTEs of anonymous pages if at most MAX_PTES_SHARED of them are shared."""
    truth, ptes = moment.truth, moment.ptes
    heads = truth.heads[ptes.frame]
    large = truth.nr_pages_of[heads] > 1
    small_shared = truth.folio_mapcount[heads] > 1
    keys = ptes.mm * (1 << 40) + (ptes.vpn >> PMD_ORDER)  # one number for each range of each MM
    known, range_of = np.unique(keys, return_inverse=True)

    def count(ptes_that: NDArray[Any]) -> Counts:
        return np.bincount(range_of, weights=ptes_that, minlength=known.size).astype(np.int64)

    settled = count(~moment.anon[heads] | (moment.extra[heads] > moment.lru_batch[heads])) > 0
    settled |= count(large | small_shared) <= MAX_PTES_SHARED
    mms, ranges = known >> 40, known & (1 << 40) - 1
    settled |= _swap_entries(moment, mms, ranges) > MAX_PTES_SWAP
    given = count(np.where(large, moment.called_shared[heads], small_shared)) <= MAX_PTES_SHARED
    right = count(np.where(large, truth.owners[heads] > 1, small_shared)) <= MAX_PTES_SHARED
    asked = ~settled
    return Answers(given[asked], right[asked], mms[asked], ranges[asked] * PTRS_PER_PTE)


def _swap_entries(moment: Moment, mms: Counts, ranges: Counts) -> Counts:
    """Swap entries in ranges of the size of a PMD, shape (ranges,)."""
    machine = moment.machine
    if not moment.swap_entries.any():
        return np.zeros(mms.size, np.int64)
    found = []
    for mm, number in zip(mms.tolist(), ranges.tolist(), strict=True):
        entries = machine.ptes(mm)[number * PTRS_PER_PTE : (number + 1) * PTRS_PER_PTE]
        found.append(int(((entries != 0) & (entries & np.uint64(1) == 0)).sum()))
    return np.array(found, np.int64)


def madvise_part(moment: Moment) -> Answers:
    """MADV_COLD, MADV_PAGEOUT and MADV_FREE on a part of a folio split it if it is exclusive, and skip it otherwise."""
    pairs = moment.pairs
    free = (moment.extra[pairs.head] == 0) & ~moment.swapcache[pairs.head]  # others cannot be split
    return _by_answer(moment, pairs.where(free & moment.by_ptes(pairs)))


def migrate(moment: Moment) -> Answers:
    """mbind, migrate_pages and move_pages without MOVE_ALL move exclusive folios only."""
    pairs = moment.pairs
    return _by_answer(moment, pairs.where(moment.extra[pairs.head] <= moment.lru_batch[pairs.head]))


def numa_executable(moment: Moment) -> Answers:
    """NUMA hinting does not migrate shared folios of private (presumably executable) file mappings."""
    pairs = moment.pairs
    free = moment.extra[pairs.head] <= moment.lru_batch[pairs.head]
    return _by_answer(moment, pairs.where(free & ~moment.anon[pairs.head] & ~moment.marked(pairs, PTE_VM_SHARED)))


def numa_group(moment: Moment) -> Answers:
    """NUMA hinting in a MAP_SHARED mapping groups tasks that share a folio (TNF_SHARED)."""
    return _by_answer(moment, moment.pairs.where(moment.marked(moment.pairs, PTE_VM_SHARED)))


def numa_sample(moment: Moment) -> Answers:
    """mprotect for NUMA hinting in a COW mapping skips PTEs of shared folios, and of pinned ones."""
    pairs = moment.pairs
    pins = moment.machine.column("folio", "_pincount")[pairs.head]
    here = moment.by_ptes(pairs) & ~moment.marked(pairs, PTE_VM_SHARED)
    return _by_answer(moment, pairs.where(here & (pins == 0)))


def referenced(moment: Moment) -> Answers:
    """folio_referenced_one skips an exclusive swap-backed folio of an MM that exits; here, every MM exits."""
    return _by_answer(moment, moment.pairs.where(moment.anon[moment.pairs.head]))


# -- specification 2.7 ---------------------------------------------------------------------------------
def ask_can_reuse(vm: Memory, pfn: int, head: int, who: int) -> int:
    """The policy's `can_reuse` for a write of an MM to a frame of a large folio.

    Args:
        pfn, head: the frame, and the first frame of its folio.
        who: offset of the MM.
    """
    mm: Any = mm_at(vm, who)
    return policy_call(vm, calls.CAN_REUSE, pfn_folio(vm, head), pfn_to_page(vm, pfn), 1, mm, 0)


def cow_reuse(moment: Moment) -> Answers:
    """Write faults on read-only PTEs of large anonymous folios reuse the page; one question for each MM and folio.

    Left out: pages that are AnonExclusive, which are reused without asking; and folios with one mapping left, which
    the kernel copies on purpose, to free the large folio.
    """
    truth, ptes = moment.truth, moment.ptes
    heads = truth.heads[ptes.frame]
    exclusive = moment.machine.column("page", "flags")[ptes.frame] >> np.uint64(PG_anon_exclusive) & np.uint64(1)
    faults = (ptes.flags & (PTE_WRITE | PTE_VM_SHARED) == 0) & (exclusive == 0) & moment.anon[heads]
    faults &= (truth.nr_pages_of[heads] > 1) & (truth.folio_mapcount[heads] > 1)
    _, first = np.unique(ptes.mm[faults] * truth.heads.size + heads[faults], return_index=True)
    mms, frames, heads = ptes.mm[faults][first], ptes.frame[faults][first], heads[faults][first]
    right = (truth.owners[heads] == 1) & (moment.extra[heads] == 0)
    right &= ~moment.swapcache[heads] | (moment.swap_entries[heads] == 0)
    given = [_asked(moment, *each) for each in zip(mms.tolist(), frames.tolist(), heads.tolist(), strict=True)]
    return Answers(np.array(given, np.bool_), right, mms, heads)


def _asked(moment: Moment, mm: int, frame: int, head: int) -> bool:
    """The policy's answer. The hook may take the folio out of the swap cache; its struct pages are restored."""
    machine = moment.machine
    stride = machine.layouts["page"].size
    pages = machine.vm.buffer[head * stride : (head + int(moment.truth.nr_pages_of[head])) * stride]
    before = pages.copy()
    answer = machine.bind_function(ask_can_reuse, "miii", frame, head, machine.map.mms[mm])()
    pages[:] = before
    return bool(answer)


# -- specification 3.2 ---------------------------------------------------------------------------------
def pagemap_exclusive(moment: Moment) -> Answers:
    """Bit 56 of pagemap (PM_MMAP_EXCLUSIVE) of every mapped page of a large folio says: mapped exactly once."""
    frames, _, given = seen_frames(moment)
    return Answers(given, moment.truth.page_mapcount[frames] == 1, np.full(frames.size, -1), frames)


def seen_frames(moment: Moment) -> tuple[Counts, Counts, Bools]:
    """(frame, kpagecount, exclusive) of every mapped page of a large folio, each of shape (pages,)."""
    views = list(moment.views.values())
    if not views:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty.astype(np.bool_)
    frames, counts, exclusive, sizes = (
        np.concatenate([getattr(view, name) for view in views]) for name in ("frames", "counts", "exclusive", "sizes")
    )
    distinct, first = np.unique(np.where(sizes > 1, frames, -1), return_index=True)
    first = first[distinct >= 0]
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
"""All decisions, in the order of the report."""
