"""Atomic read-modify-writes per batch of n pages: the table of specification 1.4, every row, counted.

Only what the scheme itself does counts: accesses to its own fields, while its own hooks run.
"""

from __future__ import annotations

from typing import Any

import pytest

from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.machine.primitives import ATOMIC_RMW, reads
from foliolab.framework.machine.ref import Ref
from foliolab.policies import exact, mm_id, mm_id_v1, no_page_mapcount, page_mapcount

ORDERS = [2, 3, 4, 5, 6, 7, 8, 9]
KERNELS = {
    "before NPM": (page_mapcount, {"batched": 0}),
    "<= 6.14": (page_mapcount, {}),
    "6.15": (mm_id, {}),
    "6.15 NO_PAGE_MAPCOUNT": (no_page_mapcount, {}),
    "v1": (mm_id_v1, {}),
    "v1 NO_PAGE_MAPCOUNT": (mm_id_v1, {"page_mapcounts": 0}),
    "exact": (exact, {}),
}
LOCKED = {"6.15", "6.15 NO_PAGE_MAPCOUNT", "v1", "v1 NO_PAGE_MAPCOUNT", "exact"}
LOCK = "test_and_set_bit_lock"


class Counter:
    def __init__(self, m: Machine) -> None:
        self.fields = {f.name for f in m.scheme.fields}
        self.ops: list[str] = []
        self.places: list[str] = []

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        if ref.field.name in self.fields and op in ATOMIC_RMW:
            self.ops.append(op)
            self.places.append(ref.field.name)


class Bench:
    """A file folio of one order, its head at `pfn`, and hooks called one at a time."""

    def __init__(self, kernel: str, order: int) -> None:
        module, chosen = KERNELS[kernel]
        self.pages = 1 << order
        self.m = Machine(module.POLICY.with_parameters(chosen), Shape(1024, 3, 512), "interpreted")
        for who in range(3):
            self.m.create(who)
        self.pfn = self.m.file_folio(order)

    def call(self, entry: int, nr: int, who: int = 0, page: int = 0) -> Counter:
        m = self.m
        counter = m.vm.observer = Counter(m)
        mm = m.at("mm", m.map.mms[who])
        m.vm.policy[entry](m.folio(self.pfn), m.page(self.pfn + page), nr, mm)
        m.vm.observer = None
        return counter


def total(kernel: str, n: int, changed: int) -> int:
    """The row of specification 1.4; `changed` pages of the batch become mapped, or unmapped."""
    if kernel == "before NPM":
        return n + changed + 1
    if "NO_PAGE_MAPCOUNT" in kernel:
        return 1
    return n + (changed > 0) + 1


