"""Random operations: the laws of every state (I1 to I6 of specification 2.3 among them), whatever the policy,
and the same bytes whether the text is interpreted or compiled.

A sequence is a list of small numbers; `Chooser` turns each into an operation that is possible in the state it
meets, so the same list drives every policy and both executions, and hypothesis can shrink it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.structs import MAPPING_ANON, NR_ORDERS, PG_swapcache
from foliolab.framework.engine.truth import Truth, scan
from foliolab.framework.errors import ModelError
from foliolab.framework.verify.random_operations.choice import KINDS, Chooser
from foliolab.policies import exact, foliolab_policies, mm_id, no_page_mapcount, page_mapcount, vma_pagetable

Step = tuple[str, int, int, int, int]
PMD = 512
SMALL = Shape(512, 4, 64, max_order=4)
HUGE = Shape(8192, 3, 2048)

CHOSEN: dict[str, list[dict[str, int | str]]] = {
    "page-mapcount": [{}, {"batched": 0}, {"large_mapcount": 0, "batched": 0}],
    "mm-id-v1": [{}, {"page_mapcounts": 0}],
    "mm-id-slots": [{}, {"slots": 1}, {"slots": 3}, {"slots": 8}, {"width": 32}],
    "likely-mapped-shared": [{}, {"version": "6.9"}],
    "vma-pagetable": [{}, {"count": "vmas"}],
    "rmap-id": [{}, {"stage": "mapcount"}, {"batched": 0}],
}
SCHEMES = [policy.with_parameters(chosen) for policy in foliolab_policies() for chosen in CHOSEN.get(policy.name, [{}])]
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)

# Shrinking takes minutes, and 30 steps can be read; add Phase.shrink to pursue a failure.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
NUMBER = st.integers(0, 1 << 12)
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), NUMBER, NUMBER, NUMBER, NUMBER), min_size=4, max_size=30)


def answer(m: Machine, operation: Operation) -> Any:
    """What an operation answers, or that there is no memory."""
    try:
        return m.apply(operation)
    except ModelError as fault:
        assert "no memory" in str(fault), f"{operation}: {fault}"
        return "no memory"


def finish(m: Machine, chooser: Chooser) -> None:
    """Give everything back; the swap cache's references are taken from what nothing else holds.

    That is reclaim's work, which is not modelled: its references are turned into ordinary ones here, and dropped.
    """
    for operation in chooser.finish():
        answer(m, operation)
    truth, flags = scan(m), m.column("page", "flags")
    for head in np.flatnonzero((flags >> np.uint64(PG_swapcache) & np.uint64(1) > 0) & (truth.nr_pages_of > 0)):
        flags[head] &= np.uint64(~(1 << PG_swapcache) % (1 << 64))
        m.column("page", "gup_refs")[head] += int(truth.nr_pages_of[head])
        m.put_user(int(head), int(truth.nr_pages_of[head]))


def foreseen(m: Machine, truth: Truth, law: str) -> bool:
    """Where the specification itself says that a scheme calls one owner's folio shared."""
    if "called shared" not in law:
        return False
    head = int(law.split()[1].rstrip(":"))
    if m.scheme.policy.name == "mm-id-v1":
        return int(m.column("page", "mapping")[head]) != MAPPING_ANON  # 2.4, T5: the first map clears the flag
    if m.scheme.policy.name == "rmap-id":
        pages = int(truth.nr_pages_of[head])
        return pages < 4 or int(truth.folio_mapcount[head]) > pages  # 4.1: shared without looking
    return False


def slot_violations(m: Machine, truth: Truth) -> list[str]:
    """I1, I2, I4 and I5 of specification 2.3, for the merged two-slot schemes."""
    if m.scheme.name not in ("mm-id", "no-page-mapcount", "total-mapped-pages"):
        return []
    wrong = []
    number = {m.mm_id(mm): mm for mm in range(m.shape.nr_mms)}
    for head in np.flatnonzero(truth.nr_pages_of > 1):
        folio = m.folio(int(head))
        word = folio._mm_ids.peek() % (1 << 64)
        ids = [word & 0x7FFFFFFF, word >> 32 & 0x7FFFFFFF]
        counts = [folio._mm_id_mapcount[i].peek() for i in (0, 1)]
        shared = word >> 63
        for mm, count in zip(ids, counts, strict=True):
            if (mm == 0) != (count == -1):
                wrong.append(f"I1: folio {head}: ID {mm}, count {count}")
            if mm and not 1 <= count + 1 <= truth.mappings[number[mm], head]:
                wrong.append(f"I2: folio {head}: slot of MM {number[mm]} says {count + 1}")
        if ids[0] == ids[1] != 0:
            wrong.append(f"I1: folio {head}: {ids[0]} occupies both slots")
        if all(ids) and not shared:
            wrong.append(f"I4: folio {head}: two slots, not shared")
        if truth.folio_mapcount[head] == 0 and (any(ids) or shared):
            wrong.append(f"I5: folio {head}: unmapped, ids {ids}, shared {shared}")
    return wrong


