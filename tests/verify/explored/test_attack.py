"""The explored attack: planted races are found with a short, confirmed counterexample; "held" states its bound."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.explored import witness
from foliolab.framework.verify.explored.attack import Explored
from foliolab.framework.verify.explored.programs import programs
from foliolab.framework.verify.explored.result import Broken, Exploration
from foliolab.framework.verify.explored.search import Means, Searcher, Task
from foliolab.framework.verify.explored.witness import counterexample
from foliolab.framework.verify.finding import OWED, Finding, together
from foliolab.framework.verify.playback import confirm
from foliolab.policies import exact, mm_id, page_mapcount, rmap_id

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import broken
from mutants import planted
from racing_faults import RACING

HELD = Finding("random", "exact-for-two", "held", "all of it")


def first_finding(policy: broken.Policy, seconds: float = 30.0) -> Finding | None:
    """The first refutation, at which the attack is stopped."""
    budget = Budget(seconds, 256 << 20)
    found: list[Finding] = []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding):
            found.append(news)
            assert isinstance(budget.stop, threading.Event)
            budget.stop.set()

    Explored().run(policy.with_parameters(), budget, tell)
    return found[0] if found else None


@pytest.mark.parametrize("name", broken.RACES)
def test_a_planted_race_is_found(name: str, tmp_path: Path) -> None:
    policy, laws = broken.RACES[name]
    finding = first_finding(policy)
    assert finding is not None and finding.verdict == "refuted"
    example = finding.counterexample
    assert example is not None
    assert not laws or example.law in laws
    assert len(example.turns) <= 12  # few changes of turn
    example.save(tmp_path / "found.json")
    assert confirm(Counterexample.load(tmp_path / "found.json"), policy.with_parameters())


def test_a_law_that_breaks_for_many_pages_is_confirmed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PMD maps 512 pages: their mapcounts are wrong together, and each replay takes long."""
    (fault,) = (one for one in RACING["PMD races"] if one.name == "pmd-is-removed-without-an-atomic")
    scheme = planted(fault).with_parameters()
    program = next(one for one in programs(scheme) if one.name == "2 MMs map and unmap a file by a PMD")
    asked: list[str] = []

    def counted(found: Exploration, broken: Broken, *how: Any) -> Counterexample | None:
        asked.append(broken.violation.law)
        return counterexample(found, broken, *how)

    monkeypatch.setattr(witness, "counterexample", counted)
    means = Means("explored", "sc", False, (1,), 10)
    searcher = Searcher(scheme, means, Budget(60.0), lambda task: program, lambda news: None)
    outcome = searcher.search(Task("litmus", 0, 60.0))
    assert {example.law for example, _ in outcome.examples} >= {"page-mapcount", "statistics"}
    assert len(asked) == len(set(asked))


def test_a_broken_law_does_not_cut_the_others_short() -> None:
    findings = Explored(schedules=50).run(broken.SPLIT.with_parameters(), Budget(30.0, 256 << 20), lambda news: None)
    laws = {one.claim: one.counterexample.law for one in findings if one.counterexample is not None}
    assert laws == {OWED: "statistics-zero", "safe": "safe"}


def test_a_loop_that_takes_up_what_cmpxchg_read_does_not_wait(computing_time: type[Budget]) -> None:
    findings = Explored(schedules=50).run(
        broken.COUNTS_IN_WORD.with_parameters(), computing_time(1.2), lambda news: None
    )
    assert {(one.claim, one.verdict, one.suspicion) for one in findings} == {(OWED, "held", ""), ("safe", "held", "")}


def test_a_suspicion_that_is_not_confirmed_is_never_held(
    monkeypatch: pytest.MonkeyPatch, computing_time: type[Budget]
) -> None:
    monkeypatch.setattr("foliolab.framework.verify.explored.witness.counterexample", lambda *about: None)
    findings = Explored(schedules=50).run(broken.MARK.with_parameters(), computing_time(1.2), lambda news: None)
    verdicts = {one.claim: (one.verdict, bool(one.suspicion)) for one in findings}
    assert verdicts == {OWED: ("held", False), "safe": ("held", False), "exact-for-two": ("undecided", True)}
    assert together(one for one in [*findings, HELD] if one.claim == "exact-for-two") == "undecided"


@pytest.mark.parametrize("policy", [exact.POLICY, mm_id.POLICY, page_mapcount.POLICY], ids=lambda p: p.name)
def test_sound_policies_hold(
    policy: broken.Policy, is_known: Callable[[Finding], bool], computing_time: type[Budget]
) -> None:
    scheme = policy.with_parameters()
    found = Explored(schedules=50).run(scheme, computing_time(1.2, 64 << 20), lambda news: None)
    assert {one.claim for one in found} >= {OWED, *(scheme.capabilities & {"safe", "reuse", "page-mapcount"})}
    findings = [one for one in found if not is_known(one)]
    assert {one.verdict for one in findings} == {"held"}
    assert all("every interleaving of" in one.bound and one.states for one in findings)


def test_beyond_the_memory_it_says_what_was_bounded() -> None:
    scheme = mm_id.POLICY.with_parameters()
    program = next(one for one in programs(scheme) if one.name == "3 MMs map and unmap 2 pages of a file")
    # each search ends at the limit of memory, long before the time is up
    findings = Explored(schedules=50, program=program).run(scheme, Budget(600.0, 2 << 20), lambda news: None)
    assert "random schedule" in findings[0].bound
    assert re.search(r"the memory \(2 MiB\) was reached in 1 program", findings[0].bound)


def test_it_stops_when_it_is_told_to() -> None:
    budget = Budget(3600.0, 256 << 20)  # an hour: only the event can end it within the limit that pytest sets a test
    assert isinstance(budget.stop, threading.Event)
    timer = threading.Timer(0.3, budget.stop.set)
    timer.start()
    findings = Explored().run(rmap_id.POLICY.with_parameters(), budget, lambda news: None)
    assert findings


def test_progress_is_told(computing_time: type[Budget]) -> None:
    seen: list[Progress] = []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Progress):
            seen.append(news)

    Explored().run(page_mapcount.POLICY.with_parameters(), computing_time(0.7, 64 << 20), tell)
    assert seen and all(one.attack == "explored" and one.what for one in seen)
    assert [one.states for one in seen] == sorted(one.states for one in seen)


def test_programs_go_from_small_to_large_and_suit_the_claims() -> None:
    names = [program.name for program in programs(mm_id.POLICY.with_parameters())]
    assert len(names) == len(set(names))
    assert "2 MMs" in names[0] and "4 MMs" in names[-1]
    sizes = {len(program.threads) for program in programs(mm_id.POLICY.with_parameters())}
    assert sizes == {2, 3, 4}
    for word in ("PMD", "lockless reader", "end of a page table"):
        assert any(word in name for name in names)
    assert not any("lockless reader" in program.name for program in programs(page_mapcount.POLICY.with_parameters()))


@pytest.mark.parametrize(
    ("policy", "law", "said"),
    [
        (broken.FAILING, "checks", "fires: assert nr < 0"),
        (broken.ENDLESS, "termination", "does not end"),
        (broken.RECURSIVE, "raises", "RecursionError"),
    ],
    ids=["fails", "endless", "recursive"],
)
def test_a_policy_that_fails_alone_is_one_sentence(policy: broken.Policy, law: str, said: str) -> None:
    finding = first_finding(policy)
    assert finding is not None and finding.counterexample is not None
    assert finding.counterexample.law == law
    assert "broken.py:" in finding.counterexample.message and said in finding.counterexample.message
