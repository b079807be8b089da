"""The engine's entry points: whole operations on offsets and numbers, run interpreted or native.

Every function here takes the memory first; `KINDS` gives its arguments' kinds (m memory, i integer).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from foliolab.framework.engine import (
    fault,
    fork,
    gup,
    huge,
    lazyfree,
    locks,
    migration,
    mm,
    procfs,
    reference,
    threads,
    zap,
)
from foliolab.framework.engine.folio import leave_lru_batch, page_head_pfn
from foliolab.framework.engine.fork import ENOMEM, OK
from foliolab.framework.engine.pagetable import PTRS_PER_PTE, pmd_ref
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, cpu_at, mm_at, pfn_folio, zone_at

NO_PMDS: Final = 2


def mm_create(vm: Memory, zone: int, who: int, mm_id: int) -> int:
    """A new MM; with `mm_id` 0 it gets the lowest free ID. Returns OK or ENOMEM."""
    if mm_id:
        mm.mm_take_id(vm, zone_at(vm, zone), mm_at(vm, who), mm_id)
        return OK
    if mm.mm_alloc_id(vm, zone_at(vm, zone), mm_at(vm, who)):
        return OK
    return ENOMEM


def mm_drop(vm: Memory, zone: int, who: int) -> int:
    """Free an MM's ID."""
    mm.mm_free_id(vm, zone_at(vm, zone), mm_at(vm, who))
    return OK


def populate(vm: Memory, cpu: int, zone: int, who: int, start: int, nr: int, order: int, pmd: int, batched: int) -> int:
    """First touch of nr pages with anonymous folios of one order.

    Args:
        pmd: 1: PMDs map folios of PMD_ORDER; 0: they are split again; NO_PMDS: the policy knows none.

    Returns:
        OK or ENOMEM.
    """
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    m = mm_at(vm, who)
    for vpn in range(start, start + nr, 1 << order):
        if order == PMD_ORDER and pmd != NO_PMDS:
            # a PMD-sized folio is always mapped by a PMD first, specification 1.4
            if not huge.anon_huge_fault(vm, c, z, m, vpn, batched):
                return ENOMEM
            if not pmd:
                huge.split_huge_pmd(vm, c, z, m, vpn)
        elif not fault.anon_fault(vm, c, z, m, vpn, order, batched):
            return ENOMEM
    return OK


def fork_range(vm: Memory, contents: Memory, cpu: int, zone: int, parent: int, child: int, start: int, nr: int) -> int:
    """Copy the page tables of nr pages to the child. Returns OK or ENOMEM."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    old = mm_at(vm, parent)
    new = mm_at(vm, child)
    huge.split_edges(vm, c, z, old, start, start + nr)
    vpn = start
    while vpn < start + nr:
        stop = min(start + nr, (vpn | (PTRS_PER_PTE - 1)) + 1)
        copied = False
        if READ_ONCE(pmd_ref(vm, old, vpn)):
            copied = fork.copy_huge_pmd(vm, old, new, vpn)
            if not copied:
                huge.split_huge_pmd(vm, c, z, old, vpn)
        if not copied and fork.copy_ptes(vm, contents, c, z, old, new, vpn, stop) != OK:
            return ENOMEM
        vpn = stop
    return OK


def zap_range(vm: Memory, cpu: int, zone: int, who: int, start: int, nr: int, flush: int) -> int:
    """munmap or MADV_DONTNEED of nr pages; a PMD at an edge is split first."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    m = mm_at(vm, who)
    huge.split_edges(vm, c, z, m, start, start + nr)
    zap.zap_range(vm, c, z, m, start, start + nr, flush)
    return OK


def flush_gather(vm: Memory, cpu: int, zone: int) -> int:
    """Drop the references that an unflushed zap still holds."""
    zap.tlb_flush_mmu(vm, cpu_at(vm, cpu), zone_at(vm, zone))
    return OK