def pair_violations(m: Machine, truth: Truth) -> list[str]:
    """The count of `vma-pagetable` (specification 5.2), from the page tables; see its docstring on what a VMA is."""
    if m.scheme.policy.name != "vma-pagetable":
        return []
    of_tables = dict(m.scheme.values)["count"] == 0
    pairs: dict[int, set[tuple[int, ...]]] = {int(head): set() for head in np.flatnonzero(truth.nr_pages_of > 1)}
    for mm in range(m.shape.nr_mms):
        present = np.flatnonzero(m.ptes(mm) & np.uint64(1))
        places = [(int(vpn), int(m.ptes(mm)[vpn]) >> 12) for vpn in present]
        places += [(int(at) * PMD, int(m.pmds(mm)[at]) >> 12) for at in np.flatnonzero(m.pmds(mm))]
        for vpn, pfn in places:
            head = int(truth.heads[pfn])
            if head in pairs:
                pairs[head].add((mm, vpn - (pfn - head), vpn // PMD if of_tables else 0))
    return [
        f"folio {head}: {m.folio(head)._pair_mapcount.peek()} pairs counted, {sorted(found)} are"
        for head, found in pairs.items()
        if m.folio(head)._pair_mapcount.peek() != len(found)
    ]


LEVELS = (
    "NR_ANON_MAPPED", "NR_FILE_MAPPED", "NR_ANON_THPS", "NR_SHMEM_PMDMAPPED", "NR_FILE_PMDMAPPED",
    "NR_ANON_PARTIALLY_MAPPED",
)  # fmt: skip
"""The statistics that are levels; the others count events for ever."""


def is_pristine(m: Machine) -> list[str]:
    """What is not as on a machine where nothing ever happened, but for what the statistics count for ever."""
    wrong = []
    zone = m.at("zone", m.map.zone)
    if zone.nr_free.peek() != m.shape.nr_pages:
        wrong.append(f"{zone.nr_free.peek()} of {m.shape.nr_pages} frames are free")
    for name in LEVELS:
        if m.statistic(name):
            wrong.append(f"{name} is {m.statistic(name)}")
    nr_anon = [m.at("cpu", m.map.cpus[0]).nr_anon[order].peek() for order in range(NR_ORDERS)]
    if any(nr_anon):
        wrong.append(f"nr_anon is {nr_anon}")
    for mm in range(m.shape.nr_mms):
        state = m.at("mm", m.map.mms[mm])
        if any(field.peek() for field in (state.mm_id, state.rss_anon, state.rss_file, state.rss_swap)):
            wrong.append(f"MM {mm} has an ID or an RSS")
    return wrong


def run_and_check(scheme: Scheme, shape: Shape, steps: list[Step]) -> None:
    m = Machine(scheme, shape, "interpreted")
    chooser = Chooser(m)
    m.create(0)
    for step in steps:
        operation = chooser.choose(*step)
        if operation is None:
            continue
        answer(m, operation)
        truth = scan(m)
        broken = violations(m, truth, most_owners=shape.nr_mms)
        assert [law for law in broken if not foreseen(m, truth, law)] == [], step
        assert slot_violations(m, truth) == [], step
        assert pair_violations(m, truth) == [], step
    finish(m, chooser)
    assert violations(m) == []
    assert is_pristine(m) == []


@every_scheme
@settings(max_examples=25, phases=PHASES)
@given(steps=STEPS)
def test_laws_hold(scheme: Scheme, steps: list[Step]) -> None:
    run_and_check(scheme, SMALL, steps)


@every_scheme
@settings(max_examples=15, phases=PHASES)
@given(steps=STEPS)
def test_laws_hold_with_two_owners_at_most(scheme: Scheme, steps: list[Step]) -> None:
    """I6: as long as at most two MMs map a folio at a time, the two slots answer exactly."""
    run_and_check(scheme, replace(SMALL, nr_mms=2), steps)


@every_scheme
@settings(max_examples=6, phases=PHASES)
@given(steps=STEPS)
def test_laws_hold_with_pmds(scheme: Scheme, steps: list[Step]) -> None:
    run_and_check(scheme, HUGE, steps)


# -- one text, two executions ------------------------------------------------------------------------------
DEFAULTS = [page_mapcount, mm_id, no_page_mapcount, vma_pagetable, exact]


@pytest.mark.slow
@pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")
@pytest.mark.parametrize("module", DEFAULTS, ids=lambda module: module.POLICY.name)
@pytest.mark.parametrize(("shape", "examples"), [(SMALL, 20), (HUGE, 8)], ids=["small", "pmd"])
def test_interpreted_and_native_leave_the_same_bytes(module: Any, shape: Shape, examples: int) -> None:
    scheme = module.POLICY.with_parameters()
    shape = Shape(shape.nr_pages, shape.nr_mms, shape.nr_vpns, 1, shape.max_order, contents=shape is SMALL)

    @settings(max_examples=examples, phases=PHASES)
    @given(steps=STEPS)
    def check(steps: list[Step]) -> None:
        slow, fast = (Machine(scheme, shape, how) for how in ("interpreted", "native"))
        choosers = [Chooser(m) for m in (slow, fast)]
        for step in [("create", 0, 0, 0, 0), *steps]:
            chosen = [chooser.choose(*step) for chooser in choosers]
            assert chosen[0] == chosen[1], step
            if chosen[0] is not None:
                assert answer(slow, chosen[0]) == answer(fast, chosen[0]), step
        assert np.array_equal(slow.vm.buffer, fast.vm.buffer)
        assert np.array_equal(slow.contents.buffer, fast.contents.buffer)
        for pfn in map(int, scan(slow).folios()):
            assert slow.maybe_shared(pfn) == fast.maybe_shared(pfn)
            assert slow.kpagecount(pfn) == fast.kpagecount(pfn)
            assert slow.exclusive(pfn) == fast.exclusive(pfn)
        for mm in range(shape.nr_mms):
            assert slow.smaps(mm) == fast.smaps(mm)
        for m, chooser in zip((slow, fast), choosers, strict=True):
            finish(m, chooser)
        assert np.array_equal(slow.vm.buffer, fast.vm.buffer)

    check()
