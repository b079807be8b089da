"""rmap: what happens to a folio's counters when mappings come and go.

Small folios are handled here; for large ones the policy's hooks do the counting. Statistics and the
deferred split follow from what the hooks return. Sources: specification 1.4 to 1.7.
"""

from __future__ import annotations

from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import nr_of, nr_pmdmapped_of, partially_mapped_of, policy_call
from foliolab.framework.engine.folio import (
    ClearPageAnonExclusive,
    PageAnonExclusive,
    SetPageAnonExclusive,
    folio_needs_cow_for_dma,
    folio_nr_pages,
    folio_order,
    folio_test_anon,
    folio_test_large,
    folio_test_swapcache,
)
from foliolab.framework.engine.structs import PG_partially_mapped, PG_swapbacked
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Page
from foliolab.framework.machine.primitives import (
    atomic_add_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    load,
    nth_page,
    store,
    test_and_set_bit,
    test_bit,
)
from foliolab.framework.machine.ref import Ref


def this_cpu_add(value: int, counter: Ref) -> None:
    """Add to a per-CPU statistic: a plain add, since only this CPU writes the statistic."""
    store(counter, load(counter) + value)


def folio_mapped(vm: Memory, folio: Folio) -> bool:
    """Whether anything maps the folio."""
    if folio_test_large(folio):
        return policy_call(vm, calls.MAPCOUNT, folio, folio, 0, folio, 0) > 0
    return atomic_read(folio._mapcount) >= 0


def _mod_stat(cpu: Cpu, folio: Folio, nr: int, nr_pmdmapped: int) -> None:
    """`__folio_mod_stat`, specification 1.5."""
    if nr:
        if folio_test_anon(folio):
            this_cpu_add(nr, cpu.NR_ANON_MAPPED)
        else:
            this_cpu_add(nr, cpu.NR_FILE_MAPPED)
    if nr_pmdmapped:
        if folio_test_anon(folio):
            this_cpu_add(nr_pmdmapped, cpu.NR_ANON_THPS)
        elif test_bit(PG_swapbacked, folio.flags):
            this_cpu_add(nr_pmdmapped, cpu.NR_SHMEM_PMDMAPPED)
        else:
            this_cpu_add(nr_pmdmapped, cpu.NR_FILE_PMDMAPPED)


def deferred_split_folio(cpu: Cpu, folio: Folio, partially_mapped: bool) -> None:
    """Queue a large anonymous folio for splitting under memory pressure, specification 1.6."""
    if folio_order(folio) <= 1 or folio_test_swapcache(folio):
        return
    if partially_mapped and not test_and_set_bit(PG_partially_mapped, folio._flags_1):
        this_cpu_add(1, cpu.NR_ANON_PARTIALLY_MAPPED)
        this_cpu_add(1, cpu.THP_DEFERRED_SPLIT_PAGE)
    if load(folio._deferred_list[0]) == 0:
        store(folio._deferred_list[0], 1)


def folio_unqueue_deferred_split(cpu: Cpu, folio: Folio) -> None:
    """Take a folio off the deferred split queue: it is about to be freed."""
    if folio_order(folio) <= 1:
        return
    if test_bit(PG_partially_mapped, folio._flags_1):
        this_cpu_add(-1, cpu.NR_ANON_PARTIALLY_MAPPED)
    store(folio._deferred_list[0], 0)


def folio_add_new_anon_rmap(vm: Memory, cpu: Cpu, folio: Folio, page: Page, mm: MM, vpn: int, exclusive: bool) -> None:
    """First mappings, by PTEs, of a new anonymous folio that no other CPU can see yet."""
    nr = 1
    if folio_test_large(folio):
        nr = folio_nr_pages(folio)
        policy_call(vm, calls.NEW_ANON, folio, page, nr, mm, vpn)
    else:
        atomic_set(page._mapcount, 0)
    if exclusive:
        for i in range(nr):
            SetPageAnonExclusive(nth_page(page, i))
    _mod_stat(cpu, folio, nr, 0)
    this_cpu_add(1, cpu.nr_anon[folio_order(folio)])


def folio_add_new_anon_rmap_pmd(vm: Memory, cpu: Cpu, folio: Folio, page: Page, mm: MM, vpn: int) -> None:
    """First mapping, by a PMD, of a new anonymous folio; only its head page is AnonExclusive."""
    nr = folio_nr_pages(folio)
    policy_call(vm, calls.NEW_ANON_PMD, folio, page, nr, mm, vpn)
    SetPageAnonExclusive(page)
    _mod_stat(cpu, folio, nr, nr)
    this_cpu_add(1, cpu.nr_anon[folio_order(folio)])