def write_range(
    vm: Memory, contents: Memory, cpu: int, zone: int, who: int, start: int, nr: int, value: int, nbytes: int
) -> int:
    """The application stores into the first `nbytes` bytes of each of nr pages.

    Returns:
        8 times the pages that were written, plus the outcome of the last: UNCHANGED, REUSED or COPIED; or
        why the next one could not be written.
    """
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    m = mm_at(vm, who)
    outcome = fault.UNCHANGED
    for vpn in range(start, start + nr):
        outcome = fault.write_page(vm, contents, c, z, m, vpn, value, nbytes)
        if outcome > fault.COPIED:
            return (vpn - start) << 3 | outcome
    return nr << 3 | outcome


def touch_new(vm: Memory, contents: Memory, cpu: int, zone: int, who: int, vpn: int) -> int:
    """First touch of one page with a small folio; NEW_PAGE or NO_MEMORY."""
    return fault.touch_new(vm, contents, cpu_at(vm, cpu), zone_at(vm, zone), mm_at(vm, who), vpn)


def split_range(vm: Memory, cpu: int, zone: int, who: int, start: int, nr: int) -> int:
    """Map by PTEs what PMDs map in the range (the remap benchmark)."""
    huge.split_range(vm, cpu_at(vm, cpu), zone_at(vm, zone), mm_at(vm, who), start, start + nr)
    return OK


def protect_range(vm: Memory, cpu: int, zone: int, who: int, start: int, nr: int) -> int:
    """mprotect to read-only and back: what may be written without a fault is writable again, specification 1.7."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    m = mm_at(vm, who)
    huge.split_edges(vm, c, z, m, start, start + nr)
    mm.make_writable(vm, m, start, start + nr)
    return OK


def move_range(vm: Memory, cpu: int, zone: int, who: int, start: int, to: int, nr: int) -> int:
    """mremap nr pages to an unmapped range; PMDs that cannot move whole are split."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    m = mm_at(vm, who)
    if (start ^ to) & (PTRS_PER_PTE - 1):
        huge.split_range(vm, c, z, m, start, start + nr)
    else:
        huge.split_edges(vm, c, z, m, start, start + nr)
    mm.move_ptes(vm, z, m, start, to, nr)
    return OK


def file_alloc(vm: Memory, zone: int, order: int, shmem: int) -> int:
    """A folio in the page cache; its frame, -1 without memory."""
    return fault.file_folio(vm, zone_at(vm, zone), order, shmem)


def file_map(vm: Memory, cpu: int, who: int, vpn: int, pfn: int, nr: int, flags: int) -> int:
    """Map nr pages of a file folio by PTEs."""
    fault.file_map(vm, cpu_at(vm, cpu), mm_at(vm, who), vpn, pfn, nr, flags)
    return OK


def file_map_huge(vm: Memory, cpu: int, who: int, vpn: int, pfn: int, flags: int) -> int:
    """Map a file folio of PMD size by a PMD."""
    huge.file_huge_map(vm, cpu_at(vm, cpu), mm_at(vm, who), vpn, pfn, flags)
    return OK


def file_drop(vm: Memory, cpu: int, zone: int, pfn: int) -> int:
    """Truncate a file folio that nothing maps."""
    fault.file_drop(vm, cpu_at(vm, cpu), zone_at(vm, zone), pfn)
    return OK


def get_user(vm: Memory, pfn: int, nr: int) -> int:
    """Take nr references without FOLL_PIN."""
    reference.folio_get_user(vm, pfn, nr)
    return OK


def put_user(vm: Memory, cpu: int, zone: int, pfn: int, nr: int) -> int:
    """Drop references that get_user took."""
    reference.folio_put_user(vm, cpu_at(vm, cpu), zone_at(vm, zone), pfn, nr)
    return OK


def pin(vm: Memory, who: int, pfn: int) -> int:
    """Pin a folio for DMA."""
    reference.pin_folio(vm, mm_at(vm, who), pfn)
    return OK


def gup_fast(vm: Memory, contents: Memory, cpu: int, zone: int, who: int, vpn: int) -> int:
    """Pin one page for writing, by GUP-fast if that is possible; its frame, -1 without memory."""
    return gup.pin_user_page(vm, contents, cpu_at(vm, cpu), zone_at(vm, zone), mm_at(vm, who), vpn)


