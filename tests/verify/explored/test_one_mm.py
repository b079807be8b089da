"""Two threads of one MM: its locks, GUP-fast beside fork, and texts that act on what they read before."""

from __future__ import annotations

import numpy as np
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Execution, Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import ModelError, UsageError
from foliolab.framework.plugins.registry import load
from foliolab.framework.verify.explored import derived
from foliolab.framework.verify.explored.exploration import Explorer, explore
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.programs import Program
from foliolab.framework.verify.explored.result import Exploration
from foliolab.framework.verify.explored.witness import counterexample
from foliolab.framework.verify.explored.world import World
from foliolab.framework.verify.playback import confirm, play

FOUND = load()
MM_ID = FOUND.policy("mm-id")
SHAPE = Shape(16, 6, 8, 2, 2)
ALONE = ("create mm=0 mm_id=1", "populate mm=0 start=0 nr=4 order=2")
SHARED = (*ALONE, "fork parent=0 child=1 mm_id=2")
WRONG = {
    "gup-beside-forks": ("pinned", ("fork", "pin by GUP-fast")),
    "dirty-cow": ("pinned", ("pin by GUP-fast", "unmap a page and read it")),
    "fault-without-pte-same": ("references", ("write", "write")),
    "migration-peeks": ("migration", ("migrate", "mremap")),
    "fork-keeps-migration-writable": ("anon-exclusive", ("fork", "migrate")),
}
"""What each wrong text breaks, and the operations beside which it does."""


OF_FILES = ("dirty-cow", "fault-without-pte-same")


def of_one_mm(scheme: Scheme) -> list[derived.Derived]:
    return [one for one in derived.pairs(scheme) if "two threads of one MM" in one.program.name]


def searched(scheme: Scheme, program: Program, reduction: bool = True, keep_on: bool = False) -> Exploration:
    world = World(scheme, program.shape, program.setup, program.threads)
    options = Options(memory=32 << 20, reduction=reduction, keep_on=keep_on)
    return Explorer(world, options).run(lambda _: True)


def parsed(*threads: tuple[str, ...]) -> list[list[Operation]]:
    return [[*map(Operation.parse, thread)] for thread in threads]


def test_linux_holds_its_laws() -> None:
    some = of_one_mm(MM_ID)[3::14]
    assert len(some) > 15
    for one in some:
        found = searched(MM_ID, one.program)
        assert found.complete and [str(broken.violation) for broken in found.broken] == [], one.program.name


@pytest.mark.parametrize("caller", WRONG)
def test_a_text_that_acts_on_what_it_read_before_is_refuted(caller: str) -> None:
    scheme = FOUND.policy(f"mm-id+{caller}")
    law, kinds = WRONG[caller]
    beside = next(one for one in of_one_mm(scheme) if one.kinds == kinds and one.start.file == (caller in OF_FILES))
    found = searched(scheme, beside.program)
    assert law in {broken.violation.law for broken in found.broken}
    example = counterexample(found, found.broken[0], "explored", "sc")
    assert example is not None and confirm(example, scheme) and not confirm(example, MM_ID)
    names = {frame.field for frame in play(example, scheme).frames}
    assert "mm0.page_table_lock" in names and not any(name.startswith("mm0.pmd[") for name in names - {"mm0.pmd[0]"})


def test_they_come_last_but_under_a_caller() -> None:
    usual, under = derived.pairs(MM_ID), derived.pairs(FOUND.policy("mm-id+dirty-cow"))
    assert [*usual[-len(of_one_mm(MM_ID)) :]] == of_one_mm(MM_ID)
    assert under[0] in of_one_mm(FOUND.policy("mm-id+dirty-cow"))


def test_reduction_loses_no_violation() -> None:
    scheme = FOUND.policy("mm-id+fault-without-pte-same")
    program = Program(
        "", SHAPE, tuple(map(Operation.parse, SHARED)), tuple(map(tuple, parsed(*[("write mm=0 start=0",)] * 2)))
    )
    reduced, whole = searched(scheme, program, keep_on=True), searched(scheme, program, reduction=False, keep_on=True)
    assert reduced.states < whole.states
    assert {one.violation.law for one in reduced.broken} == {one.violation.law for one in whole.broken}


def test_a_fork_waits_for_faults_and_a_reader_is_answered_meanwhile() -> None:
    threads = parsed(("fork parent=0 child=2 mm_id=3",), ("write mm=0 start=0",), ("maybe_shared pfn=0",))
    found = explore(MM_ID, Shape(16, 6, 8, 3, 2), parsed(SHARED)[0], threads, Options(memory=64 << 20, reduction=True))
    assert found.complete and not found.broken


@pytest.mark.parametrize("operation", ["exit mm=0", "swap_in mm=0 vpn=0", "populate mm=0 start=4 nr=4 order=2"])
def test_what_is_not_modelled_is_refused(operation: str) -> None:
    setup = (*SHARED, "swap_cache pfn=0", "swap_out mm=0 vpn=0") if "swap" in operation else SHARED
    with pytest.raises(
        UsageError, match=f"{Operation.parse(operation).name} is not modelled in an MM that several threads use"
    ):
        explore(MM_ID, SHAPE, parsed(setup)[0], parsed((operation,), ("write mm=0 start=1",)))


@pytest.mark.parametrize("execution", ["interpreted", pytest.param("native", marks=pytest.mark.slow)])
def test_the_locks_change_nothing_where_one_thread_runs(execution: Execution) -> None:
    if execution == "native" and native_missing():
        pytest.skip(native_missing())
    machines = [Machine(MM_ID, Shape(64, 4, 16, 1, 2), execution) for _ in range(2)]
    texts = (
        "write mm=0 start=0", "unmap mm=0 start=1 nr=1", "fork parent=0 child=2", "write mm=0 start=2",
        "protect mm=0 start=0 nr=4", "mremap mm=0 start=0 to=8 nr=4", "migrate mm=0 vpn=8", "gup_fast mm=0 vpn=8",
        "gup_fast mm=0 vpn=11", "fork parent=0 child=3",
    )  # fmt: skip
    for machine in machines:
        for text in SHARED:
            machine.apply(Operation.parse(text))
    machines[1].several = frozenset({0})
    for text in texts:
        operation = Operation.parse(text)
        machines[0].apply(operation)
        machines[1].bind_operation(operation)()
        assert violations(machines[1]) == []
    one, other = machines
    for name in ("flags", "_mapcount", "_refcount"):
        assert np.array_equal(one.column("page", name), other.column("page", name))
    for mm in range(4):
        assert np.array_equal(one.ptes(mm), other.ptes(mm))


def test_gup_fast_pins_what_belongs_to_the_mm_alone() -> None:
    machine = Machine(MM_ID, Shape(64, 3, 16, 1, 2), "interpreted")
    for text in SHARED:
        machine.apply(Operation.parse(text))
    copy = machine.gup_fast(0, 0)
    assert copy != machine.frame(1, 0) and copy == machine.frame(0, 0) and machine.pins()[copy] == 1
    machine.fork(0, 2)
    assert machine.frame(2, 0) != copy  # the child gets a copy at once
    machine.unpin(copy)
    assert not machine.pins().any() and violations(machine) == []
    pfn = machine.file_folio(2)
    machine.map_file(0, 8, pfn, 4, shared=True)
    with pytest.raises(ModelError, match="is of a shared mapping"):
        machine.gup_fast(0, 8)
