"""`likely-mapped-shared`: both versions against specification 1.10, and where they and their neighbours differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import Truth, scan
from foliolab.framework.errors import UsageError
from foliolab.policies import estimated_sharers, page_mapcount
from foliolab.policies.likely_mapped_shared import POLICY

A, B, C = 0, 1, 2
P = 16
SMALL = Shape(256, 3, 64, max_order=4)
HUGE = Shape(4096, 3, 1024)
VERSIONS = {version: POLICY.with_parameters({"version": version}) for version in ("6.9", "6.10")}
OLDER = estimated_sharers.POLICY.with_parameters()
BASE = page_mapcount.POLICY.with_parameters()

Step = tuple[int, int, int, int]
STEPS = st.lists(st.tuples(*[st.integers(0, 1 << 12)] * 4), min_size=3, max_size=25)


def wanted(version: str, truth: Truth, pfn: int) -> bool:
    """The row of specification 1.10, from the page tables."""
    first = int(truth.page_mapcount[pfn])
    if version == "6.9":
        return first > 1
    total, entire = int(truth.folio_mapcount[pfn]), int(truth.pmds[:, pfn].sum())
    if total <= 1:
        return False
    return entire > 0 or total > truth.nr_pages_of[pfn] or first - entire > 1


def run(m: Machine, steps: list[Step]) -> Machine:
    """Anonymous folios: populated, forked, unmapped, written to, split, left."""
    order = 9 if m.shape is HUGE else 4
    pages = 1 << order
    m.create(A)
    m.populate(A, 0, 2 * pages, order, pmd=order == 9)
    for what, a, b, c in steps:
        mm, start = a % 3, b % (2 * pages)
        if not m.is_alive(mm):
            parent = next((other for other in range(3) if m.is_alive(other)), None)
            m.create(mm) if parent is None else m.fork(parent, mm)
        elif what % 5 == 0:
            m.exit(mm)
        elif what % 5 == 1:
            m.write(mm, start, 1)
        elif what % 5 == 2:
            m.split_pmd(mm, start)
        else:
            m.unmap(mm, start, 1 + c % min(pages, 2 * pages - start))
    return m


@pytest.mark.parametrize("shape", [SMALL, HUGE], ids=["16", "512"])
@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_the_formula_of_each_version(version: str, shape: Shape, steps: list[Step]) -> None:
    m = run(Machine(VERSIONS[version], shape, "interpreted"), steps)
    truth = scan(m)
    for head in truth.folios():
        if truth.nr_pages_of[head] > 1:
            assert m.maybe_shared(int(head)) == wanted(version, truth, int(head))
    assert violations(m) == []


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_6_10_is_page_mapcount_byte_for_byte(steps: list[Step]) -> None:
    one, two = (run(Machine(scheme, SMALL, "interpreted"), steps) for scheme in (VERSIONS["6.10"], BASE))
    assert np.array_equal(one.vm.buffer, two.vm.buffer)
    for head in scan(one).folios():
        assert one.maybe_shared(int(head)) == two.maybe_shared(int(head))


def first_page_gone_from_one(m: Machine) -> None:
    m.populate(A, 0, P, 4)
    m.fork(A, B)
    m.unmap(B, 0, 1)


def two_halves(m: Machine) -> None:
    """A keeps the lower half, B the upper one."""
    m.populate(A, 0, P, 4)
    m.fork(A, B)
    m.unmap(A, P // 2, P // 2)
    m.unmap(B, 0, P // 2)


def first_page_gone_from_all(m: Machine) -> None:
    m.populate(A, 0, P, 4)
    m.unmap(A, 0, 1)


def first_page_gone_and_shared(m: Machine) -> None:
    m.populate(A, 0, P, 4)
    m.fork(A, B)
    m.unmap(A, 0, 1)
    m.unmap(B, 0, 1)


def mapped_twice_by_one(m: Machine) -> None:
    pfn = m.file_folio(4)
    assert pfn == 0
    m.map_file(A, 0, pfn, 4)
    m.map_file(A, P, pfn, 4)


def only_the_rest_twice(m: Machine) -> None:
    mapped_twice_by_one(m)
    m.unmap(A, P, 1)


def forked(m: Machine) -> None:
    m.populate(A, 0, P, 4)
    m.fork(A, B)


SITUATIONS: dict[str, tuple[Callable[[Machine], None], int, tuple[bool, bool, bool]]] = {
    # what is done, how many MMs map it, who says shared: estimated-sharers, 6.9, 6.10
    "forked": (forked, 2, (True, True, True)),
    "page 0 gone from one of two": (first_page_gone_from_one, 2, (False, False, True)),
    "each has a half": (two_halves, 2, (False, False, False)),
    "page 0 gone from the only one": (first_page_gone_from_all, 1, (True, False, False)),
    "page 0 gone from both": (first_page_gone_and_shared, 2, (True, False, True)),
    "one MM maps page 0 twice": (mapped_twice_by_one, 1, (True, True, True)),
    "one MM maps others twice": (only_the_rest_twice, 1, (False, False, False)),
}


@pytest.mark.parametrize("title", SITUATIONS)
def test_what_each_kernel_says(title: str) -> None:
    prepare, owners, says = SITUATIONS[title]
    schemes: list[Scheme] = [OLDER, VERSIONS["6.9"], VERSIONS["6.10"]]
    for scheme, shared in zip(schemes, says, strict=True):
        m = Machine(scheme, SMALL, "interpreted")
        m.create(A)
        prepare(m)
        assert scan(m).owners[0] == owners
        assert m.maybe_shared(0) is shared, scheme.name


def test_a_pmd_and_a_pte_table_of_one_mm() -> None:
    """6.10: any PMD besides another mapping counts as shared; 6.9 asks only how often page 0 is mapped."""
    for version, shared in (("6.9", False), ("6.10", True)):
        m = Machine(VERSIONS[version], HUGE, "interpreted")
        m.create(A)
        pfn = m.file_folio(9)
        m.map_file(A, 0, pfn, 512, pmd=True)
        assert not m.maybe_shared(pfn)
        m.map_file(A, 512, pfn + 1, 1)
        assert m.maybe_shared(pfn) is shared


def test_6_9_has_no_large_mapcount() -> None:
    assert [f.name for f in VERSIONS["6.9"].fields] == [f.name for f in OLDER.fields]
    assert VERSIONS["6.9"].constants == OLDER.constants
    assert VERSIONS["6.10"].fields == BASE.fields
    assert POLICY.with_parameters().values == VERSIONS["6.10"].values
    with pytest.raises(UsageError, match=r"version=6\.8 is not a choice"):
        POLICY.with_parameters({"version": "6.8"})


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
@pytest.mark.parametrize("shape", [SMALL, HUGE], ids=["16", "512"])
@pytest.mark.parametrize("version", VERSIONS)
def test_interpreted_and_native_leave_the_same_bytes(version: str, shape: Shape) -> None:
    rng = np.random.default_rng(5)
    for _ in range(6):
        steps: list[Step] = [tuple(row) for row in rng.integers(0, 1 << 12, (25, 4)).tolist()]
        slow, fast = (run(Machine(VERSIONS[version], shape, how), steps) for how in ("interpreted", "native"))
        assert np.array_equal(slow.vm.buffer, fast.vm.buffer)
        for head in scan(slow).folios():
            assert slow.maybe_shared(int(head)) == fast.maybe_shared(int(head))
            assert slow.mapcount(int(head)) == fast.mapcount(int(head))
