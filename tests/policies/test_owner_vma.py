"""`owner-vma`: the owner and the counter against the page tables, the lock, reuse, and what it cannot tell."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.engine import calls
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import AccessError
from foliolab.framework.machine.primitives import ATOMIC_RMW, bit_spin_lock
from foliolab.policies.owner_vma import LOCK_BIT, POLICY, owner

A, B, C = 0, 1, 2
P = 16
SMALL = Shape(256, 4, 64, max_order=4)
HUGE = Shape(4096, 4, 1024)
SCHEME = POLICY.with_parameters()

Step = tuple[int, int, int, int]
STEPS = st.lists(st.tuples(*[st.integers(0, 1 << 12)] * 4), min_size=5, max_size=40)


def machine(shape: Shape = SMALL, execution: str = "interpreted") -> Machine:
    m = Machine(SCHEME, shape, execution)  # type: ignore[arg-type]
    m.create(A)
    return m


def populated(*children: int) -> Machine:
    """An order-4 folio of A, and children that share all of it."""
    m = machine()
    m.populate(A, 0, P, 4)
    for child in children:
        m.fork(A, child)
    return m


def state(m: Machine, pfn: int = 0) -> tuple[int, int, int]:
    """(mappings, the owner's ID, mappings by others)."""
    folio = m.folio(pfn)
    assert folio._owner.peek() & 1 == 0, "the lock was given back"
    return folio._large_mapcount.peek() + 1, owner(folio), folio._nr_other_mappings.peek()


def run(m: Machine, steps: list[Step], order: int) -> list[tuple[int, int]]:
    """Maps parts of a file folio, forks, unmaps, exits; after each step the frame and who owns it by definition."""
    pages = 1 << order
    pfn = m.file_folio(order)
    out: list[tuple[int, int]] = []
    owned_by = 0
    for what, who, a, b in steps:
        mm, offset = who % m.shape.nr_mms, a % pages
        nr = 1 + b % (pages - offset)
        alive = [one for one in range(m.shape.nr_mms) if m.is_alive(one)]
        if mm not in alive:
            m.fork(alive[a % len(alive)], mm) if alive and what & 1 else m.create(mm)
        elif what % 6 == 0:
            m.exit(mm)
        elif what % 6 < 3:
            m.unmap(mm, offset, nr)
        elif order == 9 and what % 6 == 3 and not m.is_mapped(mm, 0, pages):
            m.map_file(mm, 0, pfn, pages, pmd=True)
        elif not m.is_mapped(mm, offset, nr):
            m.map_file(mm, offset, pfn + offset, nr)
        total = int(scan(m).folio_mapcount[pfn])
        owned_by = 0 if total == 0 else owned_by or m.mm_id(mm)
        out.append((pfn, owned_by))
        check(m, pfn, owned_by)
    return out


def check(m: Machine, pfn: int, owned_by: int) -> None:
    """State and answer, by definition: the owner is who mapped it first since nothing did."""
    truth = scan(m)
    by_owner = sum(int(truth.mappings[mm, pfn]) for mm in range(m.shape.nr_mms) if owned_by and m.mm_id(mm) == owned_by)
    total = int(truth.folio_mapcount[pfn])
    assert state(m, pfn) == (total, owned_by, total - by_owner)
    assert m.maybe_shared(pfn) == (total > 1 and by_owner < total)


@pytest.mark.parametrize(("shape", "order"), [(SMALL, 4), (SMALL, 1), (HUGE, 9)], ids=["16", "2", "512"])
@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_the_counter_is_what_others_map(shape: Shape, order: int, steps: list[Step]) -> None:
    m = machine(shape)
    run(m, steps, order)
    assert violations(m) == []


def test_it_claims_to_be_safe_and_no_more() -> None:
    assert "safe" in POLICY.capabilities
    assert not POLICY.capabilities & {"exact", "exact-for-two"}


# -- its life ------------------------------------------------------------------------------------------
def test_fork_and_exit_of_the_child() -> None:
    """The case that the proposal is for: THP, fork, the child exits, the parent reuses."""
    m = populated()
    a = m.mm_id(A)
    assert state(m) == (P, a, 0)
    m.fork(A, B)
    assert state(m) == (2 * P, a, P)
    assert m.maybe_shared(0)
    assert m.write(A, 0) == "copied"
    m.exit(B)
    assert state(m) == (P - 1, a, 0)
    assert not m.maybe_shared(0)
    assert {m.write(A, vpn) for vpn in range(1, P)} == {"reused"}


def test_any_number_of_children_may_come_and_go() -> None:
    m = populated(B, C, 3)
    for child in (C, B, 3):
        assert m.maybe_shared(0)
        assert m.write(A, 1) in ("copied", "unchanged")
        m.exit(child)
    assert not m.maybe_shared(0)
    assert m.write(A, 2) == "reused"


def test_the_owner_leaves_first_and_the_rest_stays_shared() -> None:
    """Its limit: B is the only one, and is never told so while it has two mappings."""
    m = populated(B)
    a = m.mm_id(A)
    m.exit(A)
    assert state(m) == (P, a, P)
    assert scan(m).owners[0] == 1
    for vpn in range(P - 1):
        assert m.maybe_shared(0)
        assert m.write(B, vpn) == "copied"
    assert not m.maybe_shared(0), "one mapping has one owner"
    assert m.write(B, P - 1) == "copied"
    assert scan(m).nr_pages_of[0] == 0


def test_only_a_folio_that_nothing_maps_gets_another_owner() -> None:
    m = machine()
    m.create(B)
    pfn = m.file_folio(4)
    m.map_file(A, 0, pfn, P)
    m.map_file(B, 0, pfn, P)
    m.unmap(A, 0, P)
    assert state(m, pfn) == (P, m.mm_id(A), P)
    m.unmap(B, 0, P)
    assert state(m, pfn) == (0, 0, 0)
    m.map_file(B, 0, pfn, P)
    assert state(m, pfn) == (P, m.mm_id(B), 0)
    assert not m.maybe_shared(pfn)


def test_an_owner_that_comes_back_is_the_owner_still() -> None:
    m = machine()
    m.create(B)
    pfn = m.file_folio(4)
    m.map_file(A, 0, pfn, 2)
    m.map_file(B, 0, pfn, 3)
    m.unmap(A, 0, 2)
    m.map_file(A, 0, pfn, 4)
    assert state(m, pfn) == (7, m.mm_id(A), 3)
    m.unmap(B, 0, 3)
    assert not m.maybe_shared(pfn)


def test_an_id_that_is_used_again_is_no_lie() -> None:
    """A new MM gets the ID of the owner that is gone: with it, it owns what it maps, and no more."""
    m = machine()
    m.create(B)
    pfn = m.file_folio(4)
    m.map_file(A, 0, pfn, P)
    m.map_file(B, 0, pfn, P)
    gone = m.mm_id(A)
    m.exit(A)
    m.create(C, mm_id=gone)
    m.map_file(C, 0, pfn, P)
    assert m.maybe_shared(pfn)
    m.unmap(B, 0, P)
    assert scan(m).owners[pfn] == 1
    assert not m.maybe_shared(pfn)


def test_two_mappings_by_one_mm_are_one_owners() -> None:
    """VMAs are not modelled: a second mapping of the same pages belongs to the owner as the first does."""
    m = machine()
    pfn = m.file_folio(4)
    m.map_file(A, 0, pfn, P)
    m.map_file(A, P, pfn, P)
    assert state(m, pfn) == (2 * P, m.mm_id(A), 0)
    assert not m.maybe_shared(pfn)


def test_a_pmd_is_one_mapping_and_a_split_makes_many() -> None:
    m = machine(HUGE)
    m.populate(A, 0, 512, 9, pmd=True)
    assert state(m) == (1, m.mm_id(A), 0)
    m.fork(A, B)
    assert state(m) == (2, m.mm_id(A), 1)
    m.split_pmd(B, 0)
    assert state(m) == (513, m.mm_id(A), 512)
    m.split_pmd(A, 0)
    m.unmap(B, 1, 511)
    assert state(m) == (513, m.mm_id(A), 1)
    m.exit(B)
    assert not m.maybe_shared(0)
    assert violations(m) == []


# -- COW reuse -----------------------------------------------------------------------------------------
def test_a_reference_forbids_reuse() -> None:
    m = populated(B)
    m.exit(B, flush=False)
    assert not m.maybe_shared(0)
    assert m.write(A, 0) == "copied"  # the mmu_gather holds references
    m.flush_gather()
    m.get_user(5)
    assert m.write(A, 1) == "copied"
    m.put_user(5)
    assert m.write(A, 2) == "reused"


def test_reuse_leaves_the_swap_cache() -> None:
    m = populated(B)
    m.exit(B)
    assert m.swap_cache(0)
    assert m.write(A, 3) == "reused"
    assert m.folio(0)._refcount.peek() == P


def test_one_mapping_is_given_back() -> None:
    m = populated(B)
    m.exit(B)
    m.unmap(A, 0, P - 1)
    assert not m.maybe_shared(0)
    assert m.write(A, P - 1) == "copied"
    assert scan(m).nr_pages_of[0] == 0


# -- its lock and its cost -------------------------------------------------------------------------------
class Seen:
    def __init__(self) -> None:
        self.ops: Counter[str] = Counter()
        self.fields: Counter[str] = Counter()
        self.unlocked: list[str] = []
        self.locked = False

    def access(self, op: str, ref: Any, old: int, new: int) -> None:
        if op in ATOMIC_RMW:
            self.ops[op] += 1
            self.fields[ref.field.name] += 1
        if ref.field.name == "_owner":
            self.locked = bool(new & 1)
        elif ref.field.name in ("_large_mapcount", "_nr_other_mappings") and old != new and not self.locked:
            self.unlocked.append(op)


@pytest.mark.parametrize("entry", [calls.ADD_PTES, calls.DUP_ANON_PTES, calls.REMOVE_PTES])
def test_one_lock_a_batch_stands_for_the_atomic_of_the_large_mapcount(entry: int) -> None:
    """Specification 1.4, row 6.15 with page mapcounts: n atomics for the pages, one lock, one where pages change."""
    m = machine()
    m.create(B)
    pfn = m.file_folio(4)
    m.map_file(B, 0, pfn, P)
    m.vm.observer = seen = Seen()
    m.vm.policy[entry](m.folio(pfn), m.page(pfn), 8, m.at("mm", m.map.mms[B if entry == calls.REMOVE_PTES else A]))
    m.vm.observer = None
    assert seen.fields["_mapcount"] == 8
    assert seen.ops["test_and_set_bit_lock"] == seen.fields["_owner"] == 1
    assert seen.fields["_large_mapcount"] == seen.fields["_nr_other_mappings"] == 0
    assert seen.unlocked == []
    assert not seen.locked


def test_who_finds_the_lock_taken_waits() -> None:
    m = populated(B)
    m.exit(B)
    bit_spin_lock(LOCK_BIT, m.folio(0)._owner)
    with pytest.raises(AccessError, match="no thread is left that could release it"):
        m.unmap(A, 0, 1)


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
@pytest.mark.parametrize(("shape", "order"), [(SMALL, 4), (HUGE, 9)], ids=["16", "512"])
def test_interpreted_and_native_leave_the_same_bytes(shape: Shape, order: int) -> None:
    rng = np.random.default_rng(6)
    for _ in range(6):
        steps: list[Step] = [tuple(row) for row in rng.integers(0, 1 << 12, (30, 4)).tolist()]
        slow, fast = (machine(shape, how) for how in ("interpreted", "native"))
        for m in (slow, fast):
            m.populate(A, 512 if order == 9 else 32, 1 << order, order)
        assert run(slow, steps, order) == run(fast, steps, order)
        for mm in range(4):
            if slow.is_alive(mm):
                assert slow.write(mm, 3, 20) == fast.write(mm, 3, 20)
        assert np.array_equal(slow.vm.buffer, fast.vm.buffer)
