"""Rules of specification 1.7, 1.9, 2.5 and 2.6: AnonExclusive, small folios, pins at fork, MM IDs."""

from __future__ import annotations

from typing import Any

import pytest

from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import PG_locked
from foliolab.framework.errors import ModelError
from foliolab.policies import exact, mm_id, mm_id_v1, no_page_mapcount, page_mapcount

MM_ID = mm_id.POLICY.with_parameters()
SCHEMES = [
    page_mapcount.POLICY.with_parameters(),
    MM_ID,
    mm_id_v1.POLICY.with_parameters(),
    no_page_mapcount.POLICY.with_parameters(),
    exact.POLICY.with_parameters(),
]
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
PMD = 512


def machine(scheme: Any = MM_ID, nr_mms: int = 4) -> Machine:
    m = Machine(scheme, Shape(2048, nr_mms, 1024, contents=True), "interpreted")
    m.create(0)
    return m


def exclusive(m: Machine, start: int, nr: int) -> list[int]:
    """AnonExclusive of each frame."""
    return [int(flags) >> 17 & 1 for flags in m.column("page", "flags")[start : start + nr]]


def writable(m: Machine, mm: int, start: int, nr: int) -> list[int]:
    return [int(entry) >> 1 & 1 for entry in m.ptes(mm)[start : start + nr]]


# -- 1.7 AnonExclusive -------------------------------------------------------------------------------------
@every_scheme
def test_fork_clears_it_on_all_shared_pages(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1, 4, 8)  # the rest is MADV_DONTFORK
    assert exclusive(m, 0, 16) == [1] * 4 + [0] * 8 + [1] * 4
    assert writable(m, 0, 0, 16) == [1] * 4 + [0] * 8 + [1] * 4
    assert m.write(0, 0) == "unchanged"
    assert m.write(0, 4) == "copied"


