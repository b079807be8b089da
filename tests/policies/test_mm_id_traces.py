"""The two slots: the reference traces of specification 2.4, the memory dump of 2.2, and every rule on its own."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.machine.primitives import bit_spin_lock
from foliolab.policies import mm_id, mm_id_v1, no_page_mapcount, total_mapped_pages

A, B, C = 11, 12, 13
P = 4
NUMBER = {A: 0, B: 1, C: 2}
State = tuple[int, int, int, int, int, int]

VARIANTS = {
    "mm-id": (mm_id, {}, "merged"),
    "no-page-mapcount": (no_page_mapcount, {}, "merged"),
    "total-mapped-pages": (total_mapped_pages, {}, "merged"),
    "mm-id-v1": (mm_id_v1, {}, "v1"),
    "mm-id-v1:page_mapcounts=0": (mm_id_v1, {"page_mapcounts": 0}, "v1"),
}


def machine(variant: str, order: int = 2) -> Machine:
    module, chosen, _ = VARIANTS[variant]
    scheme = module.POLICY.with_parameters(chosen)
    return Machine(scheme, Shape(64, 4, 64, max_order=max(order, 4)), "interpreted")


def state(m: Machine, pfn: int = 0) -> State:
    """(raw total, ID0, count0, ID1, count1, flag): the flag is "shared" or V1's "exclusive"."""
    folio = m.folio(pfn)
    total = folio._large_mapcount.peek()
    word = folio._mm_ids.peek() % (1 << 64)
    if m.scheme.policy.name == "mm-id-v1":
        ids, flag = (word & 0xFFFFFFFF, word >> 32 & 0xFFFFFF), word >> 62 & 1
        counts = folio._mm0_mapcount.peek(), folio._mm1_mapcount.peek()
        assert word >> 63 == 0, "the lock was given back"
    else:
        ids, flag = (word & 0x7FFFFFFF, word >> 32 & 0x7FFFFFFF), word >> 63
        counts = folio._mm_id_mapcount[0].peek(), folio._mm_id_mapcount[1].peek()
        assert word >> 31 & 1 == 0, "the lock was given back"
    return total, ids[0], counts[0], ids[1], counts[1], flag


# -- 2.4: step, merged state, V1 state, what the folio is then called ("" where the table says nothing) ---
SET, ADD, SUB = "set", "add", "sub"
TRACES: dict[str, list[tuple[tuple[str, int, int], State | None, State | None, str]]] = {
    "T1": [
        ((SET, 4, A), (3, 11, 3, 0, -1, 0), (3, 11, 3, 0, -1, 1), "exclusive"),
        ((ADD, 4, B), (7, 11, 3, 12, 3, 1), (7, 11, 3, 12, 3, 0), "shared"),
        ((SUB, 4, B), (3, 11, 3, 0, -1, 0), (3, 11, 3, 12, -1, 1), "exclusive"),
    ],
    "T2": [
        ((SET, 4, A), None, None, "exclusive"),
        ((ADD, 4, B), None, None, "shared"),
        ((ADD, 4, C), (11, 11, 3, 12, 3, 1), (11, 11, 3, 12, 3, 0), "shared"),
        ((SUB, 4, A), (7, 0, -1, 12, 3, 1), (7, 11, -1, 12, 3, 0), "shared"),
        ((SUB, 4, B), (3, 0, -1, 0, -1, 1), (3, 11, -1, 12, -1, 0), "false shared"),
        ((SUB, 3, C), (0, 0, -1, 0, -1, 1), (0, 11, -1, 12, -1, 0), "exclusive"),
        ((SUB, 1, C), (-1, 0, -1, 0, -1, 0), (-1, 11, -1, 12, -1, 1), ""),
    ],
    "T3": [
        ((SET, 4, A), None, None, "exclusive"),
        ((ADD, 4, B), None, None, "shared"),
        ((ADD, 4, C), None, None, "shared"),
        ((SUB, 4, C), None, None, "shared"),
        ((SUB, 4, B), (3, 11, 3, 0, -1, 0), (3, 11, 3, 12, -1, 1), "exclusive"),
    ],
    "T5": [
        ((ADD, 4, A), (3, 11, 3, 0, -1, 0), (3, 11, 3, 0, -1, 0), "first map"),
        ((SUB, 1, A), (2, 11, 2, 0, -1, 0), (2, 11, 2, 0, -1, 1), "exclusive"),
    ],
}  # fmt: skip


