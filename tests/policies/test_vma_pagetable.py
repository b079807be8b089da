"""`vma-pagetable`: what counts as a pair, mremap, reuse; and the contract's `vpn`, which it is the first to ask for.

That the count is the page tables' whatever happens is tested by random operations in `tests/engine/test_random.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foliolab.framework.contract.hooks import HOOKS_WITH_VPN
from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine import calls
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import PluginError
from foliolab.framework.machine.ref import Ref
from foliolab.policies import mm_id
from foliolab.policies.vma_pagetable import POLICY

A, B, C = 0, 1, 2
P = 16
TABLE = 512
SHAPE = Shape(4096, 3, 4 * TABLE)
EXECUTIONS = [
    "interpreted",
    pytest.param(
        "native",
        marks=[pytest.mark.slow, pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "works")],
    ),
]
by_both = pytest.mark.parametrize("execution", EXECUTIONS)


def machine(execution: Any = "interpreted", count: str = "tables") -> Machine:
    m = Machine(POLICY.with_parameters({"count": count}), SHAPE, execution)
    m.create(A)
    return m


def pairs(m: Machine, pfn: int = 0) -> int:
    return int(m.folio(pfn)._pair_mapcount.peek())


def test_a_folio_counts_once_for_each_mm_however_many_ptes_map_it() -> None:
    m = machine()
    m.populate(A, 0, P, 4)
    assert (pairs(m), m.mapcount(0), m.maybe_shared(0)) == (1, P, False)
    m.fork(A, B)
    m.fork(A, C, 0, P // 2)
    assert (pairs(m), m.mapcount(0), m.maybe_shared(0)) == (3, 2 * P + P // 2, True)
    assert [m.kpagecount(page) for page in (0, P - 1)] == [3, 3], "the second page is mapped by two"
    m.unmap(B, 0, P - 1)
    assert pairs(m) == 3, "one page is left"
    m.unmap(B, P - 1, 1)
    m.exit(C)
    assert (pairs(m), m.maybe_shared(0), m.exclusive(0)) == (1, False, True)
    m.exit(A)
    assert pairs(m) == 0
    assert violations(m) == []


@by_both
@pytest.mark.parametrize(("count", "expected"), [("tables", 2), ("vmas", 1)])
def test_a_folio_across_the_boundary_of_page_tables(execution: Any, count: str, expected: int) -> None:
    """The ambiguity of the first form that the revision removes: nobody else maps it."""
    m = machine(execution, count)
    pfn = m.file_folio(4)
    m.map_file(A, TABLE - 5, pfn, P)
    assert (pairs(m, pfn), m.maybe_shared(pfn)) == (expected, expected > 1)
    m.unmap(A, TABLE - 5, 5)
    assert pairs(m, pfn) == 1
    m.unmap(A, TABLE, P - 5)
    assert pairs(m, pfn) == 0


@pytest.mark.parametrize("count", ["tables", "vmas"])
def test_two_mappings_of_a_file_by_one_mm_are_two_vmas(count: str) -> None:
    m = machine(count=count)
    pfn = m.file_folio(4)
    m.map_file(A, 100, pfn, P)
    m.map_file(A, 100 + P, pfn, P)
    assert (pairs(m, pfn), m.maybe_shared(pfn)) == (2, True)
    m.unmap(A, 103, P)
    assert pairs(m, pfn) == 2
    m.unmap(A, 103 + P, P)
    assert (pairs(m, pfn), m.mapcount(pfn)) == (1, 3)


@by_both
def test_page_by_page_only_the_first_and_the_last_of_a_table_count(execution: Any) -> None:
    m = machine(execution)
    pfn = m.file_folio(4)
    for i in (7, 3, 15, 0):
        m.map_file(A, 64 + i, pfn + i, 1)
        assert pairs(m, pfn) == 1
    for i in (0, 7, 15):
        m.unmap(A, 64 + i, 1)
        assert pairs(m, pfn) == 1
    m.unmap(A, 64 + 3, 1)
    assert pairs(m, pfn) == 0
    m.map_file(A, 64, pfn, 4)
    m.map_file(A, 128, pfn + 8, 4)
    assert pairs(m, pfn) == 2, "not where the first mapping would have these pages"


@by_both
@pytest.mark.parametrize("count", ["tables", "vmas"])
def test_a_pmd_and_its_split(execution: Any, count: str) -> None:
    m = machine(execution, count)
    m.populate(A, TABLE, TABLE, 9, pmd=True)
    assert (pairs(m), m.mapcount(0)) == (1, 1)
    m.fork(A, B)
    assert pairs(m) == 2
    m.split_pmd(A, TABLE)
    assert (pairs(m), m.mapcount(0)) == (2, TABLE + 1)
    m.unmap(A, TABLE, TABLE - 1)
    assert pairs(m) == 2
    m.exit(A)
    assert (pairs(m), m.mapcount(0)) == (1, 1)
    m.exit(B)
    assert m.statistic("NR_ANON_THPS") == 0
    assert violations(m) == []


class Writes:
    """Notes each new value of the count of pairs."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        if ref.field.name == "_pair_mapcount" and old != new:
            self.values.append(new)


