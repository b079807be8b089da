"""Sources of moments under policies: what differs from the truth, what breaks, what is interrupted, and the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foliolab.framework.consequences.result import ConsequencesResult, PolicyOutcome, total, totals
from foliolab.framework.consequences.session import ConsequencesRequest, exit_code, follow
from foliolab.framework.consequences.sources import FromPattern, FromScenarios, FromWorkload, MomentSource, usage_for
from foliolab.framework.consequences.tally import Tally
from foliolab.framework.consequences.watched_machine import WITHOUT_LOOK
from foliolab.framework.contract.policy import Policy
from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.contract.workload import Setting, Workload
from foliolab.framework.engine.engine import Execution, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import OPERATIONS
from foliolab.framework.errors import ExitCode, ResultFileError
from foliolab.framework.scenario.generate import Mix, random_scenario
from foliolab.framework.scenario.parser import load
from foliolab.policies import mm_id
from foliolab.policies.askers.linux import ASKERS

FAST: Execution = "interpreted" if native_missing() else "native"


def outcomes(source: MomentSource, *schemes: Any, execution: Execution = FAST) -> list[PolicyOutcome]:
    [found] = follow(ConsequencesRequest([source], schemes, ASKERS, execution=execution)).sources
    assert found.name == source.name
    return found.outcomes


def same_as_truth(outcome: PolicyOutcome) -> bool:
    decided = all(not one.held_back and not one.risked for one in outcome.decisions)
    queue = outcome.partial
    shown = all(not one.largest for one in outcome.figures)
    return decided and shown and not (queue.late or queue.missed or queue.needless)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_the_truth_as_a_policy_differs_nowhere_from_the_truth(found: Any, seed: int) -> None:
    scenario = random_scenario(seed, Mix(orders=(2, 3, 4, 9), steps=14, actions=Mix().actions | {"pageout"}))
    [outcome] = outcomes(FromScenarios("random", "", [scenario]), found.policy("exact"))
    assert not outcome.stopped
    assert outcome.moments == len(scenario.steps)
    assert same_as_truth(outcome)


def test_every_pattern_and_program_that_ships(found: Any) -> None:
    sources: list[MomentSource] = [FromPattern(one, usage_for(4), moments=20) for one in found.patterns.values()]
    sources += [FromWorkload(one, 4) for one in found.workloads.values() if one.program]
    for source in sources:
        exact, slots = outcomes(source, found.policy("exact"), found.policy("mm-id"))
        assert not exact.stopped and not slots.stopped
        assert exact.moments >= 10 and slots.moments >= 10
        assert same_as_truth(exact)
        assert all(not one.risked for one in slots.decisions)
        assert all(not one.largest for one in slots.figures)  # it keeps page mapcounts


def test_a_scenario_counts_what_differs(found: Any) -> None:
    scenario = load(found.scenario("third-stays"))
    [outcome] = outcomes(FromScenarios("third-stays", "", [scenario]), found.policy("mm-id"), execution="interpreted")
    by_name = {one.name: one for one in outcome.decisions}
    assert by_name["migrate"].held_back == 2  # once B has gone, and after C's first write; the last one frees it
    assert by_name["migrate"].first_held_back.startswith("third-stays, B: exit: MM 2, folio ")
    assert by_name["khugepaged"].asked == 0


@pytest.mark.skipif(FAST == "interpreted", reason="numba cannot be imported")
def test_native_is_interpreted(found: Any) -> None:
    sources: list[MomentSource] = [
        FromPattern(found.patterns["shared-library"], Usage(3, 4, 3), moments=30),
        FromScenarios("two", "", [random_scenario(seed, Mix(orders=(3,), steps=10)) for seed in (1, 2)]),
    ]
    for source in sources:
        for policy in ("mm-id", "no-page-mapcount"):
            [native] = outcomes(source, found.policy(policy))
            [interpreted] = outcomes(source, found.policy(policy), execution="interpreted")
            assert native == interpreted


# -- workloads: every operation of a preparation is looked at --------------------------------------------
def test_a_workload_is_watched_operation_by_operation(found: Any) -> None:
    def prepare(machine: Machine, setting: Setting) -> Any:
        machine.create(0)
        machine.populate(0, 0, setting.nr_pages, setting.order)
        machine.scratch()[:] = 7
        machine.fork(0, 1)
        machine.write(1, 0, 16)
        assert (machine.scratch() == 7).all(), "the looks used the workload's memory"
        return machine.bind("unmap", 1, 0, setting.nr_pages)

    seen: list[str] = []

    class Seen(Tally):
        def look(self, machine: Machine, where: str) -> None:
            seen.append(where)

    workload = Workload(name="seen", summary="x", prepare=prepare, frames=3)
    FromWorkload(workload, 4).run(Seen(found.policy("mm-id"), ()), "interpreted")
    writes = [f"MM 1 writes pages {page} to {page + 1}" for page in range(0, 16, 2)]
    populates = "MM 0 faults in pages 0 to 511, in folios of 64 KiB"
    assert seen == [populates, "MM 0 forks MM 1", *writes, "MM 1 unmaps pages 0 to 511"]


def test_operations_without_a_look_are_operations() -> None:
    assert OPERATIONS.keys() > WITHOUT_LOOK


def test_a_size_that_a_workload_is_not_made_for(found: Any) -> None:
    assert FromWorkload(found.workload("huge-library"), 4).size == 2048
    assert FromWorkload(found.workload("zygote"), 4).size == 64


# -- what goes wrong ----------------------------------------------------------------------------------
def failing(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    return nr // (nr - nr), False


def always_exclusive(folio: Any) -> bool:
    return False


def variant(name: str, **hooks: Any) -> Policy:
    return replace(mm_id.POLICY, name=name, hooks=replace(mm_id.POLICY.hooks, **hooks), mutants=None, models=None)


def test_a_policy_that_raises_stops_alone(found: Any) -> None:
    broken = variant("broken", remove_ptes=failing).with_parameters()
    scenario = load(found.scenario("third-stays"))
    source = FromScenarios("third-stays", "", [scenario])
    request = ConsequencesRequest([source], [broken, found.policy("exact")], ASKERS, execution="interpreted")
    result = follow(request)
    first, second = result.sources[0].outcomes
    assert first.moments == 2  # the forks
    assert "ZeroDivisionError" in first.stopped and "test_session.py:" in first.stopped
    assert second.moments == len(scenario.steps) and not second.stopped
    assert exit_code(result) == ExitCode.PLUGIN_FAILED


def test_a_claim_to_be_safe_is_held_against_what_is_done(found: Any) -> None:
    unsafe = variant("unsafe", maybe_mapped_shared=always_exclusive)
    source = FromScenarios("third-stays", "", [load(found.scenario("third-stays"))])
    for claims, code in ((unsafe.capabilities, ExitCode.COMPARISON_FAILED), (frozenset(), ExitCode.GOOD)):
        scheme = replace(unsafe, capabilities=claims, capabilities_of=None).with_parameters()
        result = follow(ConsequencesRequest([source], [scheme], ASKERS, execution="interpreted"))
        by_name = {one.name: one for one in result.sources[0].outcomes[0].decisions}
        assert by_name["migrate"].risked and by_name["migrate"].first_risked
        assert exit_code(result) == code


def too_many(processes: Any, usage: Usage) -> None:
    for _ in range(usage.mms + 1):
        processes.start()


def unborn(processes: Any, usage: Usage) -> None:
    processes.write(5, 0)


def beyond(processes: Any, usage: Usage) -> None:
    processes.map_file(processes.start(), 0, usage.nr_pages, 1)


def interrupting(processes: Any, usage: Usage) -> None:
    processes.populate(processes.start(), 0, usage.nr_pages)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("play", "said"),
    [(too_many, "more than 4 processes at a time"), (unborn, "process 5 does not live"), (beyond, "not in the file")],
)
def test_a_pattern_that_asks_for_what_cannot_be(found: Any, play: Any, said: str) -> None:
    pattern = SharingPattern(name="bad", summary="x", play=play)
    [outcome] = outcomes(FromPattern(pattern, usage_for(4)), found.policy("exact"), execution="interpreted")
    assert said in outcome.stopped
    assert outcome.exit_code


def test_interrupted_it_says_what_there_was(found: Any) -> None:
    sources = [FromPattern(SharingPattern(name="stop", summary="x", play=interrupting), usage_for(4))] * 2
    schemes = [found.policy("mm-id"), found.policy("exact")]
    result = follow(ConsequencesRequest(sources, schemes, ASKERS, execution="interpreted"))
    assert not result.complete
    assert [[one.moments for one in source.outcomes] for source in result.sources] == [[1]]


def test_a_workload_that_a_policy_is_not_for(found: Any) -> None:
    [outcome] = outcomes(FromWorkload(found.workload("remap"), 9), found.policy("vma-pagetable"))
    needs = found.workload("remap").needs - found.policy("vma-pagetable").capabilities
    assert bool(outcome.stopped) == bool(needs)
    assert outcome.exit_code == 0


# -- the file -----------------------------------------------------------------------------------------
def test_sums_and_the_file(found: Any, tmp_path: Path) -> None:
    source = FromScenarios("third-stays", "", [load(found.scenario("third-stays"))])
    scheme = found.policy("no-page-mapcount")
    result = follow(
        ConsequencesRequest([source, source], [scheme], ASKERS, seed=3, command="x", execution="interpreted")
    )
    result.save(tmp_path / "c.json")
    assert ConsequencesResult.load(tmp_path / "c.json") == result
    [whole] = totals(result.sources)
    one = result.sources[0].outcomes[0]
    assert whole == total([one, one])
    assert whole.moments == 2 * one.moments
    assert [d.asked for d in whole.decisions] == [2 * d.asked for d in one.decisions]
    assert [f.mean for f in whole.figures] == pytest.approx([f.mean for f in one.figures])
    assert [f.largest for f in whole.figures] == [f.largest for f in one.figures]


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 99}', '{"schema": 1, "kind": "compare"}'])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ResultFileError):
        ConsequencesResult.load(path)
