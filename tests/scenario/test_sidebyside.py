"""Engine and kernel side by side, with engines that play the kernel; and what a scenario needs of a real one."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.kernel import needs, probe, running, settings, sidebyside
from foliolab.framework.kernel.session import READ_BACK, Session
from foliolab.framework.plugins.registry import load as load_registry
from foliolab.framework.report import scenario as report
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.scenario.habits import Habits
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.result import ScenarioResult
from foliolab.framework.scenario.syntax import Scenario
from foliolab.policies import mm_id

REGISTRY = load_registry()
TEXT = """\
scenario x
by mm-id
region heap: 1 x 16K pte
A: fork B
B: exit
A: write heap[0] -> reused
expect copied by page-mapcount
"""


@pytest.fixture(autouse=True)
def a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that mm-id models, with all sizes and no swap."""
    monkeypatch.setattr(running, "matching", lambda registry: registry.policy("mm-id"))
    monkeypatch.setattr(settings, "sizes", lambda: [16, 32, 64, 2048])
    monkeypatch.setattr(probe, "capability", lambda name: probe.Capability(name, name != "swap", "no swap is active"))


class Played(Session):
    """A kernel that does what a policy says, after two attempts that were disturbed."""

    name = "played"

    def __init__(self, policy: str, bypass: bool = True) -> None:
        super().__init__()
        self.policy, self.past_the_cache = policy, bypass

    def habits(self, scenario: Scenario) -> Habits:
        return Habits(swap_bypass=self.past_the_cache)

    def run(self, scenario: Scenario) -> list[Record]:
        self.discarded += 2
        return list(Model(scenario, REGISTRY.policy(self.policy), habits=Habits(swap_bypass=self.past_the_cache)).run())


def run(text: str, kernel: str, backend: sidebyside.Backend = "both") -> ScenarioResult:
    return sidebyside.run(
        REGISTRY, parse(text, "x.scenario"), [REGISTRY.policy("exact")], backend, kernel=Played(kernel)
    )


def printed(result: ScenarioResult, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    report.render(result, TerminalPage(out))
    out.flush()
    return raw.getvalue().decode(encoding)


def test_a_kernel_that_does_what_its_model_says() -> None:
    result = run(TEXT, "mm-id")
    assert result.good
    assert [one.by for one in result.runs] == ["exact", "mm-id"]
    assert (result.model, result.differences, result.discarded) == ("mm-id", (), 2)
    assert result.kernel is not None and result.kernel.expected == 1
    told = printed(result)
    assert "did what mm-id says in 3 of 3 steps." in told
    assert "2 attempts were discarded" in told


def test_a_kernel_that_does_something_else() -> None:
    result = run(TEXT, "page-mapcount")
    assert not result.good
    assert [(d.number, d.aspect) for d in result.differences][:1] == [(2, "outcome")]
    assert result.kernel is not None
    assert [(f.line, f.expected, f.found) for f in result.kernel.failures] == [(6, "reused", "copied")]
    told = printed(result)
    assert "≠ differs copied" in told
    assert "Differs: x.scenario:6: A: write heap[0]: outcome: page 0: model reused, kernel copied" in told
    assert "did what mm-id says in 2 of 3 steps." in told
    assert "! differs copied" in printed(result, "ascii")
    found = report.data([result])["scenarios"][0]
    assert json.loads(json.dumps(found))["differences"][0]["kernel"] == "copied"
    assert found["kernel"]["model"] == "mm-id"


def test_a_named_policy_is_compared_too_and_its_difference_is_no_failure() -> None:
    result = sidebyside.run(
        REGISTRY, parse(TEXT, "x.scenario"), [REGISTRY.policy("page-mapcount")], "both", kernel=Played("mm-id")
    )
    assert result.good and result.differences == ()
    assert [(one.by, len(one.differences) > 0) for one in result.runs] == [("page-mapcount", True), ("mm-id", False)]
    told = printed(result)
    assert "≠ copied" in told and "did what page-mapcount says in 2 of 3 steps." in told
    assert (
        "Differs: x.scenario:6: page-mapcount: A: write heap[0]: outcome: page 0: model copied, kernel reused" in told
    )
    found = report.data([result])["scenarios"][0]["policies"]
    assert found["page-mapcount"]["differences"] and not found["mm-id"]["differences"]


def always(folio: object, page: object, mm: object) -> bool:
    return True


def never(folio: object) -> bool:
    return False


PIPE = """\
scenario x
by mm-id
region heap: 1 x 16K pte
A: fork B
A: vmsplice heap[0] as p
B: exit
A: write heap[0] = 7 -> copied
"""
READ = "A: fork C\nA: write heap[2] = 9\nC: read heap[2] -> 1\n"


def test_any_policy_is_judged_by_what_is_wrong_whoever_the_scenario_names() -> None:
    hooks = replace(mm_id.POLICY.hooks, can_reuse=always, maybe_mapped_shared=never)
    wrong = replace(mm_id.POLICY, name="wrong", models=None, mutants=None, hooks=hooks).with_parameters()
    result = sidebyside.run(REGISTRY, parse(PIPE + READ, "x.scenario"), [wrong], execution="interpreted")
    (run,) = result.runs
    assert not result.good
    assert [(one.line, one.expected) for one in run.wrong] == [
        (4, "heap[0-3] shared"), (7, "copied"), (8, "heap[0-3] shared"), (9, "copied"),
    ]  # fmt: skip
    assert "references that are no mappings" in run.wrong[1].found and "which 2 MMs map" in run.wrong[3].found
    assert [(one.line, one.expected, one.found) for one in run.failures] == [(10, "1", "9")]
    told = printed(result)
    assert "Failed: x.scenario:7: wrong: wrong: reused page 0, with" in told
    assert "Wrong, whatever the scenario expects: 4 of wrong." in told
    for name in ("mm-id", "exact", "page-mapcount"):
        assert sidebyside.run(REGISTRY, parse(PIPE + READ, "x.scenario"), [REGISTRY.policy(name)]).good


def test_on_the_kernel_alone() -> None:
    result = run(TEXT, "mm-id", "kernel")
    assert (result.runs, result.model, result.good) == ((), "", True)
    assert "copied" not in printed(result)
    assert not run(TEXT, "page-mapcount", "kernel").good


def test_a_kernel_that_no_policy_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "matching", lambda registry: None)
    result = run(TEXT, "page-mapcount")
    assert result.good
    assert [one.by for one in result.runs] == ["exact"]
    told = printed(result)
    assert "No policy here models" in told and "did what exact says in 2 of 3 steps." in told
    assert not run(TEXT.replace("by mm-id\n", ""), "page-mapcount").good  # what is expected of every policy


