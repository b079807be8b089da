"""A text's own checks: each attack refutes one that fires, with its line; what is timed or counted is without them."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.api import Policy
from foliolab.framework.contract.workload import Setting
from foliolab.framework.engine import calls
from foliolab.framework.engine.engine import Shape, native_missing, policy_library
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.policytree import checked, policy_tree, unchecked_tree
from foliolab.framework.run.cases import Case
from foliolab.framework.run.count import count
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.explored.exploration import Explorer
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.programs import programs
from foliolab.framework.verify.explored.world import World
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.laws import LAWS, Watch
from foliolab.framework.verify.symbolic import term
from foliolab.framework.verify.symbolic.entries import CHECKS
from foliolab.framework.verify.symbolic.proofs import Proofs
from foliolab.framework.verify.symbolic.search import OrderClass, Search
from foliolab.policies import mm_id
from foliolab.workloads import microbenchmarks

sys.path.insert(0, str(Path(__file__).parent))
from checked_policies import (
    BEFORE_THE_LOCK,
    HOLDS,
    OF_ONE_OWNER,
    TOO_EARLY,
    TURNED_ROUND,
    asks_before_the_lock,
    too_early,
    turned_round,
)

BARE = mm_id.POLICY.with_parameters()


def place(function: Any) -> str:
    """File and line of a function's check."""
    file, first = function.__code__.co_filename, function.__code__.co_firstlineno
    lines = Path(file).read_text().splitlines()
    line = next(number for number in range(first, len(lines)) if "# the check" in lines[number - 1])
    return f"{file}:{line}"


def findings(attack: str, policy: Policy, budget: Budget) -> list[Finding]:
    (chosen,) = attacks.chosen([attack])
    return chosen.run(policy.with_parameters(), budget, lambda news: None)


def refutations(attack: str, policy: Policy) -> list[Finding]:
    """What an attack refutes until soon after the first refutation, which a busy machine has a minute to find."""
    stop = threading.Event()
    later = threading.Timer(0.3, stop.set)

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding) and not later.ident:
            later.start()

    (chosen,) = attacks.chosen([attack])
    found = chosen.run(policy.with_parameters(), Budget(60.0, 128 << 20, stop=stop), tell)
    later.cancel()
    return [one for one in found if one.verdict == "refuted"]


@pytest.mark.parametrize("attack", ["explored", "random", "symbolic", "structural"])
def test_each_attack_refutes_a_check_that_fires(attack: str) -> None:
    refuted = refutations(attack, TURNED_ROUND)
    assert {one.claim for one in refuted} == {OWED}
    examples = [one.counterexample for one in refuted if one.counterexample is not None]
    assert {one.law for one in examples} == {"checks"}
    assert all(place(turned_round) in one.message and "+ 1 >= nr" in one.message for one in examples)


@pytest.mark.parametrize("policy", [BEFORE_THE_LOCK, OF_ONE_OWNER], ids=["before the lock", "of one owner"])
def test_the_check_of_linux_6_15_for_a_pmd_fires_before_the_lock_and_not_behind_it(policy: Policy) -> None:
    scheme = policy.with_parameters()
    program = next(one for one in programs(scheme) if one.name.startswith("a write fault, while the other unmaps by"))
    world = World(scheme, program.shape, program.setup, program.threads)
    found = Explorer(world, Options(memory=64 << 20)).run(lambda so_far: True)
    fired = [place(asks_before_the_lock) in str(one.violation) for one in found.broken]
    assert all(fired) and bool(fired) == (policy is BEFORE_THE_LOCK) and (fired or found.complete)


def test_a_check_before_the_counts_are_stable_is_refuted_by_an_interleaving(computing_time: type[Budget]) -> None:
    found = {
        one.counterexample.law: one.counterexample for one in refutations("explored", TOO_EARLY) if one.counterexample
    }
    assert {"checks"} <= found.keys() <= {"checks", "mapcount"}  # subtracting before the lock may undo another's count
    assert "another thread was here" in found["checks"].message
    assert place(too_early) in found["checks"].message
    assert not [one for one in findings("random", TOO_EARLY, computing_time(1.0)) if one.verdict == "refuted"]


@pytest.mark.parametrize("attack", ["explored", "random", "symbolic", "structural"])
def test_checks_that_hold_refute_nothing(attack: str, computing_time: type[Budget]) -> None:
    found = findings(attack, HOLDS, computing_time(0.7, 128 << 20))
    assert found and not [one for one in found if one.verdict == "refuted"]
    assert not [one for one in found if "check" in one.bound or "Assertion" in one.bound]


def test_the_solver_proves_a_check_for_any_number_of_operations() -> None:
    """One operation after the other: the check that only an interleaving refutes holds."""
    search = Search(TOO_EARLY.with_parameters(), Budget(300.0), 1, range(4, 5), lambda news: None)
    term.reset()
    proofs = Proofs(search.unrolling(OrderClass(True, (4,))), [], Budget(300.0))
    found = {proof.law: proof.within for proof in proofs.proved({(CHECKS, OWED), ("safe", "safe")})}
    assert "any number of operations" in found[CHECKS]


def counted(policy: Policy) -> dict[str, float]:
    workload = next(one for one in microbenchmarks.WORKLOADS if one.name == "munmap")
    return count(Case(workload, Setting(4, 64, 1)), policy.with_parameters(), 60.0)


def test_what_is_counted_is_without_checks() -> None:
    assert checked(HOLDS.with_parameters()) and not checked(BARE)
    assert counted(HOLDS) == counted(mm_id.POLICY)


def test_a_policy_whose_check_fires_is_not_counted() -> None:
    with pytest.raises(AssertionError):
        counted(TURNED_ROUND)


@pytest.mark.skipif(bool(native_missing()), reason="numba is missing")
def test_native_code_is_without_checks_and_compiled_quickly() -> None:
    scheme = HOLDS.with_parameters()
    assert policy_library(scheme).is_quick(calls.ENTRIES, calls.KINDS)
    assert unchecked_tree(scheme).digest(calls.remove_ptes) != policy_tree(scheme).digest(calls.remove_ptes)
    machine = Machine(TURNED_ROUND.with_parameters(), Shape(64, 2, 16, max_order=4), "native")
    for text in ("create mm=0", "populate mm=0 start=0 nr=16 order=4", "unmap mm=0 start=0 nr=16"):
        machine.apply(Operation.parse(text))


def test_a_run_ends_with_a_check_that_fires() -> None:
    watch = Watch(Machine(TURNED_ROUND.with_parameters(), Shape(16, 1, 4, max_order=2), "interpreted"))
    operations = ["create mm=0", "populate mm=0 start=0 nr=4 order=2", "unmap mm=0 start=0 nr=1"]
    broken = [one for text in operations for one in watch.apply(Operation.parse(text))]
    assert [one.law for one in broken] == ["checks"] and "checks" in LAWS
