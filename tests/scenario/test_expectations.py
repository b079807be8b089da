"""Expectations: which concern which run, and how one that fails is told."""

from __future__ import annotations

import pytest

from foliolab.framework.plugins.registry import Registry
from foliolab.framework.plugins.registry import load as load_registry
from foliolab.framework.scenario.expectations import Failure, count, failures, policies_of
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.record import Record, View
from foliolab.framework.scenario.syntax import Scenario

TEXT = """\
scenario x
by mm-id
region heap: 1 x 16K pte, room 4
A: fork B
A: expect heap[0-3] owners {owners}
A: expect heap[0-3] mapcount {mapcount}
A: expect heap[0] kpagecount {kpagecount}
A: expect heap[0] {verdict}
A: expect heap[4] {presence}
A: write heap[0] -> {outcome}
expect {other} by exact
B: read heap[0-3] -> {byte}
"""
RIGHT = {
    "owners": "2", "mapcount": "8", "kpagecount": "2", "verdict": "shared", "presence": "absent",
    "outcome": "copied", "other": "copied", "byte": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def run(registry: Registry, scenario: Scenario, policy: str = "mm-id") -> list[Record]:
    return list(Model(scenario, registry.policy(policy), verdicts=True).run())


def test_they_hold(registry: Registry) -> None:
    scenario = parse(TEXT.format(**RIGHT))
    assert policies_of(scenario) == ("mm-id", "exact")
    assert list(failures(scenario, run(registry, scenario), {"mm-id"})) == []
    assert list(failures(scenario, run(registry, scenario, "exact"), {"exact"})) == []
    assert count(scenario, {"mm-id"}) == 7
    assert count(scenario, {"exact"}) == 2  # the byte that is read holds for every policy
    assert count(scenario, {"mm-id"}, kernel=True) == 4


@pytest.mark.parametrize(
    ("changed", "value", "failure"),
    [
        ("owners", "1", Failure(5, "A: expect heap[0-3] owners 1", "2", "A: fork B")),
        ("mapcount", "4", Failure(6, "A: expect heap[0-3] mapcount 4", "8", "A: fork B")),
        ("kpagecount", "1", Failure(7, "A: expect heap[0] kpagecount 1", "2", "A: fork B")),
        ("verdict", "exclusive", Failure(8, "A: expect heap[0] exclusive", "shared", "A: fork B")),
        ("presence", "present", Failure(9, "A: expect heap[4] present", "absent", "A: fork B")),
        ("outcome", "reused", Failure(10, "reused", "copied", "A: write heap[0]")),
        ("byte", "2", Failure(12, "2", "1", "B: read heap[0-3]")),
    ],
)
def test_what_fails_is_told_with_its_line(registry: Registry, changed: str, value: str, failure: Failure) -> None:
    scenario = parse(TEXT.format(**RIGHT | {changed: value}))
    assert list(failures(scenario, run(registry, scenario), {"mm-id"})) == [failure]


def test_those_of_another_policy_are_not_looked_at(registry: Registry) -> None:
    scenario = parse(TEXT.format(**RIGHT | {"other": "reused"}))
    assert list(failures(scenario, run(registry, scenario), {"mm-id"})) == []
    (failure,) = failures(scenario, run(registry, scenario, "exact"), {"exact"})
    assert (failure.line, failure.expected, failure.found) == (11, "reused", "copied")


def test_those_of_no_policy_concern_every_run(registry: Registry) -> None:
    scenario = parse(TEXT.format(**RIGHT | {"outcome": "reused"}).replace("by mm-id\n", ""))
    for policy, of in (("mm-id", set[str]()), ("page-mapcount", {"page-mapcount"})):
        (failure,) = failures(scenario, run(registry, scenario, policy), of)
        assert failure.line == 9


def test_pages_that_differ_are_all_told(registry: Registry) -> None:
    scenario = parse(
        "scenario x\nregion heap: 1 x 16K pte\nregion small: 2 x 4K\nA: fork B\nB: munmap heap[1]\n"
        "A: write small[0]\nA: expect heap kpagecount 2\nA: expect small shared\nA: expect small present\n"
        "A: expect small owners 2\nA: write small -> reused\n"
    )
    found = [(one.line, one.found) for one in failures(scenario, run(registry, scenario), ())]
    assert found == [(7, "1, 2"), (8, "exclusive, shared"), (10, "1, 2"), (11, "1 unchanged, 1 copied")]


def test_an_interrupted_run_is_judged_as_far_as_it_got(registry: Registry) -> None:
    scenario = parse(TEXT.format(**RIGHT | {"owners": "1", "outcome": "reused"}))
    records = run(registry, scenario)
    assert [one.line for one in failures(scenario, records[:1], {"mm-id"})] == [5]
    assert list(failures(scenario, [], {"mm-id"})) == []


def test_the_kernel_is_not_asked_what_it_cannot_tell(registry: Registry) -> None:
    wrong = {"owners": "7", "mapcount": "7", "verdict": "exclusive"}
    scenario = parse(TEXT.format(**RIGHT | wrong))
    records = run(registry, scenario)
    for record in records:  # as the kernel's: no folios, no verdicts
        record.views = {
            n: View(v.frames, v.counts, v.exclusive, v.pmd, v.anon_exclusive) for n, v in record.views.items()
        }
        record.verdicts = ()
    assert list(failures(scenario, records, {"mm-id"})) == []
    scenario = parse(TEXT.format(**RIGHT | wrong | {"kpagecount": "7"}))
    assert [one.line for one in failures(scenario, records, {"mm-id"})] == [7]
    for record in records:
        record.hidden = True
    assert list(failures(scenario, records, {"mm-id"})) == []
