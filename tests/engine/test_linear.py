"""Work is linear in memory: each block of 2 MiB costs as many accesses as the block before it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from foliolab.framework.anatomy.atomics import Counter
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.plugins.registry import load
from foliolab.framework.run.cases import counting_setting, plan
from foliolab.framework.run.request import build

BLOCK = 512
Work = dict[str, tuple[int, ...]]


def course(machine: Machine, nr: int, order: int) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """A life of a process and its children, one operation after the other."""
    machine.create(0)
    yield "populate", ("populate", (0, 0, nr, order))
    yield "fork", ("fork", (0, 1))
    yield "exit", ("exit", (1,))
    yield "reuse", ("write", (0, 0, nr))
    yield "fork again", ("fork", (0, 1))
    yield "cow", ("write", (0, 0, nr))
    yield "munmap", ("unmap", (0, 0, nr))


def work(policy: str, blocks: int, order: int) -> Work:
    """Accesses of each operation: loads, stores, atomics, lock sections, cache lines."""
    nr = blocks * BLOCK
    scheme = load().policy(policy)
    machine = Machine(scheme, Shape(10 * BLOCK, 2, nr), "interpreted")
    found: Work = {}
    for name, (operation, arguments) in course(machine, nr, order):
        call = machine.bind(operation, *arguments)
        seen = machine.vm.observer = Counter(frozenset(f.name for f in scheme.fields))
        call()
        machine.vm.observer = None
        found[name] = (seen.loads, seen.stores, seen.atomics, seen.lock_sections, len(seen.lines))
    return found


@pytest.mark.parametrize("order", [0, 4, 9])
@pytest.mark.parametrize("policy", ["page-mapcount", "mm-id", "no-page-mapcount"])
def test_every_block_costs_as_much_as_the_one_before(policy: str, order: int) -> None:
    two, three, four = (work(policy, blocks, order) for blocks in (2, 3, 4))
    for name in two:
        third = [b - a for a, b in zip(two[name], three[name], strict=True)]
        fourth = [b - a for a, b in zip(three[name], four[name], strict=True)]
        assert third == fourth, f"{name}: {third} for the third block, {fourth} for the fourth"
        assert sum(third) > 0


def test_counted_metrics_do_not_depend_on_the_size_of_memory() -> None:
    """What is counted for 1 GiB and for 64 GiB is the same run, where the workload itself has no limit."""
    registry = load()
    small, large = (plan(registry, build(registry, memory=memory, repeats=1)) for memory in ("1G", "64G"))
    assert list(map(counting_setting, small)) == list(map(counting_setting, large))
    assert max(case.setting.nr_pages for case in large) == 1 << 24


@pytest.mark.parametrize("policy", sorted(load().policies))
def test_a_machine_that_starts_anew_is_as_it_was_made(policy: str) -> None:
    scheme = load().policy(policy)
    machine = Machine(scheme, Shape(2 * BLOCK, 2, BLOCK).fitting(scheme), "interpreted")
    fresh = machine.snapshot()
    machine.create(0)
    machine.populate(0, 0, 64, 4)
    machine.fork(0, 1)
    machine.write(1, 3)
    assert not np.array_equal(machine.snapshot(), fresh)
    machine.reset()
    assert np.array_equal(machine.snapshot(), fresh)
