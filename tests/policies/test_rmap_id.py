"""The precise scheme: its tables, its answers against the truth, its atomics, its seqcount."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.folio import folio_free_swap
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import ModelError, UsageError
from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.primitives import ATOMIC_RMW, PRIMITIVES, u64
from foliolab.policies.rmap_id import POLICY
from foliolab.policies.rmap_id import seqcount as seq
from foliolab.policies.rmap_id import subids as rmap_subids
from foliolab.policies.rmap_id import values as rmap_values
from foliolab.policies.rmap_id.values import STAGES

SHAPE = Shape(4096, 4, 2048)
WITH_VALUES = [stage for stage in STAGES if stage != "mapcount"]


@cache
def scheme(**chosen: str | int) -> Scheme:
    return POLICY.with_parameters(chosen)


@cache
def bound(wanted: Scheme) -> dict[Any, Callable[..., Any]]:
    """Functions of `rmap_values` with the scheme's constants in place."""
    roots: list[Callable[..., Any]] = [
        rmap_values.know,
        rmap_values.subid,
        rmap_values.class_of,
        rmap_values.has_matching_values,
    ]
    copies = CallTree(roots, PRIMITIVES, {}, wanted.constants).copies(lambda *twins: twins[-1])
    return {root: copies[root] for root in roots}  # type: ignore[index]


@cache
def small_machine(wanted: Scheme) -> Machine:
    return Machine(wanted, Shape(512, 1, 512), "interpreted")


# -- sub-IDs -----------------------------------------------------------------------------------------
def test_the_published_table_values() -> None:
    of = rmap_subids.calc_subid
    assert [of(1024, d) for d in range(5)] == [0, 1, 1025, 1026, 1050625]
    assert of(1024, 63) == 1132513103723526
    assert of(4096, 31) == 281818741907461
    assert of(32768, 15) == 35188667252740
    assert [of(4, d) for d in range(8)] == [0, 1, 5, 6, 25, 26, 30, 31]


def test_the_published_class_table() -> None:
    derived = rmap_values.derive(scheme().parameters)
    assert derived["VALUES"] == (0, 1, 2, 3, 4, 5, 6, 0)
    assert derived["BITS"] == (0, 24, 12, 8, 6, 5, 4, 0)
    assert derived["PAGES"] == (1, 4, 32, 512, 1024, 4096, 32768, 1)
    class_of = bound(scheme())[rmap_values.class_of]
    assert [class_of(order) for order in range(2, 16)] == [1, 2, 2, 2, 3, 3, 3, 3, 4, 5, 5, 6, 6, 6]
    assert [bound(scheme(stage="rmap-id"))[rmap_values.class_of](order) for order in (2, 9, 10, 11)] == [
        4,
        4,
        4,
        5,
    ]


@given(st.integers(1, 6), st.integers(1, rmap_subids.RMAP_ID_MAX))
def test_the_sub_ids_are_those_of_the_definition(c: int, mm_id: int) -> None:
    derived = rmap_subids.derive(scheme().parameters)
    pages, bits = derived["PAGES"][c], derived["BITS"][c]
    machine = small_machine(scheme())
    mm = machine.at("mm", machine.map.mms[0])
    mm.mm_id.write("test", mm_id)
    bound(scheme())[rmap_values.know](mm)
    for k in range(derived["VALUES"][c]):
        wanted = rmap_subids.calc_subid(pages, mm_id >> k * bits & (1 << bits) - 1)
        assert bound(scheme())[rmap_values.subid](c, mm, k) == wanted


@given(st.sampled_from([(4, 24), (32, 12), (512, 8), (512, 12), (1024, 6), (4096, 5), (32768, 4)]), st.data())
def test_a_slice_is_found_exactly_where_one_fits(size: tuple[int, int], data: st.DataObject) -> None:
    pages, bits = size
    safe = max(n for n in range(bits + 1) if (pages + 1) ** n <= 1 << 64)
    total = data.draw(st.integers(1, pages))
    digit = data.draw(st.integers(0, (1 << bits) - 1))
    value = u64(rmap_subids.calc_subid(pages, digit) * total + data.draw(st.sampled_from([0, 0, 1, -1, 1 << 63])))
    found = rmap_subids.find_slice(pages, bits, safe, value, total)
    if found >= 0:
        assert u64(rmap_subids.calc_subid(pages, found) * total) == value
    elif bits <= 12:
        assert all(u64(rmap_subids.calc_subid(pages, d) * total) != value for d in range(1 << bits))
    else:
        assert u64(rmap_subids.calc_subid(pages, digit) * total) != value


def test_a_class_table_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="order_2=2 leaves class 2 without an order"):
        _ = scheme(order_2=2).fields
    with pytest.raises(UsageError, match="bits_1=4 needs 6 values in a folio of order 2"):
        _ = scheme(bits_1=4).fields
    assert scheme(bits_1=4, stage="rmap-id").fields
    assert scheme(order_3=10, order_4=11, bits_3=7).fields


