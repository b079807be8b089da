"""`estimated-sharers`: the formula of specification 1.10 against the page tables, and what it gets wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import UsageError
from foliolab.policies import page_mapcount
from foliolab.policies.estimated_sharers import POLICY

A, B = 0, 1
P = 16
SMALL = Shape(64, 3, 64, max_order=4)
HUGE = Shape(2048, 3, 1024)

Step = tuple[int, int, int, int]
STEPS = st.lists(st.tuples(*[st.integers(0, 1 << 12)] * 4), min_size=3, max_size=25)


def machine(shape: Shape = SMALL, execution: str = "interpreted") -> Machine:
    m = Machine(POLICY.with_parameters(), shape, execution)  # type: ignore[arg-type]
    m.create(A)
    return m


def run(m: Machine, order: int, steps: list[Step]) -> int:
    """Parts of one file folio are mapped, twice by an MM at times, and unmapped; its frame."""
    for mm in range(1, m.shape.nr_mms):
        m.create(mm)
    pfn, pages = m.file_folio(order), 1 << order
    for who, what, a, b in steps:
        mm, offset = who % m.shape.nr_mms, a % pages
        nr = 1 + b % (pages - offset)
        start = offset + (pages if what & 1 else 0)
        if what % 4 == 3:
            m.unmap(mm, start, nr)
        elif what % 4 == 2 and order == 9 and not m.is_mapped(mm, 0, pages):
            m.map_file(mm, 0, pfn, pages, pmd=True)
        elif not m.is_mapped(mm, start, nr):
            m.map_file(mm, start, pfn + offset, nr)
    return pfn


@pytest.mark.parametrize(("shape", "order"), [(SMALL, 4), (SMALL, 1), (HUGE, 9)], ids=["16", "2", "512"])
@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_it_is_the_page_mapcount_of_the_first_page(shape: Shape, order: int, steps: list[Step]) -> None:
    m = machine(shape)
    pfn = run(m, order, steps)
    assert m.maybe_shared(pfn) == (scan(m).page_mapcount[pfn] != 1)
    assert violations(m) == []


def test_right_while_every_mm_maps_the_whole_folio() -> None:
    m = machine()
    m.populate(A, 0, P, 4)
    assert not m.maybe_shared(0)
    m.fork(A, B)
    assert m.maybe_shared(0)
    m.exit(A)
    assert not m.maybe_shared(0)
    m.unmap(B, 1, P - 1)
    assert not m.maybe_shared(0)


def test_right_for_pmds_that_are_mapped_and_split() -> None:
    m = machine(HUGE)
    m.populate(A, 0, 512, 9, pmd=True)
    assert not m.maybe_shared(0)
    m.fork(A, B)
    assert m.maybe_shared(0)
    m.split_pmd(B, 0)
    assert m.maybe_shared(0)
    m.exit(A)
    assert not m.maybe_shared(0)


def test_shared_folios_called_exclusive() -> None:
    """1.10, false negative: page 0 unmapped, or copied, in one of two MMs."""
    for part in ("unmapped", "copied"):
        m = machine()
        m.populate(A, 0, P, 4)
        m.fork(A, B)
        if part == "unmapped":
            m.unmap(B, 0, 1)
        else:
            assert m.write(B, 0) == "copied"
        assert scan(m).owners[0] == 2
        assert not m.maybe_shared(0)


def test_exclusive_folios_called_shared() -> None:
    """1.10, false positive: page 0 mapped twice by its only MM; and not mapped, since 0 is not 1 either."""
    m = machine()
    pfn = m.file_folio(4)
    m.map_file(A, 0, pfn, P)
    m.map_file(A, P, pfn, 1)
    assert scan(m).owners[pfn] == 1
    assert m.maybe_shared(pfn)
    m.unmap(A, P, 1)
    assert not m.maybe_shared(pfn)
    m.unmap(A, 0, 1)
    assert scan(m).owners[pfn] == 1
    assert m.maybe_shared(pfn)


def test_a_large_folio_is_never_reused() -> None:
    """1.9: up to 6.14 a large folio that PTEs map is copied, sole owner or not."""
    m = machine()
    m.populate(A, 0, P, 4)
    m.fork(A, B)
    m.exit(B)
    assert not m.maybe_shared(0)
    assert m.write(A, 3) == "copied"


def test_the_counters_are_those_of_page_mapcount_before_the_large_mapcount() -> None:
    names = [field.name for field in POLICY.with_parameters().fields]
    assert names == ["_mapcount", "_entire_mapcount", "_nr_pages_mapped"]
    old = page_mapcount.POLICY.with_parameters({"large_mapcount": 0, "batched": 0})
    assert POLICY.with_parameters().constants == old.constants
    with pytest.raises(UsageError, match="no parameter 'batched'"):
        POLICY.with_parameters({"batched": 1})


def test_it_claims_no_safety() -> None:
    assert POLICY.capabilities == {"page-mapcount", "partial-mapping", "pmd"}


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
@pytest.mark.parametrize(("shape", "order"), [(SMALL, 4), (HUGE, 9)], ids=["16", "512"])
def test_interpreted_and_native_leave_the_same_bytes(shape: Shape, order: int) -> None:
    rng = np.random.default_rng(4)
    for _ in range(8):
        steps: list[Step] = [tuple(row) for row in rng.integers(0, 1 << 12, (25, 4)).tolist()]
        slow, fast = (machine(shape, execution) for execution in ("interpreted", "native"))
        pfn = run(slow, order, steps)
        assert run(fast, order, steps) == pfn
        assert np.array_equal(slow.vm.buffer, fast.vm.buffer)
        assert slow.maybe_shared(pfn) == fast.maybe_shared(pfn)
        assert slow.mapcount(pfn) == fast.mapcount(pfn) == scan(fast).folio_mapcount[pfn]
