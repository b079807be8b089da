"""Remembered counts of pages are what the policy would answer now; it is asked only about pages that changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.api import Stored, atomic_add, atomic_read, load
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import scan
from foliolab.policies import mm_id, page_mapcount

SHAPE = Shape(64, 3, 32, max_order=4)
PAGES = range(16)


def machine(policy: Any = page_mapcount.POLICY) -> Machine:
    made = Machine(policy.with_parameters(), SHAPE, "interpreted")
    made.create(0)
    made.populate(0, 0, 16, 4)
    return made


class Asks:
    """Asks a machine, and keeps which pages it was asked about."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.asked: list[int] = []

    def __call__(self, pfn: int) -> int:
        self.asked.append(pfn)
        return self.machine.kpagecount(pfn)


def counts(m: Machine, asks: Asks) -> list[int]:
    asks.asked.clear()
    return m._page_counts.of(PAGES, asks).tolist()


def test_only_pages_that_an_operation_touched_are_asked_about_again() -> None:
    m = machine()
    asks = Asks(m)
    assert counts(m, asks) == [1] * 16
    assert asks.asked == list(PAGES)
    assert counts(m, asks) == [1] * 16
    assert asks.asked == []
    m.fork(0, 1, 4, 2)
    assert counts(m, asks) == [1] * 4 + [2, 2] + [1] * 10
    assert asks.asked == [4, 5]


@pytest.mark.parametrize("policy", [page_mapcount.POLICY, mm_id.POLICY], ids=lambda policy: policy.name)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15), st.integers(1, 8)), max_size=12))
def test_remembered_counts_are_the_present_ones(policy: Any, steps: list[tuple[int, int, int]]) -> None:
    m = machine(policy)
    start = m.snapshot()
    for kind, first, length in steps:
        nr = min(length, 16 - first)
        if kind == 0 and not m.is_alive(1):
            m.fork(0, 1, first, nr)
        elif kind == 1 and m.is_alive(1):
            m.exit(1)
        elif kind == 2:
            m.unmap(0, first, nr)
        elif kind == 3:
            m.restore(start)
        # the folio may be gone, and its frames in use by nobody: the engine counts these, too
        assert m.kpagecounts(PAGES).tolist() == [m.kpagecount(pfn) for pfn in PAGES]
        assert [one for one in violations(m) if one.law == "page-mapcount"] == []


def test_a_count_that_changes_memory_is_asked_for_each_time() -> None:
    def counting(folio: Any, page: Any) -> int:
        atomic_add(1, folio._asked)
        return load(folio._asked)

    counter = Stored("_asked", "i32", page=1, offset=40, init=0, doc="how often it was asked")
    policy: Any = page_mapcount.POLICY
    wrong = replace(
        policy,
        name="counting",
        fields=(*policy.fields, counter),
        hooks=replace(policy.hooks, page_mapcount=counting),
        models=None,
        mutants=None,
    )
    m = machine(wrong)
    assert m.kpagecounts(PAGES).tolist() == list(range(1, 17))
    assert m.kpagecounts(PAGES).tolist() == list(range(17, 33))


def test_what_raises_leaves_nothing_behind() -> None:
    def raising(folio: Any, page: Any) -> int:
        return 1 // (3 - atomic_read(page._mapcount))

    policy: Any = page_mapcount.POLICY
    wrong = replace(
        policy, name="raising", hooks=replace(policy.hooks, page_mapcount=raising), models=None, mutants=None
    )
    m = machine(wrong)
    mapcount = m.column("page", "_mapcount")
    mapcount[5] = 3
    with pytest.raises(ZeroDivisionError):
        m.kpagecounts(PAGES)
    mapcount[0] = 2
    mapcount[5] = 0
    assert m.kpagecounts(PAGES).tolist() == [1] + [0] * 15


def test_every_page_with_another_count_is_named() -> None:
    m = machine()
    assert violations(m) == []
    m.column("page", "_mapcount")[[3, 7]] += 2
    found = [str(one) for one in violations(m, scan(m)) if one.law == "page-mapcount"]
    assert found == ["page 3: mapcount 3, 1 mappings", "page 7: mapcount 3, 1 mappings"]
    m.column("page", "_mapcount")[[3, 7]] -= 2
    assert violations(m) == []


def test_native_code_is_asked_about_each_page() -> None:
    m = machine()
    native = m.with_execution("native")
    native.fork(0, 1, 4, 2)
    assert np.array_equal(native.kpagecounts(PAGES), m.kpagecounts(PAGES))