# -- answers -----------------------------------------------------------------------------------------
Step = tuple[int, int, int, int]
STEPS = st.lists(st.tuples(*[st.integers(0, 1 << 16)] * 4), min_size=10, max_size=40)


def run(machine: Machine, steps: list[Step], orders: tuple[int, ...]) -> list[Any]:
    """Random operations; those that make no sense in the state are left out."""
    out: list[Any] = []
    for what, a, b, c in steps:
        alive = [mm for mm in range(4) if machine.is_alive(mm)]
        dead = [mm for mm in range(4) if mm not in alive]
        if not alive:
            machine.create(0)
            continue
        mm = alive[a % len(alive)]
        order = orders[c % len(orders)]
        start = (b % 4) << 9 if order == 9 else (b % 64) << order
        nr = 1 + a % (1 << order)
        try:
            match what % 8:
                case 0 | 1:
                    machine.populate(mm, start, 1 << order, order, pmd=order == 9 and bool(a & 1))
                case 2 | 3 if dead:
                    machine.fork(mm, dead[a % len(dead)])
                case 4:
                    machine.unmap(mm, start + b % (1 << order), nr)
                case 5:
                    out.append(machine.write(mm, start + b % (1 << order), 1 + c % 5))
                case 6:
                    machine.split_pmd(mm, start & ~511, 512)
                    machine.mremap(mm, start, b % 1024, 1 << order)
                case 7 if len(alive) > 1 and a & 64:
                    machine.exit(mm)
        except ModelError:
            out.append("no")
    return out


def series_says_shared(machine: Machine, pfn: int) -> bool:
    """`folio_mapped_shared` asked with each live MM in turn: shared unless it passes for one of them."""
    folio = machine.folio(pfn)
    total = folio._total_mapcount.peek() + 1
    if total == 1:
        return False
    if folio._entire_mapcount.peek() >= 0 or total > folio._nr_pages.peek():
        return True
    functions = bound(machine.scheme)
    alive = [machine.at("mm", machine.map.mms[mm]) for mm in range(4) if machine.is_alive(mm)]
    for mm in alive:
        functions[rmap_values.know](mm)
    return not any(functions[rmap_values.has_matching_values](folio, total, mm) for mm in alive)


def check(machine: Machine) -> None:
    assert violations(machine) == []
    truth = scan(machine)
    form = rmap_values.form(dict(machine.scheme.values)["stage"])
    for head in truth.folios():
        if truth.nr_pages_of[head] > 2:
            assert machine.maybe_shared(int(head)) == series_says_shared(machine, int(head))
            assert machine.folio(int(head))._rmap_atomic_seqcount.peek() & seq.WRITERS_MASK[form] == 0


@pytest.mark.parametrize("batched", [0, 1])
@pytest.mark.parametrize("stage", WITH_VALUES)
@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_small_ids_get_right_answers(stage: str, batched: int, steps: list[Step]) -> None:
    machine = Machine(scheme(stage=stage, batched=batched), SHAPE, "interpreted")
    run(machine, steps, (2, 3, 4, 5, 6, 9))
    check(machine)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_the_total_alone_counts_right(steps: list[Step]) -> None:
    machine = Machine(scheme(stage="mapcount", batched=0), SHAPE, "interpreted")
    run(machine, steps, (2, 4, 9))
    truth = scan(machine)
    for head in truth.folios():
        assert machine.mapcount(int(head)) == truth.folio_mapcount[head]
    assert "_rmap_val" not in {f.name for f in machine.scheme.fields}


@pytest.mark.slow
@pytest.mark.parametrize("chosen", ["all,1", "exclusive,0", "rmap-id,0", "mapcount,1"])
def test_interpreted_and_native_states_are_equal(chosen: str) -> None:
    stage, batched = chosen.split(",")
    wanted = scheme(stage=stage, batched=int(batched))
    rng = np.random.default_rng(7)
    for orders in ((2, 3, 4), (4, 5, 6, 9), (7, 8, 9)):
        steps: list[Step] = [tuple(row) for row in rng.integers(0, 1 << 16, (60, 4)).tolist()]
        one, two = (Machine(wanted, SHAPE, execution) for execution in ("interpreted", "native"))
        assert run(one, steps, orders) == run(two, steps, orders)
        assert np.array_equal(one.vm.buffer, two.vm.buffer)
        for head in scan(one).folios():
            assert one.maybe_shared(int(head)) == two.maybe_shared(int(head))


