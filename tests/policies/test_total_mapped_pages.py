"""The total of mapped pages: specification 5.1, its example, its layout, its formulas, and what it gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.engine import calls
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import layouts_of
from foliolab.framework.engine.truth import scan
from foliolab.policies import no_page_mapcount, page_mapcount, total_mapped_pages

P, PMD = 16, 512
SCHEME = total_mapped_pages.POLICY.with_parameters()
NO_MC = no_page_mapcount.POLICY.with_parameters()
BASE = page_mapcount.POLICY.with_parameters()
HUGE = Shape(4096, 4, 2048)


def machine(scheme: Any = SCHEME, shape: Shape = HUGE, how: Any = "interpreted") -> Machine:
    m = Machine(scheme, shape, how)
    m.create(0)
    return m


def counts(m: Machine, pfn: int = 0) -> tuple[int, int]:
    """(mapcount, total)."""
    return m.mapcount(pfn), m.folio(pfn)._total_mapped_pages.peek()


def mapped(m: Machine) -> tuple[int, int, int]:
    return tuple(m.statistic(n) for n in ("NR_ANON_MAPPED", "NR_ANON_THPS", "NR_ANON_PARTIALLY_MAPPED"))  # type: ignore[return-value]


def test_layout_of_the_first_tail_page() -> None:
    folio = layouts_of(SCHEME)["folio"].by_name
    wanted = {
        "_pincount": 16, "_total_mapped_pages": 24, "_mm_id_mapcount": 32, "_mm_ids": 40, "_large_mapcount": 48,
        "_refcount_1": 52, "_nr_pages": 56,
    }  # fmt: skip
    assert {name: folio[name].offset - 64 for name in wanted} == wanted
    assert folio["_total_mapped_pages"].size == 8
    assert not {"_entire_mapcount", "_nr_pages_mapped", "_mapcount_1"} & folio.keys()
    assert SCHEME.stored("page") == ()


def test_two_pmds_and_one_pte() -> None:
    """The example: a PMD-sized folio with 2 PMD mappings and one PTE has mapcount 3 and total 1025."""
    m = machine()
    m.create(1)
    pfn = m.file_folio(9)
    m.map_file(0, 0, pfn, PMD, pmd=True)
    m.map_file(1, 0, pfn, PMD, pmd=True)
    m.map_file(1, PMD, pfn + 5, 1)
    assert counts(m, pfn) == (3, 1025)
    assert total_mapped_pages.entire_mapcount(m.folio(pfn)) == 2
    assert (m.statistic("NR_FILE_MAPPED"), m.statistic("NR_FILE_PMDMAPPED")) == (PMD, PMD)
    m.unmap(0, 0, PMD)
    assert counts(m, pfn) == (2, 513)
    assert m.statistic("NR_FILE_PMDMAPPED") == PMD
    m.unmap(1, 0, PMD)
    assert counts(m, pfn) == (1, 1)
    assert (m.statistic("NR_FILE_MAPPED"), m.statistic("NR_FILE_PMDMAPPED")) == (PMD, 0)
    m.unmap(1, PMD, 1)
    assert counts(m, pfn) == (0, 0)
    assert m.statistic("NR_FILE_MAPPED") == 0


def test_the_large_mapcount_takes_the_place_of_the_first_tail_pages_own() -> None:
    m = machine()
    m.populate(0, 0, P, 4)
    assert [m.page(i)._mapcount.peek() for i in (0, 1, 2)] == [-1, P - 1, -1]
    m.exit(0)
    assert m.page(1)._mapcount.peek() == -1


@settings(max_examples=200)
@given(order=st.sampled_from([1, 2, 3, 4, 8, 9]), ptes=st.integers(0, 5000), pmds=st.integers(0, 5))
def test_the_average(order: int, ptes: int, pmds: int) -> None:
    """Any counts, set by hand: max(floor((total + P/2) / P), 1); for PMD-sized folios what specification 3.3 gives."""
    pages = 1 << order
    pmds = pmds if order == 9 else 0
    new, old = machine(), machine(NO_MC)
    mapcount, total = ptes + pmds, ptes + PMD * pmds
    head = [m.file_folio(order) for m in (new, old)]
    for m, pfn in zip((new, old), head, strict=True):
        m.folio(pfn)._large_mapcount.write("test", mapcount - 1)
    new.folio(head[0])._total_mapped_pages.write("test", total)
    old.folio(head[1])._entire_mapcount.write("test", pmds - 1)
    average = new.kpagecount(head[0])
    assert average == (max(int(total / pages + 0.5), 1) if total else 0)
    assert average == old.kpagecount(head[1])
    assert total_mapped_pages.entire_mapcount(new.folio(head[0])) == pmds


@pytest.mark.parametrize(("mappings", "average"), [(1, 1), (5, 1), (6, 2), (9, 2), (10, 3)])
def test_averages_of_four_pages(mappings: int, average: int) -> None:
    m = machine()
    pfn = m.file_folio(2)
    folio, page, mm = m.folio(pfn), m.page(pfn), m.at("mm", m.map.mms[0])
    for _ in range(mappings):
        m.vm.policy[calls.ADD_PTES](folio, page, 1, mm)
    assert m.kpagecount(pfn) == average


# -- against CONFIG_NO_PAGE_MAPCOUNT: the same answers as long as no PMD and PTEs are mixed -------------------
Step = tuple[int, int, int, int]
STEPS = st.lists(st.tuples(*[st.integers(0, 1 << 12)] * 4), min_size=4, max_size=25)


def run(m: Machine, steps: list[Step]) -> list[Any]:
    """Operations on anonymous and file folios, by PTEs and PMDs; what user space then sees after each."""
    out: list[Any] = []
    pfn = m.file_folio(9)
    for what, a, b, c in steps:
        live = [mm for mm in range(4) if m.is_alive(mm)]
        dead = [mm for mm in range(4) if mm not in live]
        if not live:
            m.create(0)
            live = [0]
        mm, start = live[a % len(live)], b % 3 * PMD
        match what % 7:
            case 0 | 1 if not m.is_mapped(mm, start, PMD):
                m.populate(mm, start, PMD, (2, 4, 9, 9)[c % 4], pmd=c % 4 == 3)
            case 2 if dead:
                m.fork(mm, dead[a % len(dead)])
            case 3:
                m.unmap(mm, start + c % PMD, min(1 + a % PMD, PMD - c % PMD))
            case 4:
                out.append(m.write(mm, start + c % PMD)) if m.frame(mm, start + c % PMD) >= 0 else None
            case 5 if not m.is_mapped(mm, 3 * PMD, PMD):
                m.map_file(mm, 3 * PMD, pfn, PMD, pmd=c % 2 == 0)
            case 6:
                m.split_pmd(mm, start, PMD)
        truth = scan(m)
        assert violations(m, truth) == []
        out.append([m.statistic(n) for n in ("NR_ANON_MAPPED", "NR_FILE_MAPPED", "NR_ANON_THPS", "NR_FILE_PMDMAPPED")])
        for head in map(int, truth.folios()):
            out.append((head, m.mapcount(head), m.maybe_shared(head), m.kpagecount(head), m.exclusive(head)))
    return out


def total_is_right(m: Machine) -> None:
    truth = scan(m)
    for head in map(int, truth.folios()):
        pages = int(truth.nr_pages_of[head])
        if pages > 1:
            assert counts(m, head)[1] == int(truth.page_mapcount[head : head + pages].sum())


@settings(max_examples=10, deadline=None)
@given(steps=STEPS)
def test_it_answers_as_no_page_mapcount_does(steps: list[Step]) -> None:
    """Mapcount, flag, averages, exclusive bit and statistics follow specification 3; the total is the true one."""
    new, old = machine(), machine(NO_MC)
    assert run(new, steps) == run(old, steps)
    total_is_right(new)
    for mm in range(4):
        if new.is_alive(mm):
            assert new.smaps(mm) == old.smaps(mm)


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
def test_interpreted_and_native_leave_the_same_bytes() -> None:
    rng = np.random.default_rng(5)
    for _ in range(6):
        steps: list[Step] = [tuple(row) for row in rng.integers(0, 1 << 12, (30, 4)).tolist()]
        one, two = machine(), machine(how="native")
        assert run(one, steps) == run(two, steps)
        assert np.array_equal(one.vm.buffer, two.vm.buffer)


# -- partially mapped ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("pmd", [False, True])
def test_fewer_mapped_pages_than_the_folio_has(pmd: bool) -> None:
    m = machine()
    m.populate(0, 0, PMD, 9, pmd=pmd)
    assert mapped(m) == (PMD, PMD if pmd else 0, 0)
    m.unmap(0, 0, 1)  # a PMD is split first
    assert counts(m) == (PMD - 1, PMD - 1)
    assert mapped(m) == (PMD, 0, 1)
    m.unmap(0, 1, PMD - 1)
    assert mapped(m) == (0, 0, 0)


def test_a_pmd_that_goes_leaves_its_ptes_partial() -> None:
    """Mapped by a PMD in A and by one PTE in B: with the PMD gone, 0 < total = 1 < 512."""
    m = machine()
    m.populate(0, 0, PMD, 9, pmd=True)
    m.fork(0, 1)
    m.unmap(1, 1, PMD - 1)
    assert counts(m) == (2, PMD + 1)
    assert mapped(m) == (PMD, PMD, 0)
    m.unmap(0, 0, PMD)
    assert counts(m) == (1, 1)
    assert mapped(m) == (PMD, 0, 1)


@pytest.mark.parametrize(("scheme", "found"), [(SCHEME, 0), (NO_MC, 0), (BASE, 1)], ids=lambda v: getattr(v, "name", v))
def test_missed_when_both_unmap_the_same_half(scheme: Any, found: int) -> None:
    """3.4 (A) stays: parent and child unmap the same quarter, and total >= P proves nothing."""
    m = machine(scheme)
    m.populate(0, 0, P, 4)
    m.fork(0, 1)
    m.unmap(0, 0, P // 4)
    m.unmap(1, 0, P // 4)
    assert scan(m).partially_mapped[0]
    assert m.statistic("NR_ANON_PARTIALLY_MAPPED") == found
    m.unmap(1, P // 4, 9)
    assert m.statistic("NR_ANON_PARTIALLY_MAPPED") == 1


# -- what user space gets wrong ------------------------------------------------------------------------------
def test_pss_and_uss_after_a_partial_copy() -> None:
    """3.3's examples hold: P = 16 and 8 (9) pages copied by the child give the parent 8 (16) pages of PSS, no USS."""
    for copied, pss in ((8, 8.0), (9, 16.0)):
        m = machine()
        m.populate(0, 0, P, 4)
        m.fork(0, 1)
        for vpn in range(copied):
            assert m.write(1, vpn) == "copied"
        assert counts(m) == (2 * P - copied, 2 * P - copied)
        assert m.smaps(0) == (P, 0, pss)


def test_the_third_owner_alone_is_called_shared() -> None:
    """2.4, T2: the slots are those of mm-id, and so is their error."""
    m = machine()
    m.populate(0, 0, P, 4)
    m.fork(0, 1)
    m.fork(0, 2)
    m.exit(0)
    m.exit(1)
    assert scan(m).owners[0] == 1
    assert m.maybe_shared(0)
    assert m.write(2, 0) == "copied"
    m.unmap(2, 1, P - 2)
    assert counts(m) == (1, 1)
    assert not m.maybe_shared(0)