class Driver:
    """Carries a trace out with a machine's operations: fault, fork or file map, munmap."""

    def __init__(self, variant: str, file: bool) -> None:
        self.m = machine(variant)
        self.file = file
        self.pfn = self.m.file_folio(2) if file else 0
        self.left = dict.fromkeys(NUMBER, 0)
        self.m.create(3)  # never maps anything

    def step(self, op: str, n: int, mm: int) -> None:
        who = NUMBER[mm]
        if op == SUB:
            self.m.unmap(who, P - self.left[mm], n)
            self.left[mm] -= n
            return
        if self.file:
            self.m.create(who, mm)
            self.m.map_file(who, 0, self.pfn, n)
        elif op == SET:
            self.m.create(who, mm)
            self.m.populate(who, 0, n, 2)
        else:
            self.m.fork(0, who, mm_id=mm)
        self.left[mm] += n


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("trace", TRACES)
def test_reference_trace(trace: str, variant: str) -> None:
    kind = VARIANTS[variant][2]
    driver = Driver(variant, file=trace == "T5")
    flag_counts = variant != "mm-id-v1"  # V1 with page mapcounts answers by the first page, specification 2.1
    for (op, n, mm), merged, v1, called in TRACES[trace]:
        driver.step(op, n, mm)
        if op == SET:
            driver.m.get_user(0)  # the folio must outlive its last mapping for T2's last row
        wanted = merged if kind == "merged" else v1
        if wanted is not None:
            assert state(driver.m, driver.pfn) == wanted, (op, n, mm)
        if called and flag_counts:
            shared = called in ("shared", "false shared") or (called == "first map" and kind == "v1")
            assert driver.m.maybe_shared(driver.pfn) is shared, (op, n, mm)


@pytest.mark.parametrize("variant", ["mm-id", "no-page-mapcount"])
def test_memory_dump_of_section_2_2(variant: str) -> None:
    """The dump was taken with the lock held: order-3, eight mappings by MM 0xa3."""
    m = machine(variant, 3)
    m.create(0, 0xA3)
    m.populate(0, 0, 8, 3)
    folio = m.folio(0)
    if variant == "no-page-mapcount":
        # nothing keeps _nr_pages_mapped there, and the word's upper half belongs to nobody
        assert "_nr_pages_mapped" not in m.layouts["folio"].by_name
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    words = struct.unpack("<4Q", bytes(m.vm.buffer[64 + 16 : 64 + 48]))
    nr_pages_mapped = 8 if variant == "mm-id" else words[0] >> 32
    assert words == (
        nr_pages_mapped << 32 | 0x00000007,
        0x00000000FFFFFFFF,
        0xFFFFFFFF00000007,
        0x00000000800000A3,
    )
    if variant == "mm-id":
        assert words[0] == 0x0000000800000007


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_initial_state(variant: str, order: int) -> None:
    """2.2: large -1, word 0, both counts -1, entire -1, pin 0; 2.1: EXCLUSIVE = 1."""
    m = machine(variant)
    pfn = m.file_folio(order)
    kind = VARIANTS[variant][2]
    assert state(m, pfn) == (-1, 0, -1, 0, -1, int(kind == "v1"))
    folio = m.folio(pfn)
    by_pmd = ("_total_mapped_pages", 0) if variant == "total-mapped-pages" else ("_entire_mapcount", -1)
    assert (getattr(folio, by_pmd[0]).peek(), folio._pincount.peek()) == (by_pmd[1], 0)
    assert folio._mm_ids.peek() == (1 << 62 if kind == "v1" else 0)
    assert folio._nr_pages.peek() == 1 << order
    assert {m.page(pfn + i)._mapcount.peek() for i in range(1 << order)} == {-1}


# -- the rules of 2.1 and 2.2, written a second time as a table-driven model ---------------------------
class Merged:
    """Rows A1 to A5 and S1 to S4 of specification 2.2."""

    def __init__(self) -> None:
        self.total, self.ids, self.counts, self.flag = -1, [0, 0], [-1, -1], 0

    def set(self, n: int, mm: int) -> None:
        self.total, self.ids[0], self.counts[0] = n - 1, mm, n - 1

    def add(self, n: int, mm: int) -> None:
        self.total += n
        if mm in self.ids:
            self.counts[self.ids.index(mm)] += n
        elif 0 in self.ids:
            slot = self.ids.index(0)
            self.ids[slot], self.counts[slot] = mm, n - 1
            self.flag |= int(slot == 1 or self.total != n - 1)

    def sub(self, n: int, mm: int) -> None:
        self.total -= n
        if mm in self.ids:
            slot = self.ids.index(mm)
            self.counts[slot] -= n
            if self.counts[slot] >= 0:
                return
            self.ids[slot], self.counts[slot] = 0, -1
        if self.total in self.counts:
            self.flag = 0

    def state(self) -> State:
        return (self.total, self.ids[0], self.counts[0], self.ids[1], self.counts[1], self.flag)


