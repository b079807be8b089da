"""What becomes visible: statistics, averages, PSS and USS. Specification 1.4, 1.5 and 3.1 to 3.3."""

from __future__ import annotations

from typing import Any

import pytest

from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import STATISTICS
from foliolab.framework.engine.truth import scan
from foliolab.policies import exact, mm_id, mm_id_v1, no_page_mapcount, page_mapcount

PMD = 512
BASE = page_mapcount.POLICY.with_parameters()
MM_ID = mm_id.POLICY.with_parameters()
NO_MC = no_page_mapcount.POLICY.with_parameters()
KEPT = [BASE, page_mapcount.POLICY.with_parameters({"batched": 0}), MM_ID, mm_id_v1.POLICY.with_parameters()]
KEPT += [exact.POLICY.with_parameters()]
AVERAGED = [NO_MC, mm_id_v1.POLICY.with_parameters({"page_mapcounts": 0})]
ALL = KEPT + AVERAGED


def name_of(scheme: Any) -> str:
    return str(scheme.name)


def machine(scheme: Any, nr_mms: int = 4, nr_pages: int = 2048, nr_vpns: int = 1024) -> Machine:
    m = Machine(scheme, Shape(nr_pages, nr_mms, nr_vpns), "interpreted")
    m.create(0)
    return m


def stats(m: Machine, *names: str) -> tuple[int, ...]:
    return tuple(m.statistic(name) for name in names)


def mapped(m: Machine) -> tuple[int, ...]:
    return stats(m, "NR_ANON_MAPPED", "NR_ANON_THPS")


# -- 1.4: the new anonymous folio ------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", KEPT, ids=name_of)
@pytest.mark.parametrize(
    ("order", "pmd", "pages", "large", "entire", "nr_pages_mapped", "exclusive", "nr", "thps"),
    [
        (2, False, 0, 3, -1, 4, 4, 4, 0),
        (4, False, 0, 15, -1, 16, 16, 16, 0),
        (8, False, 0, 255, -1, 256, 256, 256, 0),
        (9, True, -1, 0, 0, 0x800000, 1, PMD, PMD),  # by one PMD: page mapcounts untouched, head page exclusive
    ],
)
def test_new_anon_folio(scheme, order, pmd, pages, large, entire, nr_pages_mapped, exclusive, nr, thps) -> None:
    m = machine(scheme)
    m.populate(0, 0, 1 << order, order, pmd)
    folio = m.folio(0)
    assert {m.page(i)._mapcount.peek() for i in range(1 << order)} == {pages}
    assert folio._large_mapcount.peek() == large
    assert folio._entire_mapcount.peek() == entire
    assert folio._nr_pages_mapped.peek() == nr_pages_mapped
    flags = m.column("page", "flags")[: 1 << order] >> 17 & 1
    assert int(flags.sum()) == exclusive
    assert flags[0] == 1
    assert mapped(m) == (nr, thps)
    assert m.at("cpu", m.map.cpus[0]).nr_anon[order].peek() == 1


@pytest.mark.parametrize("scheme", AVERAGED, ids=name_of)
@pytest.mark.parametrize(("order", "pmd", "large", "entire"), [(2, False, 3, -1), (9, True, 0, 0)])
def test_new_anon_folio_without_page_mapcounts(scheme, order, pmd, large, entire) -> None:
    """3.1: as in 1.4 without the page mapcounts, which stay raw -1 for ever."""
    m = machine(scheme)
    m.populate(0, 0, 1 << order, order, pmd)
    assert {m.page(i)._mapcount.peek() for i in range(1 << order)} == {-1}
    assert (m.folio(0)._large_mapcount.peek(), m.folio(0)._entire_mapcount.peek()) == (large, entire)
    assert mapped(m) == (1 << order, PMD if pmd else 0)
    m.fork(0, 1)
    m.unmap(1, 0, 1)
    assert {m.page(i)._mapcount.peek() for i in range(1 << order)} == {-1}


@pytest.mark.parametrize("scheme", ALL, ids=name_of)
def test_new_small_folio(scheme) -> None:
    m = machine(scheme)
    m.populate(0, 3, 1, 0)
    pfn = m.frame(0, 3)
    assert m.page(pfn)._mapcount.peek() == 0
    assert m.column("page", "flags")[pfn] >> 17 & 1 == 1
    assert mapped(m) == (1, 0)


