"""The search of small worlds: its violations, its numbers of states, and that the engine reaches every final state."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine import entrypoints
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import UsageError
from foliolab.framework.verify.explored.exploration import Explorer, explore
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.result import Exploration
from foliolab.framework.verify.explored.walker import Walker
from foliolab.framework.verify.explored.witness import counterexample
from foliolab.framework.verify.explored.world import World
from foliolab.framework.verify.playback import confirm, counted, play
from foliolab.framework.verify.scheduler import Scheduler
from foliolab.policies import mm_id, page_mapcount, rmap_id

sys.path.insert(0, str(Path(__file__).parent))
import broken

Texts = Sequence[Sequence[str]]
Program = tuple[Shape, list[Operation], list[list[Operation]]]


def files(mms: int, nr: int = 1, ask: bool = False) -> Program:
    """MMs that map and unmap the same pages of a file."""
    setup = [f"create mm={mm} mm_id={mm + 1}" for mm in range(mms)] + ["file_folio order=2"]
    threads = [[f"map_file mm={mm} vpn=0 pfn=0 nr={nr}", f"unmap mm={mm} start=0 nr={nr}"] for mm in range(mms)]
    threads += [["maybe_shared pfn=0"]] if ask else []
    return world_of(mms, setup, threads)


def world_of(mms: int, setup: Sequence[str], threads: Texts) -> Program:
    shape = Shape(nr_pages=16, nr_mms=mms, nr_vpns=8, nr_cpus=len(threads), max_order=2)
    return shape, [Operation.parse(text) for text in setup], [[Operation.parse(t) for t in mine] for mine in threads]


def run(policy: Policy, world: Program, **options: Any) -> Exploration:
    return explore(policy.with_parameters(), *world, options=Options(memory=64 << 20, **options))


def laws(found: Exploration) -> set[str]:
    return {one.violation.law for one in found.broken}


# -- against the engine ----------------------------------------------------------------------------------
def final_words(explorer: Explorer) -> set[tuple[int, ...]]:
    """The shared words of every state in which all threads have ended."""
    from foliolab.framework.verify.explored.nodes import WHAT
    from foliolab.framework.verify.explored.stepping import NODE_MASK
    from foliolab.framework.verify.explored.steps import DONE

    words, threads = len(explorer.words), len(explorer.same)
    rows = explorer.state[: explorer.found.states]
    found = set()
    for row in rows.tolist():
        nodes = [value & NODE_MASK for value in row[words : words + threads]]
        if all(int(explorer.nodes.table[node, WHAT]) & 0xFF == DONE for node in nodes):
            found.add(tuple(row[:words]))
    return found


def random_run(world: World, seed: int) -> Machine:
    """The interpreted engine under a random schedule of accesses."""
    machine = Machine(world.scheme, world.shape, "interpreted")
    for operation in world.setup:
        machine.apply(operation)
    scheduler = Scheduler(machine.vm, counted(machine, world.folio), "sc")
    held = [0]

    def thread(number: int) -> None:
        for operation in world.operations[number]:
            machine.cpu = number
            for function, numbers in machine.bind_operation(operation).entries:
                memories = [machine.vm, machine.contents][: entrypoints.ENTRY_POINTS[function].count("m")]
                function(*memories, *numbers)

    choose = random.Random(seed)
    try:
        scheduler.start([partial(thread, number) for number in range(len(world.operations))])
        waiting = list(range(len(world.operations)))
        while waiting and held[0] < 5000:
            one = choose.choice(waiting)
            scheduler.advance(one, choose.choice((1, 1, 1, 2, 5, 20)))
            waiting = [t for t in waiting if t not in scheduler.done]
            held[0] += 1
    finally:
        scheduler.close()
    assert not waiting
    return machine if not scheduler.faults else random_run(world, seed + 1000)  # it met a lock that was held


@pytest.mark.parametrize("policy", [page_mapcount.POLICY, mm_id.POLICY, broken.COUNTS_PLAINLY], ids=lambda p: p.name)
def test_what_the_engine_reaches_was_explored(policy: Policy) -> None:
    world = World(policy.with_parameters(), *files(2, nr=2))
    explorer = Explorer(world, Options(memory=64 << 20, symmetry=False, keep_on=True))
    found = explorer.run(lambda _: True)
    assert found.complete or found.broken
    finals = final_words(explorer)
    reached = set()
    for seed in range(25):
        machine = random_run(world, seed)
        reached.add(tuple(machine.vm.raw["q"][word] for word in explorer.words))
    assert reached <= finals


def test_a_lost_update_is_among_the_final_states() -> None:
    world = World(broken.COUNTS_PLAINLY.with_parameters(), *files(2))
    explorer = Explorer(world, Options(memory=64 << 20, symmetry=False, keep_on=True))
    explorer.run(lambda _: True)
    assert len(final_words(explorer)) > 1  # with the mapcount right, and with it wrong


# -- what holds ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("policy", broken.SOUND, ids=lambda p: p.name)
def test_a_sound_policy_is_explored_completely(policy: Policy) -> None:
    found = run(policy, files(2, ask="safe" in policy.with_parameters().capabilities))
    assert found.complete and not found.broken and found.judged


def test_three_threads_of_the_merged_scheme() -> None:
    found = run(mm_id.POLICY, files(3))
    assert found.complete and not found.broken
    assert found.states > 10_000 and found.transitions > found.states and found.depth > 50


def test_interchangeable_threads_are_one_state() -> None:
    whole = run(page_mapcount.POLICY, files(3, nr=2), symmetry=False)
    less = run(page_mapcount.POLICY, files(3, nr=2))
    assert whole.complete and less.complete and less.symmetric and not whole.symmetric
    assert whole.states / 6.5 < less.states < whole.states / 5
    assert whole.depth == less.depth


def test_threads_whose_text_asks_for_the_id_are_not_interchangeable() -> None:
    assert not run(mm_id.POLICY, files(2)).symmetric


def test_symmetry_loses_no_fault() -> None:
    for symmetry in (True, False):
        found = run(broken.COUNTS_PLAINLY, files(3), symmetry=symmetry)
        example = counterexample(found, found.broken[0], "explored", "sc")
        assert example is not None and example.law == "mapcount"


# -- what does not ---------------------------------------------------------------------------------------
def test_the_shortest_counterexample_of_a_lost_update() -> None:
    found = run(broken.COUNTS_PLAINLY, files(2))
    assert laws(found) == {"mapcount"}
    example = counterexample(found, found.broken[0], "explored", "sc")
    assert example is not None
    assert example.threads == [["map_file mm=0 vpn=0 pfn=0 nr=1"], ["map_file mm=1 vpn=0 pfn=0 nr=1"]]
    assert len(example.turns) <= 4  # one thread's load and store around the other's
    assert any(one.law == "mapcount" for one in play(example, broken.COUNTS_PLAINLY.with_parameters()).violations)


def test_locks_in_two_orders_are_a_deadlock() -> None:
    found = run(broken.ORDER_OF_LOCKS, files(2))
    assert laws(found) == {"deadlock"}
    example = counterexample(found, found.broken[0], "explored", "sc")
    assert example is not None and example.law == "deadlock"


def test_two_of_three_mms_that_a_reader_misses() -> None:
    policy = broken.RACES["flag not set"][0]
    found = run(policy, files(2, ask=True))
    example = counterexample(found, found.broken[0], "explored", "sc")
    assert example is not None and (example.law, example.claim) == ("safe", "safe")


def test_a_preemption_bound_sees_less_and_finds_what_needs_no_more() -> None:
    whole = run(mm_id.POLICY, files(2))
    assert run(mm_id.POLICY, files(2), bound=0).states < run(mm_id.POLICY, files(2), bound=1).states < 3 * whole.states
    assert not run(broken.COUNTS_PLAINLY, files(2), bound=0).broken
    assert run(broken.COUNTS_PLAINLY, files(2), bound=1).broken


def test_random_schedules_find_a_race() -> None:
    scheme = broken.RACES["read before the lock"][0].with_parameters()
    walker = Walker(World(scheme, *files(3)), Options(), seed=3, most=5000)
    found = walker.run(lambda _: True)
    assert found.broken and found.states < 5000
    assert counterexample(found, found.broken[0], "explored", "sc") is not None


def test_random_schedules_of_a_sound_policy_find_nothing() -> None:
    found = Walker(World(mm_id.POLICY.with_parameters(), *files(3)), Options(), seed=1, most=3000).run(lambda _: True)
    assert not found.broken and found.states == 3000


def test_mms_that_no_thread_uses_are_counted() -> None:
    setup = [f"create mm={mm} mm_id={mm + 1}" for mm in range(3)]
    setup += ["file_folio order=2", *(f"map_file mm={mm} vpn=0 pfn=0 nr=1" for mm in (0, 1))]
    world = world_of(3, setup, [["map_file mm=2 vpn=0 pfn=0 nr=1"], ["maybe_shared pfn=0"]])
    found = run(broken.NEVER_SHARED, world)
    assert laws(found) == {"safe"} and not run(mm_id.POLICY, world).broken
    example = counterexample(found, found.broken[0], "explored", "sc")
    assert example is not None and example.law == "safe"


def test_a_lost_lock_is_no_deadlock() -> None:
    policy, _ = broken.RACES["lost unlock on one path"]
    shared = ["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"]
    world = world_of(2, shared, [["write mm=0 start=0"], ["unmap mm=1 start=0 nr=4"]])
    found = run(policy, world)
    assert laws(found) == {"lost-lock"}
    example = counterexample(found, found.broken[0], "explored", "sc")
    assert example is not None and example.law == "lost-lock"
    assert [one.law for one in play(example, policy.with_parameters()).violations] == ["lost-lock"]


# -- store buffers ---------------------------------------------------------------------------------------
def test_a_forgotten_barrier_shows_with_store_buffers_only() -> None:
    assert run(broken.PETERSON_WITHOUT_BARRIER, files(2)).complete
    found = run(broken.PETERSON_WITHOUT_BARRIER, files(2), model="tso")
    assert laws(found) == {"mapcount"}
    example = counterexample(found, found.broken[0], "explored", "tso")
    assert example is not None and example.memory_model == "tso" and "!" in example.schedule
    assert not confirm(example, broken.PETERSON.with_parameters()), "smp_mb empties the buffer when it is played"


@pytest.mark.parametrize("policy", [broken.PETERSON, broken.OWN_SPIN_LOCK, mm_id.POLICY], ids=lambda p: p.name)
def test_sound_policies_hold_with_store_buffers(policy: Policy) -> None:
    found = run(policy, files(2, ask=policy is mm_id.POLICY), model="tso")
    assert found.complete and not found.broken


# -- limits ----------------------------------------------------------------------------------------------
def test_memory_is_bounded() -> None:
    found = explore(mm_id.POLICY.with_parameters(), *files(3), options=Options(memory=1 << 20))
    assert not found.complete and found.stopped == "memory" and found.states > 1000


def test_whoever_watches_can_end_it() -> None:
    looks: list[int] = []

    def never(found: Exploration) -> bool:
        looks.append(found.states)
        return False

    found = explore(rmap_id.POLICY.with_parameters(), *files(3), keep_going=never)
    assert found.stopped == "time" and len(looks) == 1


@pytest.mark.parametrize(
    ("policy", "law", "line"),
    [(broken.ENDLESS, "termination", "broken.py"), (broken.RECURSIVE, "termination", "broken.py")],
    ids=lambda p: getattr(p, "name", ""),
)
def test_a_policy_that_does_not_end_is_named(policy: Policy, law: str, line: str) -> None:
    scheme = policy.with_parameters()
    shape, setup, threads = files(2)
    found = explore(scheme, shape, setup, [mine[:1] for mine in threads])
    assert laws(found) == {law}
    assert line in str(found.broken[0].violation)


def test_a_policy_that_fails_is_named() -> None:
    shape, setup, threads = files(2)
    found = explore(broken.FAILING.with_parameters(), shape, setup, [mine[:1] for mine in threads])
    assert laws(found) == {"checks"}
    assert re.search(r"the check at \S+broken\.py:\d+ fires: assert nr < 0", str(found.broken[0].violation))


def test_five_threads_are_too_many() -> None:
    with pytest.raises(UsageError, match="5 threads"):
        run(mm_id.POLICY, files(5))


def test_nothing_here_knows_a_policy() -> None:
    import foliolab.framework.verify.explored as room

    text = "".join(file.read_text() for file in Path(str(room.__file__)).parent.glob("*.py"))
    for name in ("mm_id_mapcount", "_mm_ids", "rmap_val", "mm-id", "page-mapcount`", "_large_mapcount", "policies."):
        assert name not in text