def unpin(vm: Memory, cpu: int, zone: int, pfn: int) -> int:
    """Undo one pin."""
    gup.forget_pin(vm, zone_at(vm, zone), pfn)
    reference.unpin_folio(vm, cpu_at(vm, cpu), zone_at(vm, zone), pfn)
    return OK


def drain(vm: Memory, cpu: int, zone: int, pfn: int) -> int:
    """Drain the LRU batch that the folio is in; the batch may hold its last reference."""
    head = page_head_pfn(vm, pfn)
    if leave_lru_batch(pfn_folio(vm, head)):
        zap.folio_put_refs(vm, cpu_at(vm, cpu), zone_at(vm, zone), head, 1)
    return OK


def swap_cache(vm: Memory, pfn: int) -> int:
    """Put an anonymous folio into the swap cache; whether it was outside."""
    return int(reference.add_to_swap_cache(vm, pfn))


def swap_out(vm: Memory, cpu: int, zone: int, who: int, vpn: int) -> int:
    """Replace one PTE by a swap entry; whether that was allowed."""
    return int(reference.try_to_unmap_one(vm, cpu_at(vm, cpu), zone_at(vm, zone), mm_at(vm, who), vpn))


def swap_in(vm: Memory, cpu: int, who: int, vpn: int) -> int:
    """Map a swapped page again from the swap cache."""
    reference.swap_in_one(vm, cpu_at(vm, cpu), mm_at(vm, who), vpn)
    return OK


def free_range(vm: Memory, cpu: int, zone: int, who: int, start: int, nr: int) -> int:
    """MADV_FREE of nr pages that PTEs map."""
    lazyfree.free_range(vm, cpu_at(vm, cpu), zone_at(vm, zone), mm_at(vm, who), start, start + nr)
    return OK


def discard(vm: Memory, cpu: int, zone: int, who: int, vpn: int) -> int:
    """Reclaim a lazily freed folio that one MM maps from `vpn` on; whether all of it went."""
    return int(lazyfree.discard(vm, cpu_at(vm, cpu), zone_at(vm, zone), mm_at(vm, who), vpn))