@pytest.mark.parametrize("stage", WITH_VALUES)
def test_cow_reuse_follows_patch_10(stage: str) -> None:
    machine = Machine(scheme(stage=stage), SHAPE, "interpreted")
    machine.create(0)
    machine.populate(0, 0, 16, 4)
    pfn = machine.frame(0, 0)
    assert machine.write(0, 0) == "unchanged"
    machine.fork(0, 1)
    machine.fork(0, 2)
    assert machine.write(0, 0) == "copied"
    machine.exit(1)
    machine.exit(2, flush=False)
    assert machine.write(0, 1) == "copied"  # references of the unflushed mmu_gather
    machine.flush_gather()
    machine.get_user(pfn)
    assert machine.write(0, 2) == "copied"
    machine.put_user(pfn)
    machine.swap_cache(pfn)
    assert machine.write(0, 3) == "copied"  # no handling of the swap cache
    assert machine.write(0, 4) == "copied"  # and a mapped folio stays in it
    assert folio_free_swap(machine.folio(pfn))
    assert machine.write(0, 4) == "unchanged"
    assert machine.write(0, 5) == "reused"
    machine.unmap(0, 6, 9)
    assert machine.write(0, 15) == "reused"  # also a page alone


def test_the_third_owner_is_known() -> None:
    machine = Machine(scheme(), SHAPE, "interpreted")
    machine.create(0)
    machine.populate(0, 0, 16, 4)
    machine.fork(0, 1)
    machine.fork(0, 2)
    machine.exit(0)
    machine.exit(1)
    assert not machine.maybe_shared(machine.frame(2, 0))
    assert machine.write(2, 0) == "reused"


def test_a_file_folio_of_order_1_is_exclusive_only_while_mapped_once() -> None:
    machine = Machine(scheme(), SHAPE, "interpreted")
    machine.create(0)
    machine.create(1)
    pfn = machine.file_folio(1)
    assert not machine.maybe_shared(pfn)
    machine.map_file(0, 0, pfn, 1)
    assert not machine.maybe_shared(pfn)
    machine.map_file(1, 1, pfn + 1, 1)
    assert machine.maybe_shared(pfn)
    machine.unmap(0, 0, 1)
    assert not machine.maybe_shared(pfn)
    assert machine.mapcount(pfn) == 1


@pytest.mark.parametrize(("patch17", "left"), [("intended", 0), ("as-coded", 2)])
def test_patch_17_forgets_the_count_of_a_lone_writer_in_class_1(patch17: str, left: int) -> None:
    machine = Machine(scheme(patch17=patch17), SHAPE, "interpreted")
    machine.create(0, mm_id=1)
    pfn = machine.file_folio(2)
    machine.map_file(0, 0, pfn, 4)
    machine.unmap(0, 0, 4)
    assert machine.folio(pfn)._rmap_val[0].peek() == left


# -- cost --------------------------------------------------------------------------------------------
class Atomics:
    """Counts atomics by field."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def access(self, op: str, ref: Any, old: int, new: int) -> None:
        if op in ATOMIC_RMW:
            self.count[ref.field.name] += 1


def atomics_of_unmap(order: int, writers: int = 0, **chosen: str | int) -> tuple[int, int]:
    """Atomics of unmapping a folio by PTEs: on total, values and seqcount, and on the other counters."""
    machine = Machine(scheme(**chosen), Shape(2 << order, 2, 2 << order, max_order=max(order, 9)), "interpreted")
    machine.create(0)
    machine.populate(0, 0, 1 << order, order)
    machine.folio(0)._rmap_atomic_seqcount.write("test", writers)
    machine.vm.observer = seen = Atomics()
    machine.unmap(0, 0, 1 << order, flush=False)
    tracking = sum(n for name, n in seen.count.items() if name.startswith(("_rmap", "_total")))
    return tracking, sum(seen.count[name] for name in ("_mapcount", "_nr_pages_mapped"))


@pytest.mark.parametrize(("order", "atomics"), [(2, 4), (5, 5), (9, 6), (10, 7), (11, 8), (13, 9)])
@pytest.mark.parametrize("stage", ["123", "exclusive", "nocmpxchg", "all"])
def test_a_shared_writer_needs_4_to_9_atomics(stage: str, order: int, atomics: int) -> None:
    pages = 1 << order
    batches = max(1, pages // 512)  # a batch ends with the page table
    assert atomics_of_unmap(order, writers=1, stage=stage) == (atomics * batches, pages + batches)


@pytest.mark.parametrize("order", [2, 9])
def test_atomics_of_every_stage(order: int) -> None:
    pages = 1 << order
    values = 1 if order == 2 else 3
    batched = {stage: atomics_of_unmap(order, stage=stage) for stage in WITH_VALUES}
    assert batched["rmap-id"] == (3 + 4, pages + 1)
    assert batched["123"] == batched["batch"] == (3 + values, pages + 1)
    assert batched["exclusive"] == batched["nocmpxchg"] == (2, pages + 1)
    assert batched["all"] == (2, 0)
    published = {stage: atomics_of_unmap(order, stage=stage, batched=0) for stage in WITH_VALUES}
    assert published["rmap-id"] == (7 * pages, 2 * pages)
    assert published["123"] == published["batch"] == ((3 + values) * pages, 2 * pages)
    assert published["exclusive"] == published["nocmpxchg"] == (2 * pages, 2 * pages)
    assert published["all"] == (2 * pages, 0)