def batches(order: int) -> list[int]:
    return sorted({1, 2, 1 << order})


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_ptes(kernel: str, order: int) -> None:
    locks = int(kernel in LOCKED)
    for n in batches(order):
        bench = Bench(kernel, order)
        # every page becomes mapped; is mapped again; is unmapped once; becomes unmapped
        steps = [
            (calls.ADD_PTES, 0, n),
            (calls.ADD_PTES, 1, 0),
            (calls.REMOVE_PTES, 1, 0),
            (calls.REMOVE_PTES, 0, n),
        ]
        for entry, who, changed in steps:
            counter = bench.call(entry, n, who)
            assert len(counter.ops) == total(kernel, n, changed), (n, entry, who)
            assert counter.ops.count(LOCK) == locks


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_ptes_of_which_some_change(kernel: str, order: int) -> None:
    """`first` and `last` count pages, the atomic on `_nr_pages_mapped` is one a batch (but before NPM one a page)."""
    bench = Bench(kernel, order)
    pages = bench.pages
    bench.call(calls.ADD_PTES, 1)
    assert len(bench.call(calls.ADD_PTES, pages, 1).ops) == total(kernel, pages, pages - 1)
    assert len(bench.call(calls.REMOVE_PTES, pages, 1).ops) == total(kernel, pages, pages - 1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_dup_ptes(kernel: str, order: int) -> None:
    """n + 1 everywhere, 1 lock without page mapcounts; `_nr_pages_mapped` is left alone."""
    for n in batches(order):
        bench = Bench(kernel, order)
        bench.call(calls.ADD_PTES, n)
        for entry in (calls.DUP_FILE_PTES, calls.DUP_ANON_PTES):
            counter = bench.call(entry, n, 1)
            assert len(counter.ops) == (1 if "NO_PAGE_MAPCOUNT" in kernel else n + 1)
            assert counter.ops.count(LOCK) == int(kernel in LOCKED)
            assert "_nr_pages_mapped" not in counter.places


@pytest.mark.parametrize("kernel", KERNELS)
def test_pmd(kernel: str) -> None:
    """One for the entire mapcount, one (or the lock) for the large one, one for `_nr_pages_mapped` if it changes."""
    bench = Bench(kernel, 9)
    counted = 0 if "NO_PAGE_MAPCOUNT" in kernel else 1
    for entry, who, changed in (
        (calls.ADD_PMD, 0, True),
        (calls.ADD_PMD, 1, False),
        (calls.DUP_PMD, 2, False),
        (calls.REMOVE_PMD, 2, False),
        (calls.REMOVE_PMD, 1, False),
        (calls.REMOVE_PMD, 0, True),
    ):
        counter = bench.call(entry, 1, who)
        assert len(counter.ops) == 2 + (counted if changed else 0), (entry, who)
        assert counter.places.count("_entire_mapcount") == 1
        assert counter.ops.count(LOCK) == int(kernel in LOCKED)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_new_anon_takes_no_atomics(kernel: str, order: int) -> None:
    """1.4: the folio is still private."""
    bench = Bench(kernel, order)
    assert bench.call(calls.NEW_ANON, bench.pages).ops == []
    if order == 9:
        assert Bench(kernel, order).call(calls.NEW_ANON_PMD, 1).ops == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_unlock_is_a_plain_release_store(kernel: str) -> None:
    """ "lock" in the table is one atomic: it is given back by a store."""
    bench = Bench(kernel, 4)
    m = bench.m
    seen: list[str] = []

    class Watch:
        def access(self, op: str, ref: Ref, old: int, new: int) -> None:
            seen.append(op)

    m.vm.observer = Watch()
    m.vm.policy[calls.ADD_PTES](m.folio(bench.pfn), m.page(bench.pfn), 4, m.at("mm", m.map.mms[0]))
    m.vm.observer = None
    assert seen.count("__clear_bit_unlock") == seen.count(LOCK) == int(kernel in LOCKED)
    if kernel in LOCKED:
        assert next(op for op in reversed(seen) if not reads(op)) == "__clear_bit_unlock"


@pytest.mark.parametrize(
    ("first", "says"),
    [("_large_mapcount", "page-mapcount"), ("_entire_mapcount", "no-page-mapcount")],
)
def test_order_of_the_counters_when_a_pmd_goes(first: str, says: str) -> None:
    """3.1's order note: PAGE_MAPCOUNT lowers large before entire, NO_PAGE_MAPCOUNT the other way round."""
    for kernel, (module, _) in KERNELS.items():
        if (says == "no-page-mapcount") != ("NO_PAGE_MAPCOUNT" in kernel):
            continue
        bench = Bench(kernel, 9)
        bench.call(calls.ADD_PMD, 1)
        m = bench.m
        order: list[str] = []

        class Watch:
            def access(self, op: str, ref: Ref, old: int, new: int, order: list[str] = order) -> None:
                if old != new and ref.field.name in ("_large_mapcount", "_entire_mapcount"):
                    order.append(ref.field.name)

        m.vm.observer = Watch()
        m.vm.policy[calls.REMOVE_PMD](m.folio(bench.pfn), m.page(bench.pfn), 0, m.at("mm", m.map.mms[0]))
        m.vm.observer = None
        assert sorted(order) == ["_entire_mapcount", "_large_mapcount"], module.__name__
        assert order[0] == first, kernel


def test_large_mapcount_goes_first_when_ptes_go() -> None:
    """1.4, remove: n is subtracted from `_large_mapcount` before any page's mapcount; add does it last."""
    for kernel in ("before NPM", "<= 6.14", "6.15", "v1", "exact"):
        bench = Bench(kernel, 4)
        added = _writes(bench, calls.ADD_PTES)
        removed = _writes(bench, calls.REMOVE_PTES)
        assert added.index("_large_mapcount") > max(i for i, f in enumerate(added) if f == "_mapcount"), kernel
        assert removed.index("_large_mapcount") < removed.index("_mapcount"), kernel
        assert removed.index("_nr_pages_mapped") > removed.index("_mapcount"), kernel


def _writes(bench: Bench, entry: int) -> list[str]:
    seen: list[str] = []

    class Watch:
        def access(self, op: str, ref: Ref, old: int, new: int) -> None:
            if old != new:
                seen.append(ref.field.name)

    m: Any = bench.m
    m.vm.observer = Watch()
    m.vm.policy[entry](m.folio(bench.pfn), m.page(bench.pfn), 4, m.at("mm", m.map.mms[0]))
    m.vm.observer = None
    return seen


def test_before_6_10_there_was_no_large_mapcount() -> None:
    """1.2: one atomic less; `folio_mapcount` sums up the pages instead."""
    scheme = page_mapcount.POLICY.with_parameters({"large_mapcount": 0, "batched": 0})
    m = Machine(scheme, Shape(64, 2, 64, max_order=4), "interpreted")
    m.create(0)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1)
    m.unmap(1, 0, 5)
    counter = m.vm.observer = Counter(m)
    m.vm.policy[calls.ADD_PTES](m.folio(0), m.page(0), 2, m.at("mm", m.map.mms[1]))
    m.vm.observer = None
    assert counter.places == ["_mapcount", "_mapcount"]
    assert m.mapcount(0) == 16 + 11 + 2
    assert m.folio(0)._large_mapcount.peek() == -1