class First(Merged):
    """The rules of specification 2.1."""

    def __init__(self) -> None:
        super().__init__()
        self.flag = 1

    def add(self, n: int, mm: int) -> None:
        self.total += n
        if mm in self.ids:
            slot = self.ids.index(mm)
            self.counts[slot] += n
            if self.counts[slot] != self.total:
                self.flag = 0
        elif self.flag:
            slot = 0 if self.counts[0] < 0 else 1
            self.ids[slot], self.counts[slot], self.flag = mm, n - 1, 0

    def sub(self, n: int, mm: int) -> None:
        self.total -= n
        if mm in self.ids:
            self.counts[self.ids.index(mm)] -= n
        if self.total in self.counts:
            self.flag = 1


STEPS = st.lists(st.tuples(st.sampled_from([ADD, SUB]), st.integers(1, P), st.integers(0, 3)), max_size=40)


@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=60)
@given(anon=st.booleans(), steps=STEPS)
def test_every_rule_against_a_second_writing(variant: str, anon: bool, steps: list[tuple[str, int, int]]) -> None:
    """Adds and subs of any MM in any order, through the hooks; an MM never removes more than it added."""
    m = machine(variant)
    model = Merged() if VARIANTS[variant][2] == "merged" else First()
    pfn = m.file_folio(2)
    folio, page = m.folio(pfn), m.page(pfn)
    for who in range(4):
        m.create(who, 11 + who)
    mms = [m.at("mm", off) for off in m.map.mms]
    mapped = [0] * 4

    def call(entry: int, n: int, who: int) -> Any:
        return m.vm.policy[entry](folio, page, n, mms[who])

    if anon:
        call(calls.NEW_ANON, P, 0)
        model.set(P, 11)
        mapped[0] = P
        assert state(m, pfn) == model.state()
    # the page mapcounts that some variants keep besides must not go below zero
    pages = [int(anon)] * P
    for op, wanted, who in steps:
        n = wanted if op == ADD else min(wanted, mapped[who], sum(1 for count in pages if count))
        if op == ADD:
            call(calls.ADD_PTES, n, who)
            model.add(n, 11 + who)
            mapped[who] += n
            pages[:n] = [count + 1 for count in pages[:n]]
        else:
            if n == 0 or min(pages[:n]) == 0:
                continue
            before = model.state()
            call(calls.REMOVE_PTES, n, who)
            model.sub(n, 11 + who)
            if type(model) is Merged and before[5] > state(m, pfn)[5]:
                # I7: only a sub that empties a slot, or of an MM without one, clears the flag
                assert 11 + who not in (state(m, pfn)[1], state(m, pfn)[3])
            mapped[who] -= n
            pages[:n] = [count - 1 for count in pages[:n]]
        assert state(m, pfn) == model.state()
        assert m.mapcount(pfn) == sum(mapped)


def test_more_mappings_than_the_slot_knows() -> None:
    """Going below -1 in S1 and S2 is legal: C is untracked, gets slot 1 later, and unmaps more than it holds."""
    m = machine("mm-id")
    pfn = m.file_folio(2)
    for who, number in ((0, A), (1, B), (2, C)):
        m.create(who, number)
        m.map_file(who, 0, pfn, P)
    m.unmap(1, 0, P)
    m.map_file(2, 8, pfn, 1)
    assert state(m, pfn) == (8, 11, 3, 13, 0, 1)
    m.unmap(2, 0, 2)  # two of the four that were never counted empty the slot
    assert state(m, pfn) == (6, 11, 3, 0, -1, 1)
    m.unmap(2, 2, 2)
    m.unmap(2, 8, 1)
    assert state(m, pfn) == (3, 11, 3, 0, -1, 0)


def test_repeated_mappings_of_one_mm_stay_in_its_slot() -> None:
    """2.6: several VMAs of one MM count in the same slot; mremap changes nothing."""
    m = machine("mm-id")
    m.create(0, A)
    m.create(3)
    pfn = m.file_folio(2)
    for place in (0, 8, 16):
        m.map_file(0, place, pfn, P)
    assert state(m, pfn) == (11, 11, 11, 0, -1, 0)
    before = state(m, pfn)
    m.mremap(0, 8, 32, P)
    assert state(m, pfn) == before
    assert m.maybe_shared(pfn) is False


def test_word_is_zero_again_when_nothing_maps_the_folio() -> None:
    """2.2: no zeroing is needed before a free, unlike V1, whose stale IDs remain."""
    for variant, left in (("mm-id", 0), ("mm-id-v1", 12 << 32 | 11 | 1 << 62)):
        m = machine(variant)
        m.create(0, A)
        m.populate(0, 0, P, 2)
        m.get_user(0)
        m.fork(0, 1, mm_id=B)
        m.exit(0)
        m.exit(1)
        assert m.folio(0)._mm_ids.peek() == left
