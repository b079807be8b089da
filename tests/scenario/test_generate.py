"""Random, exhaustive and shrunk scenarios."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.scenario.formatter import format_scenario
from foliolab.framework.scenario.generate import Mix, all_scenarios, possible, random_scenario, shrink
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.syntax import Pages, Scenario, ScenarioStep


@given(st.integers(0, 1 << 40))
@settings(max_examples=150, deadline=None)
def test_a_random_scenario_is_possible_repeatable_and_can_be_written_down(seed: int) -> None:
    made = random_scenario(seed)
    assert made == random_scenario(seed)
    assert possible(made)
    assert parse(format_scenario(made)) == made


def test_a_mix_is_kept_to() -> None:
    mix = Mix(orders=(4,), steps=10, processes=2, actions=frozenset({"fork", "write", "exit"}))
    for seed in range(50):
        made = random_scenario(seed, mix)
        assert {step.action for step in made.steps} <= mix.actions
        assert made.regions[0].order == 4
        alive = 1
        for step in made.steps:
            alive += (step.action == "fork") - (step.action == "exit")
            assert 1 <= alive <= 2


def test_threads_and_migrations_leave_the_scenario_of_a_seed_as_it_is() -> None:
    woven = Mix(actions=Mix().actions | {"thread", "migrate"})
    seen: set[str] = set()
    for seed in range(60):
        plain, made = random_scenario(seed), random_scenario(seed, woven)
        who = made.process_of
        assert possible(made) and parse(format_scenario(made)) == made
        ends = {("exit", name) for name, process in who.items() if name != process}
        kept = [one for one in made.steps if one.action not in ("thread", "migrate")]
        kept = [replace(one, process=who[one.process]) for one in kept if (one.action, one.process) not in ends]
        assert tuple(kept) == plain.steps
        seen |= {one.action for one in made.steps if who[one.process] != one.process}
    assert {"fork", "write", "munmap", "migrate", "exit", "vmsplice", "mremap"} <= seen


def test_threads_are_left_out_where_one_is_enough() -> None:
    made = parse(
        "scenario x\nregion heap: 1 x 16K\nA: thread T\nT: thread U\nU: fork B\nT: exit\nU: munmap heap[0-2]\n"
    )
    smaller = shrink(made, lambda one: {"fork", "munmap"} <= {step.action for step in one.steps})
    assert [step.action for step in smaller.steps] == ["fork", "munmap"]


def test_a_scenario_has_no_more_steps_than_it_may() -> None:
    mix = Mix(orders=(3,), steps=8, actions=Mix().actions - {"cold"})
    lengths = [len(random_scenario(seed, mix).steps) for seed in range(200)]
    assert max(lengths) == 8 and min(lengths) >= 4


def test_random_scenarios_use_every_action_and_order() -> None:
    many = [random_scenario(seed) for seed in range(400)]
    assert {step.action for one in many for step in one.steps} == Mix().actions
    assert {one.regions[0].order for one in many} == {0, *range(2, 10)}
    assert {one.regions[0].pmd for one in many} == {True, False}


def _by_hand(depth: int) -> int:
    """Sequences of `depth` steps, counted with nothing but who lives and which of three parts each still maps."""

    def count(left: int, alive: tuple[frozenset[str], ...]) -> int:
        if left == 0:
            return 1
        total = 0
        for at, parts in enumerate(alive):
            others = (*alive[:at], *alive[at + 1 :])
            total += count(left - 1, (*alive, parts))  # fork
            if others:
                total += count(left - 1, others)  # exit
            for span in ({"first"}, {"first", "rest"}, {"rest"}):
                if span <= parts:
                    total += count(left - 1, alive)  # write
                    total += count(left - 1, (*others, parts - span))  # munmap
        return total

    return count(depth, (frozenset({"first", "rest"}),))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_exhaustive_list_is_complete_and_without_repeats(depth: int) -> None:
    made = list(all_scenarios(depth, 2))
    assert len(made) == _by_hand(depth)
    assert len({one.items for one in made}) == len(made)
    assert all(possible(one) and len(one.items) == depth for one in made)


def test_an_order_0_folio_has_one_page() -> None:
    assert all(step.pages is None or step.pages == Pages("heap", 0, 0) for s in all_scenarios(2, 0) for step in s.steps)


def test_shrinking_keeps_what_is_needed_and_nothing_else() -> None:
    made = next(
        one
        for one in map(random_scenario, range(1000))
        if [step.action for step in one.steps].count("fork") >= 3 and one.regions[0].order == 6
    )

    def two_forks(scenario: Scenario) -> bool:
        return [step.action for step in scenario.steps].count("fork") >= 2

    small = shrink(made, two_forks)
    assert [step.action for step in small.steps] == ["fork", "fork"]
    assert small.regions[0].order == 2 and small.regions[0].folios == 1 and small.regions[0].room == 0
    assert possible(small)


def test_shrinking_stops_at_its_limit() -> None:
    made = random_scenario(3)
    tried = []

    def never(scenario: Scenario) -> bool:
        tried.append(scenario)
        return False

    shrink(made, never, limit=7)
    assert len(tried) == 7


def test_an_impossible_scenario_is_none() -> None:
    made = random_scenario(5)
    assert not possible(replace(made, items=()))
    assert not possible(replace(made, items=(*made.items, ScenarioStep(process="nobody", action="exit"))))
