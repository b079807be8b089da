"""The askers of Linux: the callers of `folio_maybe_mapped_shared`, the write fault, and pagemap.

Specification 2.8 lists the callers, specification 2.7 describes COW reuse. All decide at every moment, for every MM and
folio. The model assumes that reclaim, NUMA balancing, `madvise` and the others run just then; it does not model when
they do.
"""

from __future__ import annotations

from functools import partial

from foliolab.framework.api import PMD_ORDER, PTE_VM_SHARED, PTE_WRITE, PTRS_PER_PTE, Answers, Asker, Moment

MAX_PTES_SHARED = PTRS_PER_PTE // 2
"""khugepaged's default: half of the pages of a PMD (specification 2.8)."""
MAX_PTES_SWAP = PTRS_PER_PTE // 8
"""khugepaged's default limit of swap entries (specification 2.8)."""


# -- specification 2.8 ---------------------------------------------------------------------------------
def collapse(moment: Moment, order: int, max_shared: int, max_swap: int) -> Answers:
    """khugepaged collapses a range of PTEs of anonymous pages into one folio, if not too many are shared.

    Args:
        order: of the folio; below PMD_ORDER, a range in which a folio is that large already is left alone.
        max_shared, max_swap: how many PTEs of the range may be shared, and swapped out.
    """
    heads = moment.heads[moment.ptes.frame]
    large = moment.nr_pages_of[heads] > 1
    small_shared = ~large & (moment.mapcount[heads] > 1)
    ranges = moment.ranges(order)
    settled = ranges.count(~moment.anon[heads] | (moment.extra[heads] > moment.lru_batch[heads])) > 0
    settled |= ranges.count(large | small_shared) <= max_shared
    settled |= ranges.count(small_shared) > max_shared
    settled |= ranges.swapped > max_swap
    if order < PMD_ORDER:
        settled |= ranges.count(moment.nr_pages_of[heads] >= 1 << order) > 0
    given = ranges.count(small_shared | large & moment.called_shared[heads]) <= max_shared
    right = ranges.count(small_shared | large & (moment.owners[heads] > 1)) <= max_shared
    asked = ~settled
    return Answers(given[asked], right[asked], ranges.mm[asked], ranges.vpn[asked])


khugepaged = partial(collapse, order=PMD_ORDER, max_shared=MAX_PTES_SHARED, max_swap=MAX_PTES_SWAP)


def madvise_part(moment: Moment) -> Answers:
    """MADV_COLD, MADV_PAGEOUT and MADV_FREE on a part of a folio split it if it is exclusive, and skip it otherwise."""
    pairs = moment.pairs
    free = (moment.extra[pairs.head] == 0) & ~moment.swapcache[pairs.head]  # others cannot be split
    return moment.by_answer(pairs.where(free & moment.by_ptes(pairs)))


def migrate(moment: Moment) -> Answers:
    """mbind, migrate_pages and move_pages without MOVE_ALL move exclusive folios only."""
    pairs = moment.pairs
    return moment.by_answer(pairs.where(moment.extra[pairs.head] <= moment.lru_batch[pairs.head]))


def numa_executable(moment: Moment) -> Answers:
    """NUMA hinting does not migrate shared folios of private (presumably executable) file mappings."""
    pairs = moment.pairs
    free = moment.extra[pairs.head] <= moment.lru_batch[pairs.head]
    return moment.by_answer(pairs.where(free & ~moment.anon[pairs.head] & ~moment.vm_shared(pairs)))


def numa_group(moment: Moment) -> Answers:
    """NUMA hinting in a MAP_SHARED mapping groups tasks that share a folio (TNF_SHARED)."""
    return moment.by_answer(moment.pairs.where(moment.vm_shared(moment.pairs)))


def numa_sample(moment: Moment) -> Answers:
    """mprotect for NUMA hinting in a COW mapping skips PTEs of shared folios, and of pinned ones."""
    pairs = moment.pairs
    here = moment.by_ptes(pairs) & ~moment.vm_shared(pairs)
    return moment.by_answer(pairs.where(here & (moment.pins[pairs.head] == 0)))


def referenced(moment: Moment) -> Answers:
    """folio_referenced_one skips an exclusive swap-backed folio of an MM that exits; here, every MM exits."""
    return moment.by_answer(moment.pairs.where(moment.anon[moment.pairs.head]))


