"""Proofs for any number of threads: what is proved, what is not, and the order of counts and entries below them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.symbolic import term
from foliolab.framework.verify.symbolic.laws import claimed
from foliolab.framework.verify.symbolic.proofs import Proofs
from foliolab.framework.verify.symbolic.search import OrderClass, Search
from foliolab.framework.verify.symbolic.threads import Threads
from foliolab.policies import mm_id, mm_id_v1, no_page_mapcount, owner_vma, page_mapcount, total_mapped_pages

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutants import LOCK, UNLOCK, Fault, planted


def proved(policy: Policy, anon: bool = False) -> dict[str, str]:
    """The laws that are proved for folios of order 9, and within which bound."""
    scheme = policy.with_parameters({})
    term.reset()
    search = Search(scheme, Budget(120), 8, range(9, 10), lambda news: None)
    found = Proofs(search.unrolling(OrderClass(anon, (9,))), [], Budget(120))
    return {proof.law: proof.within for proof in found.proved(set(claimed(scheme, anon)))}


def proofs(policy: Policy, anon: bool = False) -> set[str]:
    """The laws that are proved for any number of threads, PMDs or not, for folios of order 9."""
    return {law for law, within in proved(policy, anon).items() if within == Threads.within}


@pytest.mark.slow
@pytest.mark.parametrize("anon", [False, True], ids=["files", "anonymous"])
@pytest.mark.parametrize("module", [mm_id, no_page_mapcount], ids=["mm-id", "no-page-mapcount"])
def test_two_slots_are_proved(module: Any, anon: bool) -> None:
    assert proofs(module.POLICY, anon) == {"safe", "mapcount", "exact-up-to", "deadlock"}


def test_stale_ids_are_proved() -> None:
    """The IDs of `mm-id-v1` stay in their slots, and the second one changes only after several operations."""
    assert proofs(mm_id_v1.POLICY) == {"mapcount", "deadlock"}


def test_a_count_of_mapped_pages_is_proved() -> None:
    """A PMD adds 512 to a count of `total-mapped-pages`, and 1 to another one."""
    assert proofs(total_mapped_pages.POLICY) == {*TWO_SLOTS, "initial-values"}


def test_what_pmds_break_is_proved_for_ptes_and_says_so() -> None:
    """A PMD that adds more than it removes leaves no invariant."""
    edit = ("add_counts(folio, 1, PMD_PAGES, mm)", "add_counts(folio, 1, 1 + PMD_PAGES, mm)")
    fault = Fault("pmd-adds-one-page-more", total_mapped_pages.POLICY, total_mapped_pages.add_pmd, (edit,))
    found = proved(planted(fault))
    assert found.keys() >= TWO_SLOTS
    assert set(found.values()) == {f"{Threads.within} by PTEs only"}


def test_an_owner_and_a_count_of_the_others_are_proved() -> None:
    assert proofs(owner_vma.POLICY) == {"safe", "mapcount", "deadlock"}


def test_nothing_is_proved_without_a_lock() -> None:
    assert proofs(page_mapcount.POLICY) == set()


TWO_SLOTS = {"safe", "mapcount", "exact-up-to", "deadlock"}
FLAG = "    return test_bit(SHARED_BIT, folio._mm_ids)"
BEGIN = "    left = False\n"
SET_TOTAL = "    atomic_set(folio._large_mapcount, total)\n"
NOT_PROVED = {
    "the flag is away for a moment": (
        mm_id.sub_from_slots,
        ((BEGIN, f"{BEGIN}    __clear_bit(SHARED_BIT, folio._mm_ids)\n    __set_bit(SHARED_BIT, folio._mm_ids)\n"),),
        {"mapcount", "deadlock"},
    ),
    "the total is away for a moment": (
        mm_id.add_large_mapcount,
        ((SET_TOTAL, f"    atomic_set(folio._large_mapcount, -100)\n{SET_TOTAL}"),),
        TWO_SLOTS - {"safe"},
    ),
    "two counts of two moments are compared": (
        mm_id.maybe_mapped_shared,
        ((FLAG, "    return load(folio._mm_id_mapcount[0]) != atomic_read(folio._large_mapcount)"),),
        {"mapcount", "deadlock"},
    ),
    "a reader looks twice": (
        mm_id.maybe_mapped_shared,
        ((FLAG, f"{FLAG} and test_bit(SHARED_BIT, folio._mm_ids)"),),
        TWO_SLOTS - {"safe"},
    ),
    "the lock is released in between": (
        mm_id.add_large_mapcount,
        (("    add_to_slots(", f"    {UNLOCK}\n    {LOCK}\n    add_to_slots("),),
        set(),
    ),
    "the lock is taken twice": (
        mm_id.add_large_mapcount,
        (("    add_to_slots(", f"    {LOCK}\n    add_to_slots("),),
        set(),
    ),
    "the total is read before the lock": (
        mm_id.add_large_mapcount,
        (
            (f"    {LOCK}\n    total = atomic_read(folio._large_mapcount) + nr\n", ""),
            ("    atomic_set", f"    total = atomic_read(folio._large_mapcount) + nr\n    {LOCK}\n    atomic_set"),
        ),
        set(),
    ),
    "one page needs no lock": (
        mm_id.add_large_mapcount,
        (
            (f"    {LOCK}\n", f"    if nr > 1:\n        {LOCK}\n"),
            (f"    {UNLOCK}\n", f"    if nr > 1:\n        {UNLOCK}\n"),
        ),
        set(),
    ),
    "a store takes the lock away": (
        mm_id.set_slot_id,
        ((" | mm_id)", " & MM_ID_MASK | mm_id)"),),
        set(),
    ),
    "a fork by a PMD counts nothing": (
        mm_id.dup_pmd,
        (("    add_large_mapcount(folio, 1, mm)", "    pass"),),
        set(),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", NOT_PROVED)
def test_what_threads_can_break_is_not_proved(mistake: str) -> None:
    function, edits, kept = NOT_PROVED[mistake]
    assert proofs(planted(Fault(mistake.replace(" ", "-"), mm_id.POLICY, function, edits))) == kept


def test_a_reuse_that_keeps_the_lock_is_no_proof_of_progress() -> None:
    edit = (f"    {UNLOCK}\n    return exclusive", "    return exclusive")
    assert proofs(planted(Fault("kept", mm_id.POLICY, mm_id.can_reuse, (edit,))), anon=True) == set()


class Counted:
    """Counts mappings as a machine's policy is told of them, and looks at the page tables at each call."""

    ADDS = ("new_anon", "add_ptes", "dup_file_ptes", "dup_anon_ptes", "new_anon_pmd", "add_pmd", "dup_pmd")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.counts: dict[tuple[int, int, bool], int] = {}
        self.calls = 0
        entries = list(machine.vm.policy)
        for number, entry in enumerate(calls.ENTRIES):
            if entry.__name__ in (*self.ADDS, "remove_ptes", "remove_pmd"):
                entries[number] = self._watched(entry.__name__, entries[number])
        machine.vm.policy = tuple(entries)

    def _watched(self, name: str, call: Any) -> Any:
        def watched(folio: Any, page: Any, nr: int, mm: Any, vpn: int) -> int:
            self.calls += 1
            by_pmd = name.endswith("pmd")
            key = (folio.off, mm.off, by_pmd)
            changed = 1 if by_pmd else nr
            if name not in self.ADDS:
                self.counts[key] -= changed
            self.look()
            answer = call(folio, page, nr, mm, vpn)
            if name in self.ADDS:
                self.counts[key] = self.counts.get(key, 0) + changed
            self.look()
            return int(answer)

        return watched

    def look(self) -> None:
        """No MM has more entries of a folio than were counted, by PTEs and by PMDs."""
        machine = self.machine
        for mm in range(machine.shape.nr_mms):
            self._look(mm, False, [int(one) for one in machine.ptes(mm) if one & 1])
            self._look(mm, True, [int(one) for one in machine.pmds(mm) if one])

    def _look(self, mm: int, by_pmd: bool, values: list[int]) -> None:
        machine = self.machine
        entries: dict[int, int] = {}
        for value in values:
            link = machine.page(value >> 12).compound_head.peek()
            head = link >> 1 if link & 1 else value >> 12
            entries[head] = entries.get(head, 0) + 1
        for head, number in entries.items():
            if machine.folio(head)._nr_pages.peek() > 1:
                assert number <= self.counts.get((machine.folio(head).off, machine.map.mms[mm], by_pmd), 0)


def test_the_engine_counts_a_mapping_before_its_entry_and_until_the_entry_is_gone() -> None:
    """A proof for any number of threads assumes it."""
    machine = Machine(
        mm_id.POLICY.with_parameters({}), Shape(nr_pages=4096, nr_mms=4, nr_vpns=2048, max_order=9), "interpreted"
    )
    seen = Counted(machine)
    machine.create(0)
    machine.populate(0, 0, 512, 9, pmd=True)
    machine.populate(0, 512, 64, 4)
    machine.fork(0, 1)
    machine.split_pmd(0, 0)
    machine.protect(1, 512, 8)
    machine.write(1, 513, 4)
    machine.unmap(1, 0, 8)
    machine.mremap(0, 512, 1536, 32)
    folio = machine.file_folio(4)
    machine.map_file(1, 1024, folio, 16)
    machine.map_file(1, 1100, folio, 4)
    machine.fork(1, 2)
    machine.swap_cache(machine.frame(0, 1536))
    machine.swap_out(0, 1537)
    machine.swap_in(0, 1537)
    machine.unmap(2, 1024, 5)
    machine.exit(1)
    machine.exit(0)
    assert seen.calls > 30
