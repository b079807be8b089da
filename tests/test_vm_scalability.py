"""vm-scalability's anon-cow cases, and the engine under several threads: every state is right afterwards."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.workload import Setting, Workload
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.folio import leave_lru_batch
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.mm import mm_alloc_id, mm_free_id
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import ModelError
from foliolab.framework.machine.primitives import (
    PAGE_SIZE,
    atomic_add_return,
    atomic_dec,
    load,
    mm_at,
    pfn_folio,
    pte_at,
    zone_at,
)
from foliolab.framework.run.cases import Case, shape_of
from foliolab.framework.run.count import count
from foliolab.policies import foliolab_policies, mm_id, page_mapcount
from foliolab.workloads.vm_scalability import PARENT, WORDS, meet, workload, workloads, write_random

CHOSEN: dict[str, list[dict[str, int | str]]] = {
    "page-mapcount": [{}, {"large_mapcount": 0, "batched": 0}],
    "mm-id-v1": [{}, {"page_mapcounts": 0}],
    "rmap-id": [{}, {"stage": "rmap-id"}, {"stage": "exclusive"}, {"stage": "nocmpxchg"}],
}
SCHEMES = [policy.with_parameters(chosen) for policy in foliolab_policies() for chosen in CHOSEN.get(policy.name, [{}])]
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
BASE = page_mapcount.POLICY.with_parameters()
MM_ID = mm_id.POLICY.with_parameters()
native = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "native code works")


def at_once(calls: Sequence[Callable[[], Any]]) -> None:
    """Run each call in a thread of its own, all at the same time; their first exception is raised."""
    faults: list[BaseException] = []
    gate = threading.Barrier(len(calls))

    def body(call: Callable[[], Any]) -> None:
        try:
            gate.wait()
            call()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=body, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread waits for ever"
    if faults:
        raise faults[0]


def prepared(scheme: Scheme, case: Workload, setting: Setting, how: Any = "native") -> tuple[Machine, list[Any]]:
    machine = Machine(scheme, shape_of(case, setting), how)
    made = case.prepare(machine, setting)
    return machine, [made] if callable(made) else list(made)


def assert_all_copied(machine: Machine, children: int, pages: int) -> None:
    """The parent kept its folios alone; each child has every page for itself, in a small folio."""
    truth = scan(machine)
    assert violations(machine, truth) == []
    assert machine.statistic("PGCOPY") == children * pages
    assert machine.statistic("NR_ANON_THPS") == int((truth.pmds[PARENT] > 0).sum()) * 512
    assert set(truth.owners[truth.folios()]) == {1}
    frames = [machine.frame(mm, vpn) for mm in range(1 + children) for vpn in range(pages)]
    assert len(set(frames)) == (1 + children) * pages
    assert all(truth.nr_pages_of[pfn] == 1 for pfn in frames[pages:])
    for mm in range(1, 1 + children):
        assert bool((machine.ptes(mm) & np.uint64(2)).all()), "written, so writable"
    if "exact" in machine.scheme.capabilities:
        assert not any(machine.maybe_shared(pfn) for pfn in frames)


def tear_down(machine: Machine, order: Sequence[int]) -> None:
    """MMs exit one after the other; every state on the way is right, and nothing is left."""
    for mm in order:
        machine.exit(mm)
        assert violations(machine) == []
    assert machine.vm.at("zone", machine.map.zone).nr_free.peek() == machine.shape.nr_pages
    assert machine.statistic("NR_ANON_MAPPED") == 0
    assert machine.statistic("NR_ANON_PARTIALLY_MAPPED") == 0


# -- the workloads -----------------------------------------------------------------------------------
@native
@pytest.mark.slow
@pytest.mark.parametrize("order", [0, 4, 9])
@pytest.mark.parametrize(("children", "in_disorder"), [(2, False), (3, True)], ids=["seq-2", "rand-3"])
@every_scheme
def test_children_at_the_same_time(scheme: Scheme, children: int, in_disorder: bool, order: int) -> None:
    pages = 1024
    case = workload("cow", children, in_disorder)
    machine, calls = prepared(scheme, case, Setting(order, pages, seed=3))
    assert len(calls) == children
    assert set(scan(machine).owners[scan(machine).folios()]) == {1 + children}
    at_once(calls)
    assert_all_copied(machine, children, pages)
    tear_down(machine, range(children, -1, -1))


@pytest.mark.parametrize("order", [0, 2, 9])
@pytest.mark.parametrize("in_disorder", [False, True], ids=["seq", "rand"])
@every_scheme
def test_interpreted_the_children_take_turns(scheme: Scheme, in_disorder: bool, order: int) -> None:
    pages = 2 << order if order < 9 else 512
    case = workload("cow", 2, in_disorder)
    machine, calls = prepared(scheme, case, Setting(order, pages, seed=3), "interpreted")
    assert len(calls) == 1
    calls[0]()
    assert_all_copied(machine, 2, pages)
    tear_down(machine, (2, 1, 0))


@native
@pytest.mark.slow
@pytest.mark.parametrize("first", ["parent first", "slots first", "untracked first"])
@every_scheme
def test_all_exit_at_the_same_time(scheme: Scheme, first: str) -> None:
    """MMs in slots and untracked ones, on threads; one MM has left before, so that slots are taken over."""
    children = 4
    shape = Shape(1 << 13, 1 + children, 1 << 12, nr_cpus=children)
    machine = Machine(scheme, shape)
    machine.create(PARENT)
    machine.populate(PARENT, 0, 2048, 4)
    machine.populate(PARENT, 2048, 2048, 9, pmd=True)
    for child in range(1, 1 + children):
        machine.fork(PARENT, child)
    gone = {"parent first": PARENT, "slots first": 1, "untracked first": children}[first]
    machine.exit(gone)
    assert violations(machine) == []
    calls = []
    for cpu, mm in enumerate(mm for mm in range(1 + children) if mm != gone):
        machine.cpu = cpu
        calls.append(machine.bind("exit", mm))
    at_once(calls)
    assert violations(machine) == []
    tear_down(machine, ())


def test_what_is_counted_is_one_untracked_child() -> None:
    """Exact figures of one copy: 8 atomics of the engine and Base, one more or less for large folios."""
    for in_disorder in (False, True):
        case = Case(workload("cow", 3, in_disorder), Setting(4, 1 << 12, seed=1))
        base, slots = count(case, BASE, 60), count(case, MM_ID, 60)
        assert (base["atomics"], base["lock_sections"]) == (9.0, 1.0)  # the zone's lock
        assert (slots["atomics"], slots["lock_sections"]) == (9.0, 2.0)
    setting = Setting(4, 64, seed=1, counting=True)
    machine, calls = prepared(MM_ID, workload("cow", 3, False), setting, "interpreted")
    before = {pfn: machine.folio(pfn)._mm_id_mapcount[1].peek() for pfn in range(0, 64, 16)}
    assert len(calls) == 1
    calls[0]()
    assert scan(machine).owners[0] == 3
    assert before == {pfn: machine.folio(pfn)._mm_id_mapcount[1].peek() for pfn in before}, "no slot knows the writer"
    assert all(machine.folio(pfn)._large_mapcount.peek() + 1 == 3 * 16 for pfn in before)


@native
def test_random_words_are_the_same_ones_natively() -> None:
    made = []
    for how in ("interpreted", "native"):
        machine = Machine(MM_ID, Shape(256, 2, 64, contents=True, max_order=4, scratch=8), how)
        machine.create(PARENT)
        machine.populate(PARENT, 0, 64, 4)
        machine.fork(PARENT, 1)
        where = (machine.map.cpus[0], machine.map.zone, machine.map.mms[1], machine.map.scratch, 1)
        assert machine.bind_function(write_random, "mmiiiiiiii", *where, 64, 20, (1 << 62) - 1)() == 64
        made.append(machine)
    slow, fast = made
    assert np.array_equal(slow.vm.buffer, fast.vm.buffer)
    assert np.array_equal(slow.contents.buffer, fast.contents.buffer)
    assert not slow.contents.buffer[: 64 * PAGE_SIZE].any(), "the parent's pages are as they were"
    words = slow.contents.buffer[64 * PAGE_SIZE :].view(np.int64).reshape(-1, WORDS)
    assert bool((words != 0).any(axis=0).sum() > WORDS / 2), "words all over the page"
    assert (words != 0).sum() > 0.95 * 64 * 20


def test_every_word_is_written_and_the_parents_stay() -> None:
    machine, calls = prepared(BASE, workload("cow", 2, False), Setting(2, 8, seed=1), "interpreted")
    calls[0]()
    pages = machine.contents.buffer.reshape(-1, PAGE_SIZE)
    kept = [machine.frame(PARENT, vpn) for vpn in range(8)]
    written = [machine.frame(mm, vpn) for mm in (1, 2) for vpn in range(8)]
    assert not pages[kept].any()
    assert bool((pages[written] == 1).all())


def test_too_few_frames_are_an_error_and_no_fast_result() -> None:
    case, setting = workload("cow", 2, False), Setting(2, 8, seed=1)
    shape = shape_of(case, setting)
    machine = Machine(BASE, Shape(**(vars(shape) | {"nr_pages": 20})), "interpreted")
    calls = case.prepare(machine, setting)
    assert not callable(calls)
    with pytest.raises(ModelError, match="a child wrote 4 of 8 pages"):
        calls[0]()


def test_memory_and_names() -> None:
    names = [one.name for one in workloads()]
    assert names == ["anon-cow-seq", "anon-cow-rand"]
    for one in workloads():
        assert one.threads >= 2 and one.mms == one.frames == 1 + one.threads
    for children in (2, 3, 64, 1000):
        case = workload("cow", children, False)
        assert case.limit is not None
        for order in case.orders:
            assert 2 << order <= case.limit(order) <= max(2 << order, (1 << 17) // (1 + children))


# -- the engine under threads ------------------------------------------------------------------------
VPNS = 1024
FAMILY = 4
"""MMs of each thread."""


def _life(machine: Machine, mine: Sequence[int], seed: int, steps: int) -> None:
    """A thread forks, writes, unmaps and exits among MMs of its own, whose folios others map too."""
    rng = random.Random(seed)
    for _ in range(steps):
        mm = rng.choice([one for one in mine if machine.is_alive(one)])
        start = rng.randrange(VPNS)
        nr = min(rng.choice((1, 16, 100, 600)), VPNS - start)
        other = rng.choice(mine)
        action = rng.random()
        if action < 0.3 and not machine.is_alive(other):
            machine.fork(mm, other)
        elif action < 0.7:
            machine.write(mm, start, min(nr, 100), nbytes=8)
        elif action < 0.8:
            machine.unmap(mm, start, nr)
        elif action < 0.9:
            machine.split_pmd(mm, start, nr)
        elif sum(machine.is_alive(one) for one in mine) > 1:
            machine.exit(mm)


@native
@pytest.mark.slow
@pytest.mark.parametrize(("threads", "pmd"), [(2, False), (3, True)], ids=["lru-batch", "pmd"])
@every_scheme
def test_fork_write_unmap_and_exit_on_threads(scheme: Scheme, threads: int, pmd: bool) -> None:
    """Folios that MMs of all threads map, some in an LRU batch, or by PMDs in some MMs and by PTEs in others."""
    nr_mms = 1 + threads * FAMILY
    machine = Machine(scheme, Shape(nr_mms * VPNS, nr_mms, VPNS, nr_cpus=threads, contents=True))
    machine.create(PARENT)
    machine.populate(PARENT, 0, 256, 0, batched=not pmd)
    machine.populate(PARENT, 256, 256, 4, batched=not pmd)
    machine.populate(PARENT, 512, 512, 9, pmd=pmd)
    calls: list[Callable[[], Any]] = []
    for thread in range(threads):
        mine = range(1 + thread * FAMILY, 1 + (thread + 1) * FAMILY)
        machine.fork(PARENT, mine[0])
        view = machine.with_execution("native")
        view.cpu = thread
        calls.append(partial(_life, view, mine, thread, 250))
    machine.exit(PARENT)
    at_once(calls)
    # Specification 1.4: what removing the last PMD counts is "floored at 0", so Linux loses a page of NR_ANON_MAPPED
    # when meanwhile one CPU removes the last PTE of a page and another adds one to it.
    drifts = "statistics count" if pmd else "nothing"
    assert [law for law in violations(machine) if not law.startswith(drifts)] == []
    ids = [machine.mm_id(mm) for mm in range(nr_mms) if machine.is_alive(mm)]
    assert len(set(ids)) == len(ids), "an ID belongs to one MM"
    for mm in range(nr_mms - 1, -1, -1):
        if machine.is_alive(mm):
            machine.exit(mm)
    for head in map(int, np.flatnonzero(scan(machine).nr_pages_of)):
        machine.drain(head)  # nothing is left but what an LRU batch still holds
    assert violations(machine) == []
    assert machine.vm.at("zone", machine.map.zone).nr_free.peek() == machine.shape.nr_pages
    if not pmd:
        assert machine.statistic("NR_ANON_MAPPED") == 0


def drain_in_step(vm: Any, gate: int, threads: int, nr: int) -> int:
    """Drain the LRU batches of the first nr frames, each when all threads are there; how many one drained."""
    drained = 0
    for pfn in range(nr):
        meet(vm, gate, threads * (pfn + 1))
        if leave_lru_batch(pfn_folio(vm, pfn)):
            drained += 1
    return drained


@native
def test_an_lru_batch_is_drained_once() -> None:
    """Several CPUs see that a folio is in a batch; one of them drops the batch's reference."""
    pages, threads = 1 << 14, 2
    machine = Machine(BASE, Shape(pages, 1, pages, scratch=8))
    machine.create(PARENT)
    machine.populate(PARENT, 0, pages, 0, batched=True)
    run = machine.bind_function(drain_in_step, "miii", machine.map.scratch, threads, pages)
    drained: list[int] = []
    at_once([lambda: drained.append(run())] * threads)
    assert sum(drained) == pages