@every_scheme
def test_pmd_keeps_it_on_the_head_page_and_a_split_copies_it(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    assert exclusive(m, 0, PMD) == [1] + [0] * (PMD - 1)
    m.split_pmd(0, 7)
    assert exclusive(m, 0, PMD) == [1] * PMD
    assert m.write(0, 100) == "unchanged"


@every_scheme
def test_split_of_a_shared_pmd_copies_nothing(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    m.fork(0, 1)
    assert exclusive(m, 0, 1) == [0]
    m.split_pmd(1, 0)
    assert sum(exclusive(m, 0, PMD)) == 0
    assert sum(writable(m, 1, 0, PMD)) == 0
    assert m.write(1, 9) == "copied"


@every_scheme
def test_unmapping_leaves_it(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.unmap(0, 3, 2)
    assert exclusive(m, 0, 16) == [1] * 16
    m.unmap(0, 0, 16)
    assert exclusive(m, 0, 16) == [0] * 16, "but a free page has no flags"


@every_scheme
def test_exclusive_page_is_reused_whatever_the_counters_say(scheme: Any) -> None:
    """A write fault on an AE page looks at no counter: its read-only PTE becomes writable in spite of references."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.get_user(0, 5)
    m.ptes(0)[6] &= ~m.ptes(0).dtype.type(2)  # mprotect there and back leaves a read-only PTE
    assert m.write(0, 6) == "reused"
    assert writable(m, 0, 0, 16) == [1] * 16


@every_scheme
def test_swap_out_carries_it_in_the_entry(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1, 8, 8)
    m.swap_cache(0)
    for vpn in (2, 10):
        assert m.swap_out(0, vpn)
    assert exclusive(m, 0, 16) == [1, 1, 0, 1, 1, 1, 1, 1] + [0] * 8
    for vpn in (2, 10):
        m.swap_in(0, vpn)
    assert exclusive(m, 0, 16) == [1] * 8 + [0] * 8
    assert writable(m, 0, 0, 16) == [1] * 8 + [0] * 8


@every_scheme
def test_fork_takes_it_from_swap_entries(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, 1, 0)
    m.swap_cache(0)
    m.swap_out(0, 0)
    m.fork(0, 1)
    m.swap_in(0, 0)
    assert exclusive(m, 0, 1) == [0]
    assert m.write(0, 0) == "copied", "the child's swap entry holds the old page"
    assert violations(m) == []


@every_scheme
def test_swap_out_of_a_pinned_exclusive_page_is_refused(scheme: Any) -> None:
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.pin(0, 3)
    m.swap_cache(0)
    assert m.swap_out(0, 3) is False
    assert m.frame(0, 3) == 3
    assert exclusive(m, 3, 1) == [1]


# -- 1.4 and 1.8: fork of what may be pinned ------------------------------------------------------------
@every_scheme
@pytest.mark.parametrize("order", [0, 2, 4])
def test_fork_copies_for_the_child_what_the_parent_may_have_pinned(scheme: Any, order: int) -> None:
    """-EBUSY changes nothing; then page by page: small exclusive copies in the child."""
    m = machine(scheme)
    pages = 1 << order
    m.populate(0, 0, pages, order)
    m.write(0, 0, pages, value=5)
    m.pin(0, pages - 1)
    references, mapcount = m.column("page", "_refcount")[0], m.mapcount(0)
    m.fork(0, 1)
    assert (m.column("page", "_refcount")[0], m.mapcount(0)) == (references, mapcount)
    assert exclusive(m, 0, pages) == writable(m, 0, 0, pages) == [1] * pages
    copies = [m.frame(1, vpn) for vpn in range(pages)]
    assert min(copies) >= pages
    assert [m.contents.buffer[pfn * 4096] for pfn in copies] == [5] * pages
    assert [exclusive(m, pfn, 1) for pfn in copies] == [[1]] * pages
    assert [m.kpagecount(pfn) for pfn in copies] == [1] * pages
    assert m.statistic("PGCOPY") == pages
    assert violations(m) == []


@every_scheme
def test_only_exclusive_pages_of_a_pinned_folio_are_copied(scheme: Any) -> None:
    """Pages that an earlier fork shared are no longer AE: the pin sees another process's page anyway."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1, 0, 8)
    m.pin(0, 9)
    m.fork(0, 2)
    assert [m.frame(2, vpn) == vpn for vpn in range(16)] == [True] * 8 + [False] * 8
    assert violations(m) == []


@every_scheme
def test_pin_of_an_mm_that_pinned_nothing_does_not_count(scheme: Any) -> None:
    """The needs-COW-for-DMA test asks the forking MM first."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1)
    m.pin(1, 3)
    m.exit(1)
    for vpn in range(16):
        m.write(0, vpn)
    m.fork(0, 2)
    assert [m.frame(2, vpn) for vpn in range(16)] == [m.frame(0, vpn) for vpn in range(16)]


@every_scheme
def test_pinned_pmd_is_split_for_the_child(scheme: Any) -> None:
    """-EAGAIN: the PMD is split, then its pages are copied one by one."""
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    m.pin(0, 100)
    m.fork(0, 1)
    assert m.pmds(0)[0] == 0
    assert [m.frame(0, vpn) for vpn in (0, 511)] == [0, 511]
    assert len({m.frame(1, vpn) for vpn in range(PMD)} - set(range(PMD))) == PMD
    assert violations(m) == []


def test_new_mm_has_pinned_nothing() -> None:
    """mm->flags of an address space that takes the place of another start afresh (mm_init)."""
    m = machine()
    m.create(1)
    m.populate(1, 0, 1, 0)
    m.unpin(m.pin(1, 0))
    m.exit(1)
    m.create(1)
    assert m.at("mm", m.map.mms[1]).flags.peek() == 0


@every_scheme
def test_dontfork_of_a_part_of_a_pmd(scheme: Any) -> None:
    """The VMA's edge inside a THP splits its PMD: the child gets the range and nothing else."""
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    m.fork(0, 1, 100, 50)
    assert [m.frame(1, vpn) for vpn in (99, 100, 149, 150)] == [-1, 100, 149, -1]
    assert violations(m) == []


# -- 1.9 small folios -------------------------------------------------------------------------------------
def small(m: Machine, batched: bool = False) -> None:
    m.populate(0, 0, 1, 0, batched=batched)
    m.fork(0, 1)
    m.exit(1)
    assert exclusive(m, 0, 1) == [0]


def in_swapcache(m: Machine) -> None:
    small(m)
    m.swap_cache(0)


def entry_left(m: Machine) -> None:
    m.populate(0, 0, 1, 0)
    m.fork(0, 1)
    m.swap_cache(0)
    m.swap_out(1, 0)


def locked(m: Machine) -> None:
    in_swapcache(m)
    m.column("page", "flags")[0] |= m.column("page", "flags").dtype.type(1 << PG_locked)


def batched_in_swapcache(m: Machine) -> None:
    small(m, batched=True)
    m.swap_cache(0)


def child_alive(m: Machine) -> None:
    m.populate(0, 0, 1, 0)
    m.fork(0, 1)


def with_references(n: int, batched: bool = False) -> Any:
    def prepare(m: Machine) -> None:
        small(m, batched)
        m.get_user(0, n)

    return prepare


@every_scheme
@pytest.mark.parametrize(
    ("prepare", "outcome"),
    [
        (small, "reused"),
        (lambda m: small(m, batched=True), "reused"),  # not on the LRU: this CPU's batch is drained
        (in_swapcache, "reused"),  # 1 + 1 references: the swapcache entry is freed
        (batched_in_swapcache, "reused"),  # 3 references, one of them the batch's
        (child_alive, "copied"),
        (entry_left, "copied"),  # the swapcache cannot be left
        (locked, "copied"),
        (with_references(1), "copied"),
        (with_references(1, batched=True), "copied"),
        (with_references(3), "copied"),  # more than 3: not even drained
    ],
    ids=[
        "alone",
        "lru-batch",
        "swapcache",
        "batch+swapcache",
        "child",
        "swap-entry",
        "locked",
        "gup",
        "gup+batch",
        "4",
    ],
)
def test_small_folio(scheme: Any, prepare: Any, outcome: str) -> None:
    """Every scheme: small folios need none."""
    m = machine(scheme)
    prepare(m)
    assert m.write(0, 0) == outcome
    assert (m.frame(0, 0) == 0) is (outcome == "reused")
    m.column("page", "flags")[0] &= m.column("page", "flags").dtype.type(~(1 << PG_locked) % (1 << 64))
    assert violations(m) == []


def test_more_than_three_references_drain_nothing() -> None:
    m = machine()
    small(m, batched=True)
    m.get_user(0, 2)
    assert m.write(0, 0) == "copied"
    assert m.column("page", "flags")[0] >> 20 & 1 == 1


@every_scheme
@pytest.mark.parametrize(
    ("prepare", "outcome"),
    [
        (lambda m: None, "reused"),
        (lambda m: m.swap_cache(0), "reused"),  # 1 + P references
        (lambda m: m.get_user(0), "copied"),
    ],
    ids=["alone", "swapcache", "gup"],
)
def test_pmd_mapped_thp(scheme: Any, prepare: Any, outcome: str) -> None:
    """1.9: AE -> reuse; else reuse iff one reference is left once swap is freed. A copy splits the PMD first."""
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    assert m.write(0, 5) == "unchanged"
    m.fork(0, 1)
    m.exit(1)
    prepare(m)
    assert m.write(0, 5) == outcome
    assert bool(m.pmds(0)[0]) is (outcome == "reused")
    if outcome == "reused":
        assert exclusive(m, 0, 2) == [1, 0]
        assert m.write(0, 6) == "unchanged"


# -- 2.5 MM IDs ---------------------------------------------------------------------------------------------
@every_scheme
def test_lowest_free_id_first(scheme: Any) -> None:
    m = machine(scheme)
    m.create(1)
    m.create(2)
    assert [m.mm_id(mm) for mm in range(4)] == [1, 2, 3, 0]
    m.exit(1)
    m.fork(0, 3)
    assert [m.mm_id(mm) for mm in range(4)] == [1, 0, 3, 2]


def test_fork_fails_without_an_id() -> None:
    """2.5: failure to get an ID makes fork fail; here the scheme can tell three MMs apart."""
    m = machine(exact.POLICY.with_parameters({"mms": 4}), nr_mms=6)
    m.create(1)
    m.create(2)
    before = m.snapshot()
    with pytest.raises(ModelError, match="no MM ID"):
        m.fork(0, 3)
    assert (m.snapshot() == before).all()
    m.exit(1)
    m.fork(0, 3)
    assert m.mm_id(3) == 2


def test_largest_ids() -> None:
    """2.2: 31 bits; V1: 20 bits."""
    assert (MM_ID.max_mm_id, SCHEMES[2].max_mm_id) == ((1 << 31) - 1, (1 << 20) - 1)
    for scheme in (MM_ID, SCHEMES[2]):
        m = machine(scheme)
        m.create(1, scheme.max_mm_id)
        m.populate(1, 0, 4, 2)
        m.fork(1, 2, mm_id=scheme.max_mm_id - 1)
        m.exit(1)
        assert (m.maybe_shared(0), m.mapcount(0)) == (False, 4)
        m.exit(2)
        with pytest.raises(ModelError, match="there is no MM ID"):
            m.create(1, scheme.max_mm_id + 1)


@every_scheme
def test_file_folio_of_order_1(scheme: Any) -> None:
    """2.6: order 1 is for files only, and tracked like any other large folio."""
    m = machine(scheme)
    with pytest.raises(ModelError, match="no anonymous folios of order 1"):
        m.populate(0, 0, 2, 1)
    pfn = m.file_folio(1)
    m.map_file(0, 0, pfn, 2)
    m.create(1)
    m.map_file(1, 0, pfn, 2)
    assert m.maybe_shared(pfn)
    assert m.mapcount(pfn) == 4
    m.exit(1)
    assert violations(m) == []
    m.exit(0)
    m.drop_file(pfn)
    assert m.at("zone", m.map.zone).nr_free.peek() == 2048