# -- 1.4 and 3.1: how nr follows from the counters -------------------------------------------------------
@pytest.mark.parametrize("scheme", KEPT, ids=name_of)
def test_exact_nr(scheme) -> None:
    """Pages count while they are mapped at least once, whoever maps them; a PMD covers all of them."""
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    assert mapped(m) == (PMD, PMD)
    m.fork(0, 1)
    assert mapped(m) == (PMD, PMD), "fork maps nothing that is not mapped already"
    m.split_pmd(1, 0)
    assert mapped(m) == (PMD, PMD)
    m.unmap(1, 0, 100)
    assert mapped(m) == (PMD, PMD), "those pages are below A's PMD"
    m.unmap(0, 0, PMD)
    assert mapped(m) == (PMD - 100, 0)
    m.unmap(1, 100, 12)
    assert mapped(m) == (400, 0)
    m.unmap(1, 112, 400)
    assert mapped(m) == (0, 0)


@pytest.mark.parametrize("scheme", AVERAGED, ids=name_of)
def test_all_or_nothing_nr(scheme) -> None:
    """3.1, every row: nr is P with the first and the last mapping, nr_pmdmapped P with the first and last PMD."""
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    assert mapped(m) == (PMD, PMD)
    m.fork(0, 1)
    assert mapped(m) == (PMD, PMD)
    m.split_pmd(1, 0)
    m.unmap(0, 0, PMD)  # the last PMD goes, PTEs are left
    assert mapped(m) == (PMD, 0)
    m.unmap(1, 0, PMD - 1)
    assert mapped(m) == (PMD, 0), "one page of 512 counts as all of them"
    m.unmap(1, PMD - 1, 1)
    assert mapped(m) == (0, 0)


def call(m: Machine, entry: int, pfn: int, nr: int, who: int = 0, page: int = 0) -> tuple[int, int, bool]:
    answer = m.vm.policy[entry](m.folio(pfn), m.page(pfn + page), nr, m.at("mm", m.map.mms[who]))
    return calls.nr_of(answer), calls.nr_pmdmapped_of(answer), calls.partially_mapped_of(answer)


@pytest.mark.parametrize("scheme", AVERAGED, ids=name_of)
@pytest.mark.parametrize(
    ("steps", "nr", "nr_pmdmapped", "partially"),
    [
        # add n PTEs: P if c = n, else 0
        ([("add", 3)], 8, 0, False),
        ([("add", 8)], 8, 0, False),
        ([("add", 3), ("add", 3)], 0, 0, False),
        ([("pmd", 1), ("add", 1)], 0, 0, False),
        # add PMD: P if c = 1 else 0; P if entire 0 -> 1
        ([("pmd", 1)], 8, 8, False),
        ([("pmd", 1), ("pmd", 1)], 0, 0, False),
        ([("add", 8), ("pmd", 1)], 0, 8, False),
        # remove n PTEs: P if c = 0 else 0; partially if 0 < c < P and E = 0
        ([("add", 8), ("rem", 8)], 8, 0, False),
        ([("add", 8), ("rem", 1)], 0, 0, True),
        ([("add", 8), ("add", 8), ("rem", 8)], 0, 0, False),
        ([("add", 8), ("add", 8), ("rem", 8), ("rem", 1)], 0, 0, True),
        ([("pmd", 1), ("add", 4), ("rem", 4)], 0, 0, False),
        # remove PMD: P if c = 0; P if entire -> 0; partially if c > 0, entire became 0, and c < P
        ([("pmd", 1), ("rpmd", 1)], 8, 8, False),
        ([("pmd", 1), ("pmd", 1), ("rpmd", 1)], 0, 0, False),
        ([("pmd", 1), ("add", 8), ("rpmd", 1)], 0, 8, False),
        ([("pmd", 1), ("add", 7), ("rpmd", 1)], 0, 8, True),
        ([("pmd", 1), ("pmd", 1), ("add", 1), ("rpmd", 1)], 0, 0, False),
    ],
)
def test_rows_of_table_3_1(scheme, steps, nr, nr_pmdmapped, partially) -> None:
    """On an order-3 file folio, whose eight pages a PMD-level mapping covers just the same."""
    m = machine(scheme)
    pfn = m.file_folio(3)
    entries = {"add": calls.ADD_PTES, "rem": calls.REMOVE_PTES, "pmd": calls.ADD_PMD, "rpmd": calls.REMOVE_PMD}
    answer = (0, 0, False)
    for what, n in steps:
        answer = call(m, entries[what], pfn, n)
    assert answer == (nr, nr_pmdmapped, partially)