def churn(vm: Any, zone: int, who: int, gate: int, threads: int, users: int, turns: int) -> int:
    """Take and return an ID again and again; how often somebody else had the same one."""
    z = zone_at(vm, zone)
    mm = mm_at(vm, who)
    meet(vm, gate, threads)
    wrong = 0
    for _ in range(turns):
        if not mm_alloc_id(vm, z, mm):
            return -1
        holders = pte_at(vm, users + 8 * load(mm.mm_id)).pte
        if atomic_add_return(1, holders) != 1:
            wrong += 1
        atomic_dec(holders)
        mm_free_id(vm, z, mm)
    return wrong


@native
@pytest.mark.slow
def test_an_id_belongs_to_one_mm_at_a_time() -> None:
    threads = 2
    machine = Machine(MM_ID, Shape(512, threads, 512, nr_cpus=threads, scratch=8 * (2 + threads)))
    gate = machine.map.scratch
    answers: list[int] = []

    def run(who: int) -> None:
        numbers = (machine.map.zone, machine.map.mms[who], gate, threads, gate + 8, 5_000_000)
        answers.append(machine.bind_function(churn, "miiiiii", *numbers)())

    # compiled once, not by every thread
    run_alone = machine.bind_function(churn, "miiiiii", machine.map.zone, machine.map.mms[0], gate, 0, gate + 8, 1)
    assert run_alone() == 0
    at_once([partial(run, who) for who in range(threads)])
    assert answers == [0] * threads
    assert machine.vm.at("pte", machine.map.ida).pte.peek() == 1, "only the dummy is taken"
    for mm in range(threads):
        machine.create(mm)
    assert [machine.mm_id(mm) for mm in range(threads)] == [1, 2]