def _add_ptes(vm: Memory, cpu: Cpu, folio: Folio, page: Page, nr_pages: int, mm: MM, vpn: int) -> None:
    nr = 0
    if folio_test_large(folio):
        nr = policy_call(vm, calls.ADD_PTES, folio, page, nr_pages, mm, vpn)
    elif atomic_inc_and_test(page._mapcount):
        nr = 1
    _mod_stat(cpu, folio, nr, 0)


def folio_add_anon_rmap_ptes(
    vm: Memory, cpu: Cpu, folio: Folio, page: Page, nr_pages: int, mm: MM, exclusive: bool, vpn: int = 0
) -> None:
    """PTEs map pages of an anonymous folio (PMD split, swap-in)."""
    _add_ptes(vm, cpu, folio, page, nr_pages, mm, vpn)
    if exclusive:
        for i in range(nr_pages):
            SetPageAnonExclusive(nth_page(page, i))


def folio_add_file_rmap_ptes(
    vm: Memory, cpu: Cpu, folio: Folio, page: Page, nr_pages: int, mm: MM, vpn: int = 0
) -> None:
    """PTEs map pages of a file folio."""
    _add_ptes(vm, cpu, folio, page, nr_pages, mm, vpn)


def folio_add_file_rmap_pmd(vm: Memory, cpu: Cpu, folio: Folio, mm: MM, vpn: int) -> None:
    """A PMD maps a file folio."""
    mapped = policy_call(vm, calls.ADD_PMD, folio, folio, 0, mm, vpn)
    _mod_stat(cpu, folio, nr_of(mapped), nr_pmdmapped_of(mapped))


def folio_dup_file_rmap_ptes(vm: Memory, folio: Folio, page: Page, nr_pages: int, child: MM, vpn: int) -> None:
    """fork maps pages of a file folio in the child; no statistics, they are mapped already."""
    if folio_test_large(folio):
        policy_call(vm, calls.DUP_FILE_PTES, folio, page, nr_pages, child, vpn)
    else:
        atomic_inc(page._mapcount)


def any_exclusive(page: Page, nr_pages: int) -> bool:
    """Whether one of consecutive pages is AnonExclusive."""
    for i in range(nr_pages):
        if PageAnonExclusive(nth_page(page, i)):
            return True
    return False


def folio_try_dup_anon_rmap_ptes(
    vm: Memory, folio: Folio, page: Page, nr_pages: int, parent: MM, child: MM, vpn: int = 0
) -> bool:
    """fork maps pages of an anonymous folio in the child, and takes AnonExclusive away.

    Returns:
        False (-EBUSY) with nothing changed, if the parent may have pinned one of its exclusive pages.
    """
    if folio_needs_cow_for_dma(folio, parent) and any_exclusive(page, nr_pages):
        return False
    if folio_test_large(folio):
        policy_call(vm, calls.DUP_ANON_PTES, folio, page, nr_pages, child, vpn)
    else:
        if PageAnonExclusive(page):
            ClearPageAnonExclusive(page)
        atomic_inc(page._mapcount)
    return True


def folio_try_dup_anon_rmap_pmd(vm: Memory, folio: Folio, page: Page, parent: MM, child: MM, vpn: int) -> bool:
    """The same for a folio mapped by a PMD, whose flag is on the head page."""
    if folio_needs_cow_for_dma(folio, parent) and PageAnonExclusive(page):
        return False
    if PageAnonExclusive(page):
        ClearPageAnonExclusive(page)
    policy_call(vm, calls.DUP_PMD, folio, page, 0, child, vpn)
    return True


def _after_removal(cpu: Cpu, folio: Folio, unmapped: int) -> None:
    """Deferred split and statistics; `unmapped` packs nr, nr_pmdmapped and partially_mapped."""
    if partially_mapped_of(unmapped) and folio_test_anon(folio) and not test_bit(PG_partially_mapped, folio._flags_1):
        deferred_split_folio(cpu, folio, True)
    _mod_stat(cpu, folio, -nr_of(unmapped), -nr_pmdmapped_of(unmapped))


def folio_remove_rmap_ptes(vm: Memory, cpu: Cpu, folio: Folio, page: Page, nr_pages: int, mm: MM, vpn: int = 0) -> None:
    """PTEs that mapped pages of the folio are gone."""
    if folio_test_large(folio):
        _after_removal(cpu, folio, policy_call(vm, calls.REMOVE_PTES, folio, page, nr_pages, mm, vpn))
    elif atomic_add_negative(-1, page._mapcount):
        _mod_stat(cpu, folio, -1, 0)


def folio_remove_rmap_pmd(vm: Memory, cpu: Cpu, folio: Folio, mm: MM, vpn: int) -> None:
    """The PMD that mapped the folio is gone."""
    _after_removal(cpu, folio, policy_call(vm, calls.REMOVE_PMD, folio, folio, 0, mm, vpn))
