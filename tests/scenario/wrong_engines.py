"""Wrong engines: operations on several PTEs that take the bits of the first one for those of all.

Each is a function of the engine and what stands in for it. The first is what Linux 6.17 did (f822a9a81a31, mended by
04d1c9d60c6e); the others are the same mistake elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from foliolab.framework.contract.caller import Caller
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import fault, fork, mm, rmap, zap
from foliolab.framework.engine.folio import (
    PageAnonExclusive,
    SetPageAnonExclusive,
    folio_nr_pages,
    folio_ref_add,
    folio_ref_sub_return,
    folio_test_large,
    page_head_pfn,
)
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_SWAP_EXCLUSIVE,
    PTE_WRITE,
    PTRS_PER_PTE,
    get_and_clear,
    pmd_ref,
    pte_ref,
)
from foliolab.framework.engine.structs import PG_anon_exclusive
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Page, Zone
from foliolab.framework.machine.primitives import READ_ONCE, WRITE_ONCE, load, pfn_folio, pfn_to_page, store
from foliolab.framework.scenario.swap import Swap
from foliolab.policies.callers.mremap import folio_batch, move_as_first_pte


def protects_first_exclusive(vm: Memory, who: MM, start: int, end: int) -> None:
    """mprotect: a batch becomes writable if its first page is AnonExclusive."""
    vpn = start
    while vpn < end:
        pmd = READ_ONCE(pmd_ref(vm, who, vpn))
        entry = pmd_ref(vm, who, vpn) if pmd else pte_ref(vm, who, vpn)
        value = READ_ONCE(entry)
        nr = 1
        if value & PTE_PRESENT:
            if pmd == 0:
                nr = folio_batch(vm, who, vpn, end, value)
            if PageAnonExclusive(pfn_to_page(vm, value >> PFN_SHIFT)):
                WRITE_ONCE(entry, value | PTE_WRITE)
                for i in range(1, nr):
                    WRITE_ONCE(pte_ref(vm, who, vpn + i), READ_ONCE(pte_ref(vm, who, vpn + i)) | PTE_WRITE)
        vpn += PTRS_PER_PTE if pmd else nr


def forks_first_writable(
    vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, parent: MM, child: MM, vpn: int, end: int, value: int
) -> int:
    """fork: the parent's PTEs are write-protected only if the first one is writable."""
    nr = folio_batch(vm, parent, vpn, end, value)
    pfn = value >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if value & PTE_WRITE or not folio_test_large(folio):
        return fork.copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, vpn + nr, value)
    folio_ref_add(folio, nr)
    if not rmap.folio_try_dup_anon_rmap_ptes(vm, folio, pfn_to_page(vm, pfn), nr, parent, child, vpn):
        folio_ref_sub_return(folio, nr)
        return fork.copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, vpn + 1, value)
    store(child.rss_anon, load(child.rss_anon) + nr)
    for i in range(nr):
        WRITE_ONCE(pte_ref(vm, child, vpn + i), value + (i << PFN_SHIFT))
    return nr


def first_exclusive(page: Page, nr_pages: int) -> bool:
    """fork: whether one of a batch's pages may be pinned is asked of the first."""
    return PageAnonExclusive(page)


def forks_first_swap_entry(
    vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, parent: MM, child: MM, start: int, end: int
) -> int:
    """fork: the parent's swap entries stop being exclusive only if the first of them is."""
    first = 0
    vpn = start
    while vpn < end:
        value = READ_ONCE(pte_ref(vm, parent, vpn))
        if value & PTE_PRESENT or value == 0:
            first = 0
            if value:
                nr = fork.copy_present_ptes(vm, contents, cpu, zone, parent, child, vpn, end, value)
                if nr == 0:
                    return fork.ENOMEM
                vpn += nr
            else:
                vpn += 1
            continue
        if first == 0:
            first = value
        fork.copy_swap_entry(vm, parent, child, vpn, value)
        if first & PTE_SWAP_EXCLUSIVE == 0:
            WRITE_ONCE(pte_ref(vm, parent, vpn), value)
        vpn += 1
    return fork.OK


