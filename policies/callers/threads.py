"""Wrong texts of what threads of one MM do: each acts on what it read before, and public faults were of that kind."""

from __future__ import annotations

from foliolab.framework.api import MM, Cpu, Memory, Zone
from foliolab.framework.operations import COPIED, Caller, after_fault, gup_fast_pte, gup_without_lock, pte_same


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
