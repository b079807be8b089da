"""Partial-order reduction: with it the search finds the same verdicts and the same quiescent states as without it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.explored import breadth_first as f
from foliolab.framework.verify.explored import derived
from foliolab.framework.verify.explored.exploration import Explorer
from foliolab.framework.verify.explored.nodes import BETWEEN_AT, WHAT
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.programs import ORDER, Program
from foliolab.framework.verify.explored.stepping import NODE_MASK
from foliolab.framework.verify.explored.world import World
from foliolab.policies import mm_id, no_page_mapcount, page_mapcount

sys.path.insert(0, str(Path(__file__).parent))
import broken
import random_policy

MOST = 40_000
"""States of a search without reduction; larger programs are left out."""


def search(scheme: Scheme, program: Program, **options: Any) -> Explorer:
    world = World(scheme, program.shape, program.setup, program.threads)
    explorer = Explorer(world, Options(memory=64 << 20, keep_on=True, **options))
    explorer.run(lambda found: found.states < MOST)
    return explorer


def quiescent(explorer: Explorer) -> set[Any]:
    """The quiescent states: how far each thread is, and everything stored."""
    words, threads = len(explorer.words), len(explorer.same)
    found = set()
    for row in explorer.state[: explorer.found.states].tolist():
        columns = [value & NODE_MASK for value in row[words : words + threads]]
        if all(int(explorer.nodes.table[node, WHAT]) >> BETWEEN_AT & 1 for node in columns):
            here = explorer.judge.boundaries(columns)
            stored = frozenset(zip(explorer.words, row[:words], strict=True))
            own = tuple((one.call, one.overlay, one.held, one.taken, one.freed) for one in here)
            found.add((stored, tuple(sorted(own, key=repr)) if explorer.found.symmetric else own))
    return found


def verdicts(explorer: Explorer) -> set[str]:
    """The laws that steps break, and all violations in quiescent states."""
    steps = {one.violation.law for one in explorer.found.broken if one.quiescent is None}
    return steps | {str(one) for judged in explorer.judge._known.values() for one in judged}


def compare(scheme: Scheme, program: Program, symmetry: bool = False) -> tuple[Explorer, Explorer] | None:
    """Search with and without; the two searches, or None if the program is impossible or too large."""
    try:
        whole = search(scheme, program, symmetry=symmetry)
    except FolioLabError:  # the set-up alone breaks a law
        return None
    if not whole.found.complete:
        return None
    less = search(scheme, program, symmetry=symmetry, reduction=True)
    assert less.found.complete
    assert verdicts(less) == verdicts(whole), program.name
    assert quiescent(less) == quiescent(whole), program.name
    assert less.found.states <= whole.found.states
    return whole, less


# -- the same verdicts and quiescent states --------------------------------------------------------------
STEPS = st.lists(st.integers(0, random_policy.STEPS - 1), max_size=4)


@st.composite
def random_schemes(draw: st.DrawFn) -> Scheme:
    """A random policy; some of its hooks do all that they do under a lock."""
    numbers = {}
    for hook in ("adds", "removes", "answers"):
        steps, lock = draw(STEPS), draw(st.sampled_from((None, random_policy.LOCK, random_policy.OTHER_LOCK)))
        numbers[hook] = random_policy.number(steps if lock is None else [lock, *steps, lock + 1])
    return random_policy.POLICY.with_parameters(numbers)


@st.composite
def random_programs(draw: st.DrawFn, schemes: st.SearchStrategy[Scheme]) -> tuple[Scheme, Program]:
    scheme = draw(schemes)
    family = draw(st.sampled_from((small_pairs, small_triples)))(scheme)
    return scheme, draw(st.sampled_from(family)).program


@cache
def small(family: Callable[[Scheme], Sequence[derived.Derived]], scheme: Scheme) -> list[derived.Derived]:
    return [one for one in family(scheme) if one.start.order == ORDER]


small_pairs, small_triples = partial(small, derived.pairs), partial(small, derived.triples)
SHIPPED = [one.with_parameters() for one in (mm_id.POLICY, no_page_mapcount.POLICY, page_mapcount.POLICY)]
OURS = [one.with_parameters() for one in (*(policy for policy, _ in broken.RACES.values()), *broken.SOUND)]


@settings(max_examples=15, database=None, deadline=None)
@given(random_programs(random_schemes()), st.booleans())
def test_a_random_policy(drawn: tuple[Scheme, Program], symmetry: bool) -> None:
    compare(*drawn, symmetry)


@settings(max_examples=15, database=None, deadline=None)
@given(random_programs(st.sampled_from([*SHIPPED, *OURS])), st.booleans())
def test_policies_that_are_right_and_wrong(drawn: tuple[Scheme, Program], symmetry: bool) -> None:
    compare(*drawn, symmetry)


def files(mms: int, nr: int, ask: bool = False) -> Program:
    """MMs that map and unmap the same pages of a file."""
    setup = [f"create mm={mm} mm_id={mm + 1}" for mm in range(mms)] + ["file_folio order=2"]
    threads = [[f"map_file mm={mm} vpn=0 pfn=0 nr={nr}", f"unmap mm={mm} start=0 nr={nr}"] for mm in range(mms)]
    threads += [["maybe_shared pfn=0"]] if ask else []
    shape = Shape(nr_pages=16, nr_mms=mms, nr_vpns=8, nr_cpus=len(threads), max_order=2)
    parse = Operation.parse
    return Program("files", shape, tuple(map(parse, setup)), tuple(tuple(map(parse, mine)) for mine in threads))


@pytest.mark.parametrize("name", ["flag not set", "locks in two orders", "counter without an atomic"])
def test_a_race_of_two_mms_and_a_reader_is_found_with_it(name: str) -> None:
    scheme = broken.RACES[name][0].with_parameters()
    both = compare(scheme, files(2, 1, "safe" in scheme.capabilities))
    assert both is not None and verdicts(both[1])


def test_a_thread_that_unlocks_what_another_has_locked_is_seen() -> None:
    """What a lock protects can be reached behind the lock only as long as nobody else unlocks it."""
    inside = [random_policy.LOCK, *random_policy.LOSES_AN_UPDATE, random_policy.LOCK + 1]
    lost: list[int] = []
    for adds in (inside, [random_policy.LOCK + 1, *inside]):
        numbers = {"adds": random_policy.number(adds)}
        both = compare(random_policy.POLICY.with_parameters(numbers), files(3, 1))
        assert both is not None
        lost.append(len(quiescent(both[1])))
    assert lost[0] < lost[1]


# -- how much less ---------------------------------------------------------------------------------------
def test_it_needs_few_states() -> None:
    both = compare(SHIPPED[0], files(2, 2, True))
    assert both is not None
    whole, less = (explorer.found for explorer in both)
    assert 5 * less.states < whole.states and less.judged == whole.judged


def test_sleep_sets_need_fewer_transitions_than_persistent_sets_alone() -> None:
    program = files(3, 1)
    alone, less = (search(SHIPPED[2], program, symmetry=False, reduction=True, sleep_sets=how) for how in (False, True))
    assert 10 * less.found.transitions < 9 * alone.found.transitions
    assert less.found.states <= alone.found.states
    assert quiescent(less) == quiescent(alone)


def test_what_sleeps_on_one_way_to_a_state_and_not_on_another_is_done_there() -> None:
    """Thread 2 wakes up in state 1, which was expanded before, and in state 2, which was not."""
    ctl = np.zeros(f.CONTROLS, np.int64)
    parent, again = (np.zeros(4, np.int64) for _ in range(2))
    ctl[f.FRONT], ctl[f.COUNT], ctl[f.NEXT_ASLEEP] = 2, 3, 0b010
    for at in (1, 2):
        parent[at] = 0b110 << f.SLEEP_SHIFT | 0b111 << f.EXPANDED_SHIFT
        f.wake(parent, again, ctl, at)
    expanded = []
    while ctl[f.AGAIN] or ctl[f.FRONT] < ctl[f.COUNT]:
        f.choose(parent, again, ctl)
        expanded.append(tuple(int(ctl[one]) for one in (f.POSITION, f.EXPANDED, f.ASLEEP)))
    assert expanded == [(1, 0b100, 0b010), (2, 0b101, 0b010)]
    f.wake(parent, again, ctl, 1)
    assert ctl[f.AGAIN] == 0, "once is enough"


def test_a_search_under_tso_or_with_a_bound_is_not_reduced() -> None:
    for options in ({"model": "tso"}, {"model": "armv8"}, {"bound": 1}):
        whole, less = (search(SHIPPED[0], files(2, 1), reduction=how, **options) for how in (False, True))
        assert not less.reduces and less.found.states == whole.found.states
