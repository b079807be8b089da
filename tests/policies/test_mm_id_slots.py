"""`mm-id` with other numbers of slots and with the fields of 32-bit kernels (specification 2.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.contract.policy import exact_up_to
from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import layouts_of
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import ModelError, UsageError
from foliolab.policies import mm_id, mm_id_slots

P = 4
SHAPE = Shape(256, 8, 64, max_order=4)
Step = tuple[bool, int, int]
STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, P), st.integers(0, 5)), max_size=50)


def machine(how: Any = "interpreted", **chosen: int) -> Machine:
    """`slots` is 2 unless chosen, as in the kernel."""
    return Machine(mm_id_slots.POLICY.with_parameters({"slots": 2, **chosen}), SHAPE, how)


def state(m: Machine, pfn: int) -> tuple[int, list[int], list[int], int]:
    """(raw total, IDs, counts, flag)."""
    folio, values = m.folio(pfn), m.scheme.parameters
    width = int(values["width"])
    mask = (1 << width // 2 - 1) - 1
    word = folio._mm_ids.peek() % (1 << 64)
    assert word >> width // 2 - 1 & 1 == 0, "the lock was given back"
    ids = [folio._mm_id[i].peek() & mask for i in range(values["slots"])]
    counts = [folio._mm_id_mapcount[i].peek() for i in range(values["slots"])]
    return folio._large_mapcount.peek(), ids, counts, word >> width - 1 & 1


class Slots:
    """The rules in other words: any number of slots, counts up to a limit."""

    def __init__(self, slots: int, limit: int) -> None:
        self.total, self.ids, self.counts, self.flag = -1, [0] * slots, [-1] * slots, 0
        self.limit = limit

    def change(self, n: int, mm: int) -> None:
        self.total += n
        slot = next((i for want in (mm, 0) for i, one in enumerate(self.ids) if one == want), None)
        known = mm in self.ids
        if n > 0:
            if slot is None:
                self.flag = 1
                return
            self.ids[slot], self.counts[slot] = mm, self.counts[slot] + n
            if self.counts[slot] > self.limit:
                self.ids[slot], self.counts[slot], self.flag = 0, -1, 1
            elif not known and self.counts[slot] != self.total:
                self.flag = 1
            return
        if known and slot is not None:
            self.counts[slot] += n
            if self.counts[slot] >= 0:
                return
            self.ids[slot], self.counts[slot] = 0, -1
        if self.total in self.counts:
            self.flag = 0

    def state(self) -> tuple[int, list[int], list[int], int]:
        return self.total, self.ids, self.counts, self.flag


def play(m: Machine, steps: list[Step], check: Any) -> None:
    """Adds and removals of six MMs, each no more than it has, through the hooks."""
    pfn = m.file_folio(2)
    for who in range(6):
        m.create(who, 11 + who)
    mapped = np.zeros((6, P), dtype=int)
    for add, n, who in steps:
        nr = n if add else min(n, int((mapped[who] > 0).cumprod().sum()))
        if nr:
            entry = calls.ADD_PTES if add else calls.REMOVE_PTES
            m.vm.policy[entry](m.folio(pfn), m.page(pfn), nr, m.at("mm", m.map.mms[who]))
            mapped[who, :nr] += 1 if add else -1
            check(pfn, nr if add else -nr, who, mapped.sum(axis=1))


@pytest.mark.parametrize("width", [64, 32])
@pytest.mark.parametrize("slots", [1, 2, 3, 5, 8])
@settings(max_examples=40)
@given(steps=STEPS)
def test_every_rule_against_a_second_writing(slots: int, width: int, steps: list[Step]) -> None:
    m = machine(slots=slots, width=width)
    model = Slots(slots, (1 << width // 2 - 1) - 1)

    def check(pfn: int, nr: int, who: int, mapped: Any) -> None:
        model.change(nr, 11 + who)
        assert state(m, pfn) == model.state()
        owners = int((mapped > 0).sum())
        assert m.maybe_shared(pfn) or owners <= 1
        if not mapped.any():
            assert state(m, pfn) == (-1, [0] * slots, [-1] * slots, 0)

    play(m, steps, check)


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, P), st.integers(0, 2)), max_size=50))
def test_three_slots_answer_exactly_for_three(steps: list[Step]) -> None:
    m = machine(slots=3)
    play(m, steps, lambda pfn, _, who, mapped: exact(m.maybe_shared(pfn), int((mapped > 0).sum())))


def exact(shared: bool, owners: int) -> None:
    assert shared == (owners > 1)


@pytest.mark.parametrize(("slots", "shared"), [(1, True), (2, True), (3, False), (8, False)])
def test_the_third_of_three_stays_alone(slots: int, shared: bool) -> None:
    """2.4, T2, is gone with a third slot."""
    m = machine(slots=slots)
    m.create(0)
    m.populate(0, 0, P, 2)
    for child in (1, 2):
        m.fork(0, child)
    m.exit(0)
    m.exit(1)
    assert scan(m).owners[0] == 1
    assert m.maybe_shared(0) is shared


def test_one_slot_is_not_exact_for_two() -> None:
    m = machine(slots=1)
    m.create(0)
    m.populate(0, 0, P, 2)
    m.fork(0, 1)
    assert m.maybe_shared(0), "A5: who finds no slot sets the flag"
    m.exit(0)
    assert m.maybe_shared(0), "the child never got a slot"


@pytest.mark.parametrize("slots", range(1, 9))
def test_so_many_slots_claim_to_be_exact_for_so_many(slots: int) -> None:
    claims = machine(slots=slots).scheme.capabilities
    assert exact_up_to(claims) == (slots if slots > 1 else 0)
    assert exact_up_to(mm_id_slots.POLICY.with_parameters({"slots": slots, "width": "32"}).capabilities) == 0
    assert "safe" in claims


# -- 32 bits -------------------------------------------------------------------------------------------------
def test_the_overflow_of_a_count_frees_the_slot_and_sets_the_flag() -> None:
    m = machine(width=32)
    pfn = m.file_folio(4)
    m.create(0, 11)
    mm = m.at("mm", m.map.mms[0])
    m.vm.policy[calls.ADD_PTES](m.folio(pfn), m.page(pfn), 16, mm)
    m.folio(pfn)._mm_id_mapcount[0].write("test", 32_767 - 16)
    m.folio(pfn)._large_mapcount.write("test", 32_767 - 16)
    m.vm.policy[calls.ADD_PTES](m.folio(pfn), m.page(pfn), 16, mm)
    assert state(m, pfn) == (32_767, [11, 0], [32_767, -1], 0)
    m.vm.policy[calls.ADD_PTES](m.folio(pfn), m.page(pfn), 1, mm)
    assert state(m, pfn) == (32_768, [0, 0], [-1, -1], 1)
    assert m.maybe_shared(pfn), "one MM, called shared"


def test_fork_fails_beyond_the_ids_of_15_bits() -> None:
    assert mm_id.POLICY.with_parameters().max_mm_id == (1 << 31) - 1
    m = machine(width=32)
    assert m.scheme.max_mm_id == 32_767
    m.create(0, 32_767)
    with pytest.raises((ModelError, UsageError)):
        m.create(1, 32_768)


# -- layout and executions -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("slots", "width", "counts", "ids", "stride"),
    [(1, 64, 32, 40, 64), (2, 64, 32, 40, 64), (3, 64, 64, 96, 128), (8, 64, 64, 96, 128), (2, 32, 32, 40, 64),
     (4, 32, 32, 40, 64), (5, 32, 64, 96, 128)],
)  # fmt: skip
def test_where_the_slots_lie(slots: int, width: int, counts: int, ids: int, stride: int) -> None:
    layouts = layouts_of(mm_id_slots.POLICY.with_parameters({"slots": slots, "width": width}))
    folio = layouts["folio"].by_name
    assert layouts["page"].size == stride
    assert (folio["_mm_id_mapcount"].offset - stride, folio["_mm_ids"].offset - stride) == (counts, ids)
    assert folio["_mm_id"].offset == folio["_mm_ids"].offset


@settings(max_examples=40)
@given(steps=STEPS)
def test_the_loops_do_what_the_merged_text_does(steps: list[Step]) -> None:
    """Two slots: the same fields bit for bit, whichever of the two texts runs."""
    merged, loops = Machine(mm_id.POLICY.with_parameters(), SHAPE, "interpreted"), machine()
    for m in (merged, loops):
        play(m, steps, lambda *_: None)
    assert np.array_equal(merged.vm.buffer, loops.vm.buffer)


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
@pytest.mark.parametrize("chosen", [{"slots": 1}, {"slots": 3}, {"width": 32}, {"slots": 8, "width": 32}], ids=str)
def test_interpreted_and_native_leave_the_same_bytes(chosen: dict[str, int]) -> None:
    rng = np.random.default_rng(3)
    one, two = machine(**chosen), machine("native", **chosen)
    for m in (one, two):
        m.create(0)
        m.populate(0, 0, 32, 4)
    for what, a, b in rng.integers(0, 1 << 10, (80, 3)).tolist():
        for m in (one, two):
            live = [mm for mm in range(6) if m.is_alive(mm)]
            dead = [mm for mm in range(6) if mm not in live]
            mm = live[a % len(live)]
            if what % 4 < 2 and dead:
                m.fork(mm, dead[b % len(dead)])
            elif what % 4 == 2:
                m.unmap(mm, b % 24, 1 + a % 8)
            elif len(live) > 1:
                m.exit(mm)
        assert np.array_equal(one.vm.buffer, two.vm.buffer)