# -- specification 2.7 ---------------------------------------------------------------------------------
def cow_reuse(moment: Moment) -> Answers:
    """Write faults on read-only PTEs of large anonymous folios reuse the page; one question for each MM and folio.

    Left out: pages that are AnonExclusive, which are reused without asking; and folios with one mapping left, which
    the kernel copies on purpose, to free the large folio.
    """
    ptes = moment.ptes
    heads = moment.heads[ptes.frame]
    faults = (ptes.flags & (PTE_WRITE | PTE_VM_SHARED) == 0) & ~moment.anon_exclusive[ptes.frame] & moment.anon[heads]
    faults &= (moment.nr_pages_of[heads] > 1) & (moment.mapcount[heads] > 1)
    asked = moment.once_a_folio(ptes.where(faults))
    heads = moment.heads[asked.frame]
    right = (moment.owners[heads] == 1) & (moment.extra[heads] == 0)
    right &= ~moment.swapcache[heads] | (moment.swap_entries[heads] == 0)
    return Answers(moment.can_reuse(asked), right, asked.mm, heads)


# -- specification 3.2 ---------------------------------------------------------------------------------
def pagemap_exclusive(moment: Moment) -> Answers:
    """Bit 56 of pagemap (PM_MMAP_EXCLUSIVE) of every mapped page of a large folio says: mapped exactly once."""
    seen = moment.seen
    return Answers(seen.exclusive, moment.page_mapcount[seen.frame] == 1, 0 * seen.frame - 1, seen.frame)


ASKERS = (
    Asker(
        name="khugepaged",
        who="khugepaged",
        when="for each range of PTEs of the size of a PMD",
        exclusive="collapses the range (max_ptes_shared)",
        shared="counts the folio's PTEs against max_ptes_shared, and gives up beyond",
        source="specification 2.8",
        ask=khugepaged,
        of="page",
    ),
    Asker(
        name="madvise",
        who="MADV_COLD, MADV_PAGEOUT, MADV_FREE",
        when="for a folio that lies in the range with a part only",
        exclusive="MADV_COLD, PAGEOUT, FREE on a part: splits the folio, then goes on",
        shared="skips the folio",
        source="specification 2.8",
        ask=madvise_part,
    ),
    Asker(
        name="migrate",
        who="mbind, migrate_pages, move_pages",
        when="for each folio of the range, without MOVE_ALL",
        exclusive="mbind, migrate_pages, move_pages move the folio without MOVE_ALL",
        shared="leaves the folio on its node",
        source="specification 2.8",
        ask=migrate,
    ),
    Asker(
        name="numa-exec",
        who="NUMA hinting",
        when="at a hinting fault in a private mapping of a file",
        exclusive="NUMA hinting migrates a folio of an executable file",
        shared="leaves the folio on its node",
        source="specification 2.8",
        ask=numa_executable,
    ),
    Asker(
        name="numa-group",
        who="NUMA hinting",
        when="at a hinting fault in a MAP_SHARED mapping",
        exclusive="NUMA hinting in MAP_SHARED takes the folio for private (no TNF_SHARED)",
        shared="groups the tasks that share the folio (TNF_SHARED)",
        source="specification 2.8",
        ask=numa_group,
    ),
    Asker(
        name="numa-sample",
        who="mprotect for NUMA hinting",
        when="for each folio of a COW mapping",
        exclusive="NUMA hinting samples the PTEs of a COW mapping",
        shared="skips the folio's PTEs",
        source="specification 2.8",
        ask=numa_sample,
    ),
    Asker(
        name="referenced",
        who="folio_referenced",
        when="for a swap-backed folio of a process that is dying",
        exclusive="folio_referenced skips the folio of a process that is dying",
        shared="looks at the process's PTEs, too",
        source="specification 2.8",
        ask=referenced,
    ),
    Asker(
        name="cow-reuse",
        who="the write fault",
        when="on a read-only PTE of a large anonymous folio that is not AnonExclusive",
        exclusive="a write fault reuses the page of a large folio",
        shared="copies the page",
        source="specification 2.7",
        ask=cow_reuse,
    ),
    Asker(
        name="pagemap-56",
        who="pagemap",
        when="for each mapped page of a large folio",
        exclusive="pagemap shows the page as exclusive (bit 56)",
        shared="shows the page as shared",
        source="specification 3.2",
        ask=pagemap_exclusive,
        of="frame",
        safe=False,
    ),
)
"""In the order of the report."""
