"""Schedules in which one thread stops once: what they find of programs with many steps, and when they are left out."""

from __future__ import annotations

from itertools import pairwise

from foliolab.framework.contract.policy import Policy
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.explored.cuts import LONG, MOST, Cuts, _spread
from foliolab.framework.verify.explored.derived import pairs
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.programs import Program
from foliolab.framework.verify.explored.search import Means, Outcome, Searcher, Task
from foliolab.framework.verify.explored.world import World
from foliolab.policies import estimated_sharers, mm_id

START = "an anonymous folio of 2 MiB shared by fork: one MM maps it by a PMD, one in part"
MEANS = Means("explored", "sc", False, (1,), 10)


def split_beside_unmap(policy: Policy) -> Program:
    """An MM splits its PMD, while another one unmaps a page."""
    every = pairs(policy.with_parameters())
    kinds = ("split the PMD", "unmap a part")
    return next(one.program for one in every if one.start.name == START and one.kinds == kinds)


def searched(policy: Policy, program: Program) -> Outcome:
    """The first search of a program."""
    searcher = Searcher(policy.with_parameters(), MEANS, Budget(60.0), lambda task: program, lambda news: None)
    return searcher.search(Task("pairs", 0, 60.0))


def test_a_thread_with_few_steps_is_stopped_first() -> None:
    """The other one takes more than 500 steps: all interleavings are too many, and one stop is enough."""
    program = split_beside_unmap(estimated_sharers.POLICY)
    found = searched(estimated_sharers.POLICY, program)
    assert found.ended == "broken"
    assert {example.law for example, _ in found.examples} >= {"statistics"}
    assert found.schedules == 0, "they are not by chance"
    assert found.states < 200


def test_threads_with_few_steps_are_searched_exhaustively_at_once() -> None:
    program = split_beside_unmap(mm_id.POLICY)
    scheme = mm_id.POLICY.with_parameters()
    cuts = Cuts(World(scheme, program.shape, program.setup, program.threads), Options())
    assert cuts.run(lambda _: True).states == 1
    assert 0 < sum(cuts.steps) <= LONG
    assert not cuts.is_long
    found = Searcher(scheme, MEANS, Budget(60.0), lambda task: program, lambda news: None).search(
        Task("pairs", 0, 60.0)
    )
    assert found.states > 1
    assert found.ended in ("complete", "broken")


def test_a_thread_is_stopped_at_each_of_its_steps_or_at_some_in_equal_distances() -> None:
    assert _spread(1) == []
    assert _spread(4) == [1, 2, 3]
    many = _spread(1000)
    assert len(many) == MOST
    assert many[0] == 1
    assert max(many) < 1000
    assert {b - a for a, b in pairwise(many)} <= {31, 32}