def test_what_the_kernel_cannot_do_is_told_and_left_out() -> None:
    text = "scenario x\nregion heap: 1 x 4K\nA: pageout heap -> out\n"
    result = run(text, "mm-id")
    assert result.kernel is None
    assert result.skipped == "it needs swap: no swap is active"
    assert result.good
    assert "Not run on this kernel: it needs swap: no swap is active." in printed(result)
    assert needs.missing(parse("scenario x\nregion heap: 1 x 128K\nA: fork B\n")).endswith("folios of 128 KiB")
    assert (
        needs.missing(parse("scenario x\nregion heap: 1 x 4K\nA: pin heap[0] as p\nA: vmsplice heap[0] as v\n")) == ""
    )


@pytest.mark.parametrize(("bypass", "outcome"), [(True, "unchanged"), (False, "copied")])
def test_the_model_reads_from_swap_as_the_kernel_does(
    bypass: bool, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "capability", lambda name: probe.Capability(name, True))
    kernel = Played("mm-id", bypass)
    result = sidebyside.run(REGISTRY, READ_BACK, [REGISTRY.policy("exact")], "both", kernel=kernel)
    assert result.good and result.differences == ()
    assert [one.records[-1].text for one in result.runs] == [outcome, outcome]


def test_the_summary_names_what_was_left_out() -> None:
    bad, skipped = run(TEXT, "page-mapcount"), run("scenario y\nregion h: 1 x 4K\nA: pageout h\n", "mm-id")
    out = io.StringIO()
    report.summary([bad, skipped], TerminalPage(out))
    assert out.getvalue().splitlines() == [
        "2 scenarios: 1 good, 1 bad",
        "  bad: x",
        "  not run on this kernel: it needs swap: no swap is active (y)",
    ]


def test_folios_that_are_alike_are_told_once() -> None:
    text = "scenario x\nregion heap: 3 x 16K pte\nregion one: 1 x 16K\nA: fork B\nA: munmap heap[4-7]\nA: fork C\n"
    rows = [" ".join(line.split()) for line in printed(run(text, "mm-id")).splitlines()]
    assert rows[6] == "4 A: fork B heap[0-3]: 2 shared shared"
    assert rows[7] == "one[0-3]: 2 shared shared"
    assert rows[8] == "5 A: munmap heap[4-7] heap[4-7]: 1 exclusive exclusive"
    assert rows[9].startswith("6 A: fork C heap[0-3]: 3")


def test_a_policy_that_there_is_not() -> None:
    with pytest.raises(UsageError, match=r"x\.scenario: there is no policy 'none'"):
        run(TEXT.replace("by page-mapcount", "by none"), "mm-id")


def test_the_shipped_folder_is_where_the_workloads_are() -> None:
    assert {path.parent.name for path in REGISTRY.scenarios.values()} == {"scenarios"}
    assert all(Path(path).is_file() for path in REGISTRY.scenarios.values())
