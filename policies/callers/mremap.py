"""mremap as Linux 6.17 batched it at first: the PTEs of a batch move with the bits of its first one."""

from __future__ import annotations

from foliolab.framework.api import MM, READ_ONCE, WRITE_ONCE, Memory, Zone, load, pfn_folio
from foliolab.framework.operations import (
    PFN_SHIFT,
    PTE_PRESENT,
    PTRS_PER_PTE,
    Caller,
    folio_nr_pages,
    get_and_clear,
    move_ptes,
    next_ptes,
    page_head_pfn,
    pmd_ref,
    pte_ref,
)


def folio_batch(vm: Memory, mm: MM, vpn: int, end: int, value: int) -> int:
    """How many PTEs from `vpn` on are one batch: of one folio and one page table, whether or not they are writable."""
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    limit = min(end - vpn, head + folio_nr_pages(pfn_folio(vm, head)) - pfn)
    limit = min(limit, (vpn | (PTRS_PER_PTE - 1)) + 1 - vpn)
    return next_ptes(vm, load(mm.pgd), vpn, value, limit)


def move_as_first_pte(vm: Memory, zone: Zone, mm: MM, start: int, to: int, nr: int) -> None:
    i = 0
    while i < nr:
        if READ_ONCE(pmd_ref(vm, mm, start + i)):
            WRITE_ONCE(pmd_ref(vm, mm, to + i), get_and_clear(pmd_ref(vm, mm, start + i)))
            i += PTRS_PER_PTE
            continue
        value = READ_ONCE(pte_ref(vm, mm, start + i))
        batch = 1
        if value & PTE_PRESENT:
            batch = folio_batch(vm, mm, start + i, start + nr, value)
        for j in range(batch):
            get_and_clear(pte_ref(vm, mm, start + i + j))
            if value:
                WRITE_ONCE(pte_ref(vm, mm, to + i + j), value + (j << PFN_SHIFT))
        i += batch


FIRST_WRITABLE = Caller(
    name="mremap-6-17",
    summary="wrong: mremap moves a batch's PTEs with the bits of its first one, as Linux 6.17 did at first",
    replace=((move_ptes, move_as_first_pte),),
    references=("commits f822a9a81a31 (mm: optimize mremap() by PTE batching) and 04d1c9d60c6e, which mends it",),
)