def migrate(vm: Memory, cpu: int, zone: int, who: int, child: int, vpn: int) -> int:
    """Begin to migrate the folio at `vpn`, and map it again there and in a child that is forked meanwhile."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    migration.migrate(vm, c, z, mm_at(vm, who), mm_at(vm, child), vpn)
    return OK


# -- operations of an MM that several threads use, under its locks ----------------------------------------
def write_range_locked(
    vm: Memory, contents: Memory, cpu: int, zone: int, who: int, start: int, nr: int, value: int, nbytes: int
) -> int:
    """`write_range`, with faults that other threads may come between."""
    c = cpu_at(vm, cpu)
    z = zone_at(vm, zone)
    m = mm_at(vm, who)
    outcome = fault.UNCHANGED
    for vpn in range(start, start + nr):
        outcome = threads.write_page_of_thread(vm, contents, c, z, m, vpn, value, nbytes)
        if outcome > fault.NEW_PAGE:
            return (vpn - start) << 3 | outcome
    return nr << 3 | outcome


def zap_range_locked(vm: Memory, cpu: int, zone: int, who: int, start: int, nr: int, flush: int) -> int:
    """MADV_DONTNEED, beside which other threads may fault."""
    m = mm_at(vm, who)
    locks.mmap_read_lock(vm, m)
    locks.pte_lock(vm, m)
    zap_range(vm, cpu, zone, who, start, nr, 0)
    locks.pte_unlock(vm, m)
    if flush:
        flush_gather(vm, cpu, zone)
    locks.mmap_read_unlock(vm, m)
    return OK


def fork_range_locked(
    vm: Memory, contents: Memory, cpu: int, zone: int, parent: int, child: int, start: int, nr: int
) -> int:
    """`copy_page_range` of a parent whose other threads run on."""
    m = mm_at(vm, parent)
    locks.mmap_write_lock(vm, m)
    locks.write_protect_begin(vm, m)
    locks.pte_lock(vm, m)
    outcome = fork_range(vm, contents, cpu, zone, parent, child, start, nr)
    locks.pte_unlock(vm, m)
    locks.write_protect_end(vm, m)
    locks.mmap_write_unlock(vm, m)
    return outcome


def protect_range_locked(vm: Memory, cpu: int, zone: int, who: int, start: int, nr: int) -> int:
    """mprotect makes pages read-only and writable again while other threads of the MM run."""
    m = mm_at(vm, who)
    locks.mmap_write_lock(vm, m)
    locks.pte_lock(vm, m)
    protect_range(vm, cpu, zone, who, start, nr)
    locks.pte_unlock(vm, m)
    locks.mmap_write_unlock(vm, m)
    return OK


def move_range_locked(vm: Memory, cpu: int, zone: int, who: int, start: int, to: int, nr: int) -> int:
    """mremap moves pages while other threads of the MM run."""
    m = mm_at(vm, who)
    locks.mmap_write_lock(vm, m)
    locks.pte_lock(vm, m)
    move_range(vm, cpu, zone, who, start, to, nr)
    locks.pte_unlock(vm, m)
    locks.mmap_write_unlock(vm, m)
    return OK


def file_map_locked(vm: Memory, cpu: int, who: int, vpn: int, pfn: int, nr: int, flags: int) -> int:
    """A read fault that maps pages of a file which no other thread has mapped meanwhile."""
    m = mm_at(vm, who)
    locks.mmap_read_lock(vm, m)
    locks.pte_lock(vm, m)
    for i in range(nr):
        if threads.pte_same(vm, m, vpn + i, 0):
            file_map(vm, cpu, who, vpn + i, pfn + i, 1, flags)
    locks.pte_unlock(vm, m)
    locks.mmap_read_unlock(vm, m)
    return OK


LOCKED: Final[dict[Callable[..., Any], Callable[..., Any]]] = {
    write_range: write_range_locked, zap_range: zap_range_locked, fork_range: fork_range_locked,
    protect_range: protect_range_locked, move_range: move_range_locked, file_map: file_map_locked, gup_fast: gup_fast,
    migrate: migrate,
}  # fmt: skip
"""What stands for an entry point in an MM that several threads use at the same time."""


def kpagecount(vm: Memory, pfn: int) -> int:
    """/proc/kpagecount of a frame."""
    return procfs.kpagecount(vm, pfn)


def exclusive(vm: Memory, pfn: int) -> int:
    """pagemap's exclusive bit of a frame."""
    return int(procfs.page_is_exclusive(vm, pfn))


def maybe_shared(vm: Memory, pfn: int) -> int:
    """The policy's answer for the folio of a frame: may several MMs map it?"""
    return int(procfs.folio_maybe_mapped_shared(vm, pfn))


def mapcount(vm: Memory, pfn: int) -> int:
    """The policy's count of the folio's mappings."""
    return procfs.folio_mapcount(vm, pfn)


def smaps(vm: Memory, who: int, start: int, nr: int) -> tuple[int, int, int]:
    """(RSS, USS, PSS << 12) of nr pages."""
    return procfs.smaps(vm, mm_at(vm, who), start, start + nr)


ENTRY_POINTS: Final[dict[Callable[..., Any], str]] = {
    mm_create: "miii", mm_drop: "mii", populate: "miiiiiiii", fork_range: "mmiiiiii", zap_range: "miiiiii",
    flush_gather: "mii", write_range: "mmiiiiiii", touch_new: "mmiiii", split_range: "miiiii",
    protect_range: "miiiii",
    move_range: "miiiiii", file_alloc: "miii", file_map: "miiiiii", file_map_huge: "miiiii", file_drop: "miii",
    write_range_locked: "mmiiiiiii", zap_range_locked: "miiiiii", fork_range_locked: "mmiiiiii",
    protect_range_locked: "miiiii", move_range_locked: "miiiiii", file_map_locked: "miiiiii", gup_fast: "mmiiii",
    migrate: "miiiii",
    get_user: "mii", put_user: "miiii", pin: "mii", unpin: "miii", drain: "miii", swap_cache: "mi",
    swap_out: "miiii", swap_in: "miii", free_range: "miiiii", discard: "miiii", kpagecount: "mi", exclusive: "mi",
    maybe_shared: "mi", mapcount: "mi", smaps: "miii",
}  # fmt: skip
"""Every entry point and the kinds of its arguments."""
