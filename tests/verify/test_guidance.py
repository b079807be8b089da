"""What guides the random attack: its coverage is true, prefixes go on where they ended, and the seed decides all."""

from __future__ import annotations

import io
from dataclasses import replace
from random import Random as Numbers
from typing import Any

import msgspec
import numpy as np
import pytest

from foliolab.framework.api import atomic_read
from foliolab.framework.contract.policy import Policy, Scheme
from foliolab.framework.engine.operation import Operation
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.report.verify import MOST_UNTAKEN, render
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.finding import Finding, Reached, Untaken
from foliolab.framework.verify.random_operations.attack import Random
from foliolab.framework.verify.random_operations.sequence import RandomSequence, Scene, scenes
from foliolab.framework.verify.verifier import Verification
from foliolab.policies import mm_id

MM_ID = mm_id.POLICY.with_parameters()
POPULATE = "populate mm=0 start=0 nr=4 order=2"


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    """As in mm-id, with a branch that nothing can take: there are no folios of so many pages."""
    if atomic_read(folio._large_mapcount) > 1 << 30:
        return 0, False
    return mm_id.remove_ptes(folio, page, nr, mm)


def with_hooks(**hooks: Any) -> Scheme:
    policy: Policy = replace(mm_id.POLICY, name="mine", models=None, mutants=None)
    return replace(policy, hooks=replace(policy.hooks, **hooks)).with_parameters()


class Polls:
    """A stop event that is set after a number of polls."""

    def __init__(self, left: int) -> None:
        self.left = left

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def attacked(scheme: Scheme, polls: int, seed: int = 1) -> list[Finding]:
    return Random().run(scheme, Budget(3600, seed=seed, stop=Polls(polls)), lambda news: None)


def reached(found: list[Finding]) -> Reached:
    (one,) = [finding.reached for finding in found if finding.reached is not None]
    return one


def test_the_seed_decides_all() -> None:
    one, same, other = (attacked(MM_ID, 700, seed) for seed in (7, 7, 8))
    assert [finding.bound for finding in one] == [finding.bound for finding in same]
    assert reached(one) == reached(same)
    assert one[0].bound != other[0].bound


def test_no_scene_starves() -> None:
    """After a thousand operations every scene but that of the largest folios has had its turn."""
    found = attacked(MM_ID, 2500)
    assert "up to 8 MMs" in found[0].bound
    assert "folios of orders 1, 2, 3, 4, 9;" in found[0].bound


def test_a_branch_that_cannot_be_taken_is_told_with_its_line() -> None:
    found = attacked(with_hooks(remove_ptes=remove_ptes), 1500)
    coverage = reached(found)
    line = remove_ptes.__code__.co_firstlineno + 2
    assert [(one.line, one.never, one.nested) for one in coverage.untaken if one.file == __file__] == [
        (line, "the condition is never true", False)
    ]
    assert coverage.branches == coverage.taken + len(coverage.untaken)
    assert f"branches {coverage.taken} of {coverage.branches}, field states {coverage.states:,}" in found[0].bound
    assert found[0].within.endswith(f"field states {coverage.states:,}")


def sequence_of(scene: Scene, scheme: Scheme) -> RandomSequence:
    return RandomSequence(scene.machine(scheme), scene, lambda: False)


@pytest.mark.parametrize("which", [0, 1], ids=["small", "pmd"])
def test_who_goes_on_behind_a_prefix_is_where_it_ended(which: int) -> None:
    scene = scenes(MM_ID)[which]
    first, numbers = sequence_of(scene, MM_ID), Numbers(which)
    fresh = first.machine.snapshot()
    kinds = scene.kinds(MM_ID)
    first.step("create", (0, 0, 0, 0))
    for _ in range(60):
        below = numbers.randrange
        first.step(numbers.choice(kinds), (below(99), below(16), below(16), below(16)))
    prefix = first.prefix(fresh)
    second = sequence_of(scene, MM_ID)
    second.begin(prefix, fresh)
    assert np.array_equal(first.machine.vm.buffer, second.machine.vm.buffer)
    for sequence in (first, second):
        sequence.finish()
    assert first.done == second.done
    assert first.breaches == second.breaches == {}
    assert np.array_equal(first.machine.vm.buffer, second.machine.vm.buffer)
    assert first.watch.memory().partial == second.watch.memory().partial


def test_a_repeated_sequence_releases_only_what_it_holds() -> None:
    sequence = sequence_of(scenes(MM_ID)[0], MM_ID)
    for text in (
        "create mm=0",
        "populate mm=0 start=0 nr=4 order=2",
        "pin mm=0 vpn=1",
        "put_user pfn=1",
        "unpin pfn=2",
    ):
        sequence.repeat(Operation.parse(text))
    assert [one.name for one in sequence.done] == ["create", "populate", "pin"]
    sequence.repeat(Operation.parse("unpin pfn=1"))
    sequence.repeat(Operation.parse("fork parent=3 child=1"))  # there is no such MM
    assert [one.name for one in sequence.done][3:] == ["unpin"]
    assert sequence.breaches == {}


def test_the_report_lists_the_outermost_branches_and_counts_all() -> None:
    text = "/somewhere/mine.py"
    inner = Untaken(text, 12, "the condition is never true", nested=True)
    many = [Untaken(text, 20 + at, "the condition is never false") for at in range(MOST_UNTAKEN)]
    coverage = Reached(40, 26, 99, [Untaken(text, 10, "never called"), inner, *many])
    finding = Finding("random", "", "held", "1 operation", states=1, reached=coverage)
    verification = Verification(
        policy="mine", digest="0", claims=[], findings=[finding], interrupted=False, seconds=1.0, started="2026-11-30"
    )
    render(verification, [], TerminalPage(file := io.StringIO()))
    said = file.getvalue()
    assert "never taken: 14 branches of the policy's text" in said
    assert "mine.py: 10 (never called), 20 (the condition is never false)" in said
    assert "12 (the condition" not in said, "it lies in what was never called"
    assert "and 1 more; --json writes all of them" in said
    assert text not in said
    assert msgspec.json.decode(msgspec.json.encode(verification), type=Verification) == verification