@by_both
@pytest.mark.parametrize("count", ["tables", "vmas"])
def test_mremap_tells_the_count(execution: Any, count: str) -> None:
    """Half of the folio moves to another page table, and there it is unmapped first: nothing is lost."""
    m = machine(execution, count)
    m.populate(A, 0, P, 4)
    m.mremap(A, 0, TABLE, P // 2)
    assert (pairs(m), m.maybe_shared(0)) == (2, True)
    m.unmap(A, P // 2, P // 2)
    assert pairs(m) == 1
    m.unmap(A, TABLE, P // 2)
    assert pairs(m) == 0
    assert violations(m) == []


def test_while_mremap_moves_a_folio_no_reader_sees_one_pair_too_few() -> None:
    m = machine()
    m.populate(A, 0, P, 4)
    m.fork(A, B)
    m.vm.observer = seen = Writes()
    m.mremap(A, 0, TABLE, P)
    m.vm.observer = None
    assert seen.values == [3, 2], "two VMAs of the parent while it moves"
    m.populate(A, 2 * TABLE, P, 4)
    at = m.frame(A, 2 * TABLE)
    m.vm.observer = seen = Writes()
    m.mremap(A, 2 * TABLE, TABLE + P, 1)
    m.mremap(A, 2 * TABLE + 1, 7, P - 1)
    m.vm.observer = None
    assert (pairs(m, at), seen.values) == (2, [2, 3, 2])


def test_a_whole_pmd_moves_without_a_change() -> None:
    m = machine()
    m.populate(A, 0, TABLE, 9, pmd=True)
    m.mremap(A, 0, TABLE, TABLE)
    assert pairs(m) == 1
    m.split_pmd(A, TABLE)
    m.exit(A)
    assert violations(m) == []


def test_the_last_owner_reuses_its_folio_and_only_without_other_references() -> None:
    m = machine()
    m.populate(A, 0, P, 4)
    m.fork(A, B)
    assert m.write(A, 0) == "copied"
    m.unmap(B, 0, P, flush=False)
    assert pairs(m) == 1
    assert m.write(A, 1) == "copied", "the child's references are not dropped yet"
    m.flush_gather()
    assert m.write(A, 2) == "reused"
    m.get_user(0)
    assert m.write(A, 3) == "copied"
    m.put_user(0)
    m.swap_cache(0)
    m.swap_out(A, 4)
    assert m.write(A, 5) == "copied", "a swap entry may come back"
    assert m.write(A, 4) == "reused", "it came back here, and the folio has left the swap cache"
    m.unmap(A, 6, P - 7)
    assert m.write(A, P - 1) == "reused"


# -- the contract ------------------------------------------------------------------------------------------
def with_place(folio: Any, page: Any, nr: int, mm: Any, vpn: int) -> None:
    """A hook that takes one argument more."""


def two_more(folio: Any, page: Any, nr: int, mm: Any, vpn: int, more: int) -> Any:
    """A hook that takes two more, which none does."""


def test_only_some_hooks_may_ask_for_the_place_and_only_for_that() -> None:
    assert "can_reuse" not in HOOKS_WITH_VPN
    hooks = replace(mm_id.POLICY.hooks, dup_ptes=with_place)
    assert replace(mm_id.POLICY, hooks=hooks).hooks.dup_ptes is with_place
    wrong: tuple[tuple[str, Any, str], ...] = (
        ("dup_ptes", two_more, r"hook dup_ptes must be a function of 4 arguments \(or 5, with vpn\)"),
        ("can_reuse", with_place, r"hook can_reuse must be a function of 3 arguments\n"),
    )
    for name, hook, message in wrong:
        with pytest.raises(PluginError, match=message):
            replace(mm_id.POLICY, hooks=replace(hooks, **{name: hook}))


@pytest.mark.parametrize(("policy", "expected"), [(POLICY, [(TABLE + 3, 0), (TABLE + 4, 1)]), (mm_id.POLICY, [])])
def test_a_policy_is_told_of_moves_only_if_it_wants_to_be(policy: Policy, expected: list[tuple[int, int]]) -> None:
    m = Machine(policy.with_parameters(), SHAPE, "interpreted")
    told = []

    def note(folio: Any, page: Any, to: int, mm: Any, vpn: int) -> int:
        told.append((to, vpn))
        return 0

    m.vm.policy = [*m.vm.policy[: calls.MOVE_PTE], note]
    m.create(A)
    m.populate(A, 0, P, 4)
    assert m.write(A, 3 * TABLE) == "new page", "a small folio needs no scheme"
    m.mremap(A, 0, TABLE + 3, 2)
    m.mremap(A, 3 * TABLE, 2 * TABLE, 1)
    assert told == expected
