"""Partial-order reduction: with it the search finds the same verdicts and the same quiescent states as without it."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.explored import derived
from foliolab.framework.verify.explored.exploration import Explorer, Options
from foliolab.framework.verify.explored.nodes import BETWEEN_AT, WHAT
from foliolab.framework.verify.explored.programs import ORDER, Program, programs
from foliolab.framework.verify.explored.stepping import NODE_MASK
from foliolab.framework.verify.explored.witness import counterexample
from foliolab.framework.verify.explored.world import World
from foliolab.policies import mm_id, no_page_mapcount, page_mapcount, rmap_id

sys.path.insert(0, str(Path(__file__).parent))
import broken
import random_policy

MOST = 150_000
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


if __name__ == "__main__":
    # a longer comparison than the suite has time for: python tests/verify/explored/test_reduction.py SEED COUNT
    choose = random.Random(int(sys.argv[1]))
    policies = [one[0] for one in broken.RACES.values()] + [*broken.SOUND, no_page_mapcount.POLICY]
    total = [0, 0, 0]
    for _ in range(int(sys.argv[2])):
        if choose.random() < 0.5:
            numbers = []
            for _ in "abc":
                steps = [choose.randrange(12) for _ in range(choose.randint(0, 4))]
                lock = choose.choice((0, 0, 4, 6))
                numbers.append(random_policy.number([lock, *steps, lock + 1] if lock else steps))
            scheme = random_policy.POLICY.with_parameters(dict(zip(("adds", "removes", "answers"), numbers)))
        else:
            scheme = choose.choice(policies).with_parameters()
        family = derived.pairs(scheme) if choose.random() < 0.6 else derived.triples(scheme)
        if choose.random() < 0.15:
            family = list(programs(scheme))
            family = [p for p in family if len(p.threads) < 4 and p.shape.max_order == ORDER]
        one = choose.choice(family)
        while isinstance(one, derived.Derived) and one.start.order != ORDER:
            one = choose.choice(family)
        try:
            both = compare(scheme, one.program if isinstance(one, derived.Derived) else one, choose.random() < 0.5)
        except Exception as e:
            print(
                "DIFFERS",
                scheme.name,
                scheme.parameters if hasattr(scheme, "parameters") else "",
                getattr(one, "program", one).name,
                repr(e)[:300],
            )
            continue
        total[0] += 1
        if both:
            total[1] += both[0].found.states
            total[2] += both[1].found.states
    print(total)
