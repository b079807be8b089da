"""Wrong texts of what threads of one MM do: each acts on what it read before, and public faults were of that kind."""

from __future__ import annotations

from foliolab.framework.api import MM, READ_ONCE, Cpu, Memory, Zone, load, store
from foliolab.framework.operations import (
    COPIED,
    PTE_MIGRATION,
    PTE_PRESENT,
    Caller,
    after_fault,
    copy_migration_entry,
    gup_fast_pte,
    gup_without_lock,
    pte_ref,
    pte_same,
    remove_migration_pte,
)


def gup_beside_forks(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> int:
    """Nobody asks whether a fork copies page tables: it may have asked for pins before."""
    return gup_fast_pte(vm, cpu, zone, mm, vpn)


GUP_BESIDE_FORKS = Caller(
    name="gup-beside-forks",
    summary="wrong: GUP-fast pins beside a fork, as before Linux 5.11",
    replace=((gup_without_lock, gup_beside_forks),),
    references=("commit 57efa1fe5957 (mm/gup: prevent gup_fast from racing with COW during fork), which mends it",),
)


def copied_is_enough(outcome: int) -> bool:
    """After a fault that copied the page, the PTE may be read-only; but another thread may have dropped the copy."""
    return outcome == COPIED


DIRTY_COW = Caller(
    name="dirty-cow",
    summary="wrong: GUP for writing takes a read-only page after a fault has copied it, as Linux 4.8 did",
    replace=((after_fault, copied_is_enough),),
    references=("CVE-2016-5195; commit 19be0eaffa3a (mm: remove gup_flags FOLL_WRITE games), which mends it",),
)


def as_first_read(vm: Memory, mm: MM, vpn: int, value: int) -> bool:
    """Nobody looks again."""
    return True


WITHOUT_PTE_SAME = Caller(
    name="fault-without-pte-same",
    summary="wrong: a write fault acts on the PTE that it read before it had the page-table lock",
    replace=((pte_same, as_first_read),),
    references=("Linux's do_wp_page and wp_page_copy, which compare by pte_same()",),
)


def peek_first(vm: Memory, cpu: Cpu, mm: MM, vpn: int, head: int) -> None:
    """Nothing is done where no migration entry is seen; mremap may be moving it."""
    left = READ_ONCE(pte_ref(vm, mm, vpn))
    if left & PTE_PRESENT == 0 and left & PTE_MIGRATION:
        remove_migration_pte(vm, cpu, mm, vpn, head)


MIGRATION_PEEKS = Caller(
    name="migration-peeks",
    summary="wrong: migration looks for its entries before it has the page-table lock, beside mremap, as Linux 3.0 did",
    replace=((remove_migration_pte, peek_first),),
    references=("commit 486cf46f3f9b (mm: fix race between mremap and removing migration entry), which mends it",),
)


def copy_as_it_is(vm: Memory, parent: MM, child: MM, vpn: int, value: int) -> None:
    """What was writable will be writable in both."""
    store(pte_ref(vm, child, vpn), value)
    store(child.rss_anon, load(child.rss_anon) + 1)


MIGRATION_WRITABLE = Caller(
    name="fork-keeps-migration-writable",
    summary="wrong: fork copies a writable migration entry as it is",
    replace=((copy_migration_entry, copy_as_it_is),),
    references=("Linux's copy_nonpresent_pte, which makes both entries readable; specification 1.8",),
)
