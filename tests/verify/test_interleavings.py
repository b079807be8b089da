"""Steps at once of a scenario: every interleaving, what holds in all, and the one that breaks an expectation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foliolab.framework.errors import ResultFileError, UsageError
from foliolab.framework.kernel import needs, running, sidebyside
from foliolab.framework.kernel.session import Session
from foliolab.framework.plugins.registry import load as load_registry
from foliolab.framework.report.scenario import _explored
from foliolab.framework.scenario.difference import differences
from foliolab.framework.scenario.habits import Habits
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import load, parse
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.result import ScenarioRun
from foliolab.framework.scenario.syntax import Scenario
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.interleavings import first_broken, interleavings, program
from foliolab.framework.verify.playback import confirm, play
from foliolab.policies import mm_id

REGISTRY = load_registry()
MM_ID = REGISTRY.policy("mm-id")
WRITE_AND_EXIT = parse(
    """scenario x
by mm-id
region heap: 1 x 16K pte
A: fork B
at once
  A: write heap[0] = 7 -> reused
  B: exit
end
A: expect heap[1] owners 1
A: read heap[0] -> 7
A: write heap[1] -> reused
expect copied by page-mapcount
""",
    "x.scenario",
)


def judged(scenario: Scenario, *names: str) -> tuple[ScenarioRun, ...]:
    return sidebyside.run(REGISTRY, scenario, [REGISTRY.policy(name) for name in names]).runs


@pytest.fixture(scope="module")
def runs() -> tuple[ScenarioRun, ...]:
    return judged(WRITE_AND_EXIT, "mm-id", "page-mapcount")


@pytest.fixture(scope="module")
def example(runs: tuple[ScenarioRun, ...]) -> Counterexample:
    found = first_broken(runs[0], WRITE_AND_EXIT, MM_ID, {"mm-id"})
    assert found is not None
    return found


def in_turn(scenario: Scenario, order: tuple[str, ...]) -> str:
    """What the first step at once does where the processes run one after the other."""
    first = scenario.items.index(scenario.steps[0])
    steps = {step.process: step for step in scenario.steps[1:3]}
    items = (scenario.items[first], *(steps[name] for name in order))
    records = Model(replace(scenario, items=items), MM_ID, "interpreted").run()
    return next(record.text for record in records if record.step.action == "write")


def test_every_outcome_is_found_and_played_to_the_end(runs: tuple[ScenarioRun, ...]) -> None:
    found = runs[0].interleavings
    assert found is not None and not found.bound and not found.breaches and found.states > 100
    assert {one.records[1].text for one in found.outcomes} == {"reused", "copied"}
    assert {in_turn(WRITE_AND_EXIT, order) for order in (("A", "B"), ("B", "A"))} == {"reused", "copied"}
    for one in found.outcomes:
        assert [record.text for record in one.records] == ["", one.records[1].text, "", "7", "reused"]
        assert one.records[2].views.keys() == {"A"}


def test_an_expectation_holds_only_if_it_holds_in_all(runs: tuple[ScenarioRun, ...]) -> None:
    assert [(one.line, one.expected, one.found) for one in runs[0].failures] == [(6, "reused", "copied")]
    assert runs[0].records[1].text == "copied"  # the first one that breaks it is shown
    assert not runs[1].failures and runs[1].expected == 2  # the other policy's, and the byte


def test_the_interleaving_that_breaks_it_is_a_counterexample(example: Counterexample) -> None:
    assert example.law == "expectation" and example.message == "A: write heap[0] = 7: expected reused, found copied"
    again = Counterexample.decode(example.encoded(), "x.json")
    assert again == example and confirm(again, MM_ID)
    assert not confirm(again, REGISTRY.policy("page-mapcount"))  # the scenario expects that of mm-id only
    other = replace(WRITE_AND_EXIT, policy="exact")
    assert first_broken(judged(other, "mm-id")[0], other, MM_ID, set()) is None


def test_what_belongs_together_in_its_file_is_checked(example: Counterexample) -> None:
    for old, new in (
        ('"scenario": "scenario x', '"scenario": "no scenario'),
        ('"law": "expectation"', '"law": "safe"'),
    ):
        text = example.encoded().decode().replace(old, new)
        with pytest.raises(ResultFileError, match=r"x\.json"):
            Counterexample.decode(text.encode(), "x.json")


def always(folio: object, page: object, mm: object) -> bool:
    """Reuse, whoever else maps the page."""
    return True


def test_a_policy_that_is_wrong_is_found_whatever_the_scenario_expects() -> None:
    wrong = replace(
        mm_id.POLICY, name="wrong", models=None, mutants=None, hooks=replace(mm_id.POLICY.hooks, can_reuse=always)
    )
    scheme = wrong.with_parameters()
    text = "scenario y\nregion heap: 1 x 16K pte\nA: fork B\nat once\nA: write heap[0]\nB: write heap[0]\nend\n"
    both = parse(text)
    found = interleavings(both, scheme)
    assert {one.law for one in found.breaches} == {"reuse"}
    run = ScenarioRun("wrong", found.outcomes[0].records, interleavings=found)
    example = first_broken(run, both, scheme, set())
    assert example is not None and example.law == "reuse" and confirm(example, scheme)
    assert not play(example, MM_ID).violations


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch, runs: tuple[ScenarioRun, ...]) -> None:
    assert runs[0].interleavings is not None
    some = replace(runs[0].interleavings, bound="some of those with at most 1 preemption inside of operations")
    assert "those that were explored (some of" in _explored("mm-id", some)
    monkeypatch.setattr("foliolab.framework.verify.interleavings.MEMORY", 1)
    with pytest.raises(UsageError, match="no interleaving of its steps at once ended within 20 s and 0 MiB"):
        interleavings(WRITE_AND_EXIT, MM_ID)


def test_a_scenario_is_a_program_of_the_explored_attack() -> None:
    found = program(WRITE_AND_EXIT, MM_ID)
    assert [[one.name for one in thread] for thread in found.threads] == [["write"], ["unmap", "exit"]]
    assert "copy_range parent=0 child=1 start=0 nr=4" in [one.text for one in found.setup]
    with pytest.raises(UsageError, match="no steps at once"):
        program(parse("scenario x\nregion heap: 1 x 16K\nA: exit"), MM_ID)


def test_forks_at_once_have_ids_of_their_own() -> None:
    forks = parse(
        "scenario x\nregion heap: 1 x 16K pte\nA: fork B\nat once\nA: fork C\nB: fork D\nB: exit\nend\n"
        "A: expect heap owners 3\n"
    )
    (run,) = judged(forks, "exact")
    assert not run.failures and run.interleavings is not None and len(run.interleavings.outcomes) == 1
    assert {view: record.present.sum() for view, record in run.records[-1].views.items()} == {"A": 4, "C": 4, "D": 4}


def test_steps_at_once_are_in_no_order() -> None:
    with pytest.raises(UsageError, match="which are in no order"):
        list(Model(WRITE_AND_EXIT, MM_ID, "interpreted").run())


# -- the kernel --------------------------------------------------------------------------------------
class Kernel(Session):
    """A kernel that does one outcome after the other, named by what the first step at once does."""

    name = "played"

    def __init__(self, *texts: str) -> None:
        super().__init__()
        self.texts = list(texts)
        self.outcomes = {one.records[1].text: one.records for one in interleavings(WRITE_AND_EXIT, MM_ID).outcomes}

    def habits(self, scenario: Scenario) -> Habits:
        return Habits()

    def run(self, scenario: Scenario) -> list[Record]:
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        records = [replace(record) for record in self.outcomes.get(text, self.outcomes["copied"])]
        if text == "neither":
            records[1].outcomes = ("unchanged",)
        return records


@pytest.mark.parametrize(("texts", "agrees"), [(("reused", "copied"), True), (("reused", "neither"), False)])
def test_what_the_kernel_does_is_one_of_the_outcomes(
    texts: tuple[str, ...], agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "matching", lambda registry: registry.policy("mm-id"))
    monkeypatch.setattr(needs, "missing", lambda scenario: "")
    result = sidebyside.run(REGISTRY, WRITE_AND_EXIT, [MM_ID], "both", kernel=Kernel(*texts))
    assert (result.differences == ()) is agrees
    if not agrees:
        assert result.differences[0].kernel == "unchanged"


@pytest.mark.parametrize(
    ("first", "second", "unseen"),
    [
        ("A: write heap[0]", "A: exit", {2}),
        ("A: write heap[0]", "A: munmap heap[1]", set()),
        ("A: write heap[0-1]", "T: dontneed heap[1]", {2}),
        ("A: write heap[0-1]", "T: write heap[1-2]", {2, 3}),
        ("A: pin heap[0] as p", "T: pin heap[1] as q", set()),
        ("A: write heap[0]", "B: write heap[0]", set()),
        ("A: write heap[0]", "B: migrate heap[3]", {2}),
    ],
)
def test_what_proc_cannot_tell_is_unseen(first: str, second: str, unseen: set[int]) -> None:
    text = (
        "scenario x\nregion heap: 1 x 16K pte\nA: thread T\nA: fork B\nat once\n{}\n{}\nB: vmsplice heap[3] as v\nend\n"
    )
    scenario = parse(text.format(first, second))
    assert needs.unseen(scenario) == unseen
    seen = Record(scenario.steps[2], outcomes=("unseen",))
    model = Record(scenario.steps[2], outcomes=("copied",), large=(True,))
    assert list(differences([model], [seen])) == []
    assert len(list(differences([model], [replace(seen, outcomes=("reused",))]))) == 1


# -- threads of one process, GUP-fast, migration -----------------------------------------------------
@pytest.mark.parametrize(
    ("name", "caller", "broken"),
    [
        ("at-once-threads-same-page", "fault-without-pte-same", "B: expect heap[0] kpagecount 1"),
        ("at-once-gup-and-fork", "gup-beside-forks", "9"),
        ("at-once-migrate-and-mremap", "migration-peeks", "A: expect heap[4-7] present"),
        ("at-once-migrate-and-fork", "fork-keeps-migration-writable", "copied"),
    ],
)
def test_a_public_fault_fails_the_scenario_of_its_kind(name: str, caller: str, broken: str) -> None:
    scenario = load(REGISTRY.scenarios[name])
    scheme = MM_ID.under(REGISTRY.callers[caller])
    (run,) = sidebyside.run(REGISTRY, scenario, [scheme]).runs
    assert broken in [one.expected for one in run.failures]
    example = first_broken(run, scenario, scheme, {"mm-id"})
    assert example is not None and confirm(example, scheme) and not confirm(example, MM_ID)


def test_a_pin_at_once_finds_the_page_or_a_copy() -> None:
    (run,) = judged(load(REGISTRY.scenarios["at-once-gup-and-fork"]), "mm-id")
    found = run.interleavings
    assert found is not None and {one.records[2].text for one in found.outcomes} == {"unchanged", "copied"}
    for one in found.outcomes:
        view = one.records[-1].views
        apart = view["A"].frames != view["B"].frames
        assert apart[0], "the page that is pinned is the parent's alone"
        assert one.records[2].text == "unchanged" or not apart[1:].any(), "a fork before the pin copies no page"


def test_what_threads_do_at_once_that_their_locks_do_not_order_is_refused() -> None:
    text = "scenario x\nregion heap: 1 x 16K pte, room 4\nA: thread T\nat once\nA: {}\nT: {}\nend\n"
    for one, other in (("unpin p", "write heap[0]"), ("close p", "fork B")):
        with pytest.raises(UsageError, match="holds no p"):
            parse(text.format(one, other))
    for one, other in (("migrate heap[0]", "write heap[1]"), ("dontneed heap[0]", "write heap[0]")):
        (run,) = judged(parse(text.format(one, other)), "mm-id")
        assert run.interleavings is not None and not run.interleavings.bound and not run.wrong