def zaps_first_present(vm: Memory, cpu: Cpu, zone: Zone, who: MM, pgd: int, vpn: int, end: int, value: int) -> int:
    """zap: if the first PTE maps a large folio, all do, up to the folio's end."""
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    folio = pfn_folio(vm, head)
    if not folio_test_large(folio):
        return zap.zap_present_ptes(vm, cpu, zone, who, pgd, vpn, end, value)
    nr = min(end - vpn, head + folio_nr_pages(folio) - pfn)
    for i in range(nr):
        get_and_clear(pte_ref(vm, who, vpn + i))
    store(who.rss_anon, load(who.rss_anon) - nr)
    rmap.folio_remove_rmap_ptes(vm, cpu, folio, pfn_to_page(vm, pfn), nr, who, vpn)
    zap.tlb_remove_folio(vm, cpu, zone, head, nr)
    return nr


def zaps_first_swapped(vm: Memory, cpu: Cpu, zone: Zone, who: MM, start: int, end: int) -> None:
    """zap: entries of consecutive frames after a swap entry are swap entries, too."""
    vpn = start
    while vpn < end:
        value = READ_ONCE(pte_ref(vm, who, vpn))
        if value & PTE_PRESENT:
            vpn += zap.zap_present_ptes(vm, cpu, zone, who, load(who.pgd), vpn, end, value)
            continue
        first = value >> PFN_SHIFT
        nr = 0
        while value and vpn < end and value >> PFN_SHIFT == first + nr:
            store(pte_ref(vm, who, vpn), 0)
            store(who.rss_swap, load(who.rss_swap) - 1)
            zap.free_swap_entry(vm, cpu, zone, first + nr)
            vpn += 1
            nr += 1
            if vpn < end:
                value = READ_ONCE(pte_ref(vm, who, vpn))
        if nr == 0:
            vpn += 1


def reuses_first(vm: Memory, contents: Memory, cpu: Cpu, zone: Zone, who: MM, vpn: int, value: int) -> int:
    """Write fault: if the page can be reused, so can all pages of the batch that it begins."""
    outcome = fault.do_wp_page(vm, contents, cpu, zone, who, vpn, value)
    pfn = value >> PFN_SHIFT
    if outcome == fault.REUSED and folio_test_large(pfn_folio(vm, page_head_pfn(vm, pfn))):
        end = (vpn | (PTRS_PER_PTE - 1)) + 1
        nr = folio_batch(vm, who, vpn, end, READ_ONCE(pte_ref(vm, who, vpn)))
        for i in range(nr):
            SetPageAnonExclusive(pfn_to_page(vm, pfn + i))
            entry = pte_ref(vm, who, vpn + i)
            WRITE_ONCE(entry, READ_ONCE(entry) | PTE_WRITE | PTE_DIRTY)
    return outcome


_split = Swap.split


def pages_out_first_writable(self: Swap, head: int) -> None:
    """pageout: the pages that a split leaves are all as writable as the first."""
    places = [place for pages in self._mappings(head).values() for place in pages]
    who, first = places[0]
    writable = int(self.machine.ptes(who)[first]) & PTE_WRITE
    _split(self, head)
    for who, vpn in places if writable else ():
        self.machine.ptes(who)[vpn] |= np.uint64(PTE_WRITE)
        self.machine.column("page", "flags")[self.machine.frame(who, vpn)] |= np.uint64(1 << PG_anon_exclusive)


WRONG: Final[dict[str, tuple[Callable[..., Any], Callable[..., Any]]]] = {
    "mremap: writable": (mm.move_ptes, move_as_first_pte),
    "mprotect: AnonExclusive": (mm.make_writable, protects_first_exclusive),
    "fork: writable": (fork.copy_present_ptes, forks_first_writable),
    "fork: AnonExclusive": (rmap.any_exclusive, first_exclusive),
    "fork: exclusive swap": (fork.copy_ptes, forks_first_swap_entry),
    "zap: present": (zap.zap_present_ptes, zaps_first_present),
    "zap: swapped": (zap.zap_ptes, zaps_first_swapped),
    "write: reuse": (fault.do_wp_page, reuses_first),
    "pageout: writable": (Swap.split, pages_out_first_writable),
}
"""What takes which bits of the first PTE for those of all: a function, and its substitute."""


@contextmanager
def wrong_engine(name: str, scheme: Scheme) -> Iterator[Scheme]:
    """A policy under a wrong engine, for what runs meanwhile."""
    original, substitute = WRONG[name]
    if name.startswith("pageout"):
        with patch.object(Swap, "split", substitute):
            yield scheme
        return
    words = name.replace(": ", "-").replace(" ", "-").lower()
    yield scheme.under(Caller(name=words, summary=name, replace=((original, substitute),)))