@pytest.mark.parametrize("scheme", KEPT, ids=name_of)
@pytest.mark.parametrize(
    ("steps", "nr", "nr_pmdmapped", "partially"),
    [
        ([("add", 3)], 3, 0, False),
        ([("add", 3), ("add", 8)], 5, 0, False),
        ([("pmd", 1), ("add", 8)], 0, 0, False),  # already accounted through the PMD
        ([("pmd", 1)], 8, 8, False),
        ([("pmd", 1), ("pmd", 1)], 0, 0, False),
        ([("add", 3), ("pmd", 1)], 5, 8, False),
        ([("add", 8), ("rem", 8)], 8, 0, False),
        ([("add", 8), ("rem", 3)], 3, 0, True),
        ([("add", 8), ("add", 8), ("rem", 3)], 0, 0, False),
        ([("pmd", 1), ("add", 8), ("rem", 3)], 0, 0, False),
        ([("pmd", 1), ("rpmd", 1)], 8, 8, False),
        ([("pmd", 1), ("pmd", 1), ("rpmd", 1)], 0, 0, False),
        ([("pmd", 1), ("add", 8), ("rpmd", 1)], 0, 8, False),
        ([("pmd", 1), ("add", 3), ("rpmd", 1)], 5, 8, True),
    ],
)
def test_rules_of_section_1_4(scheme, steps, nr, nr_pmdmapped, partially) -> None:
    m = machine(scheme)
    pfn = m.file_folio(3)
    entries = {"add": calls.ADD_PTES, "rem": calls.REMOVE_PTES, "pmd": calls.ADD_PMD, "rpmd": calls.REMOVE_PMD}
    answer = (0, 0, False)
    for what, n in steps:
        answer = call(m, entries[what], pfn, n)
    assert answer == (nr, nr_pmdmapped, partially)


@pytest.mark.parametrize("scheme", KEPT, ids=name_of)
def test_racing_pmd_changes(scheme) -> None:
    """1.4: with ENTIRELY_MAPPED counted twice (add) or still once (remove), both deltas are 0."""
    for entry, entire, counted in ((calls.ADD_PMD, -1, 0x800000), (calls.REMOVE_PMD, 0, 2 * 0x800000)):
        m = machine(scheme)
        pfn = m.file_folio(3)
        call(m, calls.ADD_PMD, pfn, 1)
        m.folio(pfn)._entire_mapcount.write("race", entire)
        m.folio(pfn)._nr_pages_mapped.write("race", counted)
        assert call(m, entry, pfn, 1) == (0, 0, False), entry


# -- 1.5: which statistic --------------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", ALL, ids=name_of)
def test_statistics_by_kind_of_folio(scheme) -> None:
    m = machine(scheme)
    file, shmem = m.file_folio(9), m.file_folio(9, shmem=True)
    m.map_file(0, 0, file, PMD, pmd=True)
    m.map_file(0, PMD, shmem, PMD, pmd=True)
    names = ("NR_ANON_MAPPED", "NR_ANON_THPS", "NR_FILE_MAPPED", "NR_FILE_PMDMAPPED", "NR_SHMEM_PMDMAPPED")
    assert stats(m, *names) == (0, 0, 2 * PMD, PMD, PMD)
    m.unmap(0, 0, PMD)
    assert stats(m, *names) == (0, 0, PMD, 0, PMD)
    m.unmap(0, PMD, PMD)
    m.populate(0, 0, PMD, 9, pmd=True)
    assert stats(m, *names) == (PMD, PMD, 0, 0, 0)


@pytest.mark.parametrize("scheme", ALL, ids=name_of)
def test_rss_is_no_policys_business(scheme) -> None:
    """1.5 and 3.2: RSS counts page-table entries."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    file = m.file_folio(3)
    m.map_file(0, 100, file, 8)
    m.fork(0, 1)
    m.unmap(1, 0, 5)
    m.write(1, 8)
    m.write(1, 100)

    def rss(who: int) -> tuple[int, int]:
        mm = m.at("mm", m.map.mms[who])
        return mm.rss_anon.peek(), mm.rss_file.peek()

    assert (rss(0), rss(1)) == ((16, 8), (12, 7))
    assert (m.smaps(0)[0], m.smaps(1)[0]) == (24, 19)


@pytest.mark.parametrize(
    ("scheme", "wanted"),
    [*((s, 1) for s in KEPT), *((s, 16) for s in AVERAGED)],
    ids=lambda value: getattr(value, "name", value),
)
def test_15_of_16_pages_unmapped(scheme, wanted) -> None:
    """3.3: NR_ANON_MAPPED is 1 with page mapcounts, 16 without."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.unmap(0, 0, 15)
    assert m.statistic("NR_ANON_MAPPED") == wanted
    m.unmap(0, 15, 1)
    assert m.statistic("NR_ANON_MAPPED") == 0


# -- 3.3: the average, PSS and USS -------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", AVERAGED, ids=name_of)
@pytest.mark.parametrize(
    ("order", "mapcount", "entire", "average"),
    [
        *((9, m, 0, 1) for m in (1, 2, 511, 512, 766, 767)),
        *((9, m, 0, 2) for m in (768, 1024, 1279)),
        *((9, m, 0, 3) for m in (1280, 1536, 1791)),
        *((2, m, 0, 1) for m in (1, 2, 3, 4, 5)),
        *((2, m, 0, 2) for m in (6, 9)),
        (9, 0, 0, 0),
        (9, 1, 1, 1),
        (9, 3, 3, 3),
        (9, 513, 1, 2),
        (9, 2, 1, 1),
        (9, 257, 1, 2),
        (9, 256, 1, 1),
        (9, 1026, 2, 4),
    ],
)
def test_average_page_mapcount(scheme, order, mapcount, entire, average) -> None:
    m = machine(scheme)
    pfn = m.file_folio(order)
    m.folio(pfn)._large_mapcount.write("put", mapcount - 1)
    m.folio(pfn)._entire_mapcount.write("put", entire - 1)
    assert m.kpagecount(pfn) == m.kpagecount(pfn + 3) == average


@pytest.mark.parametrize("scheme", ALL, ids=name_of)
@pytest.mark.parametrize(
    ("copied", "pss_average", "pss_exact", "uss_exact"), [(8, 8.0, 12.0, 8), (9, 16.0, 12.5, 9), (0, 8.0, 8.0, 0)]
)
def test_pss_and_uss_after_fork(scheme, copied, pss_average, pss_exact, uss_exact) -> None:
    """3.3's examples: P = 16, parent and child share all; the child COWs some; the parent's PSS and USS."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1)
    for vpn in range(copied):
        assert m.write(1, vpn) == "copied"
    exact_answer = scheme in KEPT
    assert m.mapcount(0) == 32 - copied
    assert m.smaps(0) == ((16, uss_exact, pss_exact) if exact_answer else (16, 0, pss_average))
    assert scan(m).smaps(m, 0) == (16, uss_exact, pss_exact)
    assert m.kpagecount(0) == ((2 if copied == 0 else 1) if exact_answer else (2 if copied < 9 else 1))
    assert m.exclusive(0) is (exact_answer and copied > 0)


@pytest.mark.parametrize(("scheme", "exclusive"), [(MM_ID, False), (NO_MC, True)], ids=["mm-id", "no-page-mapcount"])
def test_exclusive_bit_of_a_page_mapped_twice_by_one_mm(scheme, exclusive) -> None:
    """3.2: without page mapcounts such a page counts as exclusive."""
    m = machine(scheme)
    pfn = m.file_folio(2)
    m.map_file(0, 0, pfn, 4)
    m.map_file(0, 8, pfn, 4)
    assert m.exclusive(pfn) is exclusive


def test_every_statistic_is_covered_here_or_by_the_reuse_tests() -> None:
    covered = {
        "NR_ANON_MAPPED", "NR_FILE_MAPPED", "NR_ANON_THPS", "NR_SHMEM_PMDMAPPED", "NR_FILE_PMDMAPPED",
        "NR_ANON_PARTIALLY_MAPPED", "THP_DEFERRED_SPLIT_PAGE", "PGFREE", "PGCOPY", "PGREUSE",
    }  # fmt: skip
    assert set(STATISTICS) == covered
