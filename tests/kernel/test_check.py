"""The engine compared with the running kernel, and the check compared with wrong variants of the policy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import check, pagemap
from foliolab.framework.kernel.session import RunningKernel, Session
from foliolab.framework.plugins.registry import load
from foliolab.framework.report import kernelcheck
from foliolab.framework.scenario.generate import Mix
from foliolab.framework.scenario.parser import parse


def test_every_outcome_on_large_folios_is_as_predicted(session: Session, matching: Scheme) -> None:
    found = check.check(session, matching, check.random_scenarios(60, 77_000, Mix()))
    assert found.complete and found.scenarios == 60 and not found.failed
    assert [kernelcheck.text_of(one) for one in found.unexplained] == []
    assert found.writes > 1000
    assert {kernel for large, _, kernel in found.tally if large} >= {"unchanged", "reused", "copied"}
    assert all(ours == theirs for _, ours, theirs in found.tally)
    assert all(found.compared[aspect] for aspect in ("presence", "identity", "kpagecount", "bit 56", "cold"))


@pytest.mark.slow
def test_two_processors_agree_on_large_folios(matching: Scheme) -> None:
    import os

    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < 2 or os.geteuid() != 0:
        pytest.skip("needs root and two processors")
    with RunningKernel(allowed[:2], wait=240) as session:
        found = check.check(session, matching, check.random_scenarios(100, 5_000, Mix()))
    assert not [one for one in found.disagreements if one.difference.large]


@pytest.mark.slow
def test_all_short_sequences_agree(session: Session, matching: Scheme) -> None:
    found = check.check(session, matching, check.exhaustive(3, (0, 2)))
    assert found.scenarios == sum(1 for _ in check.exhaustive(3, (0, 2))) > 400
    assert [kernelcheck.text_of(one) for one in found.disagreements] == []


@pytest.mark.slow
def test_all_wrong_variants_are_caught(session: Session, matching: Scheme) -> None:
    wrong = [policy.with_parameters() for policy in matching.policy.wrong_variants()]
    assert len(wrong) >= 15
    mutants = check.self_test(session, wrong, check.random_scenarios(200, 1, Mix(orders=(2, 3, 4, 9))))
    assert [mutant.scheme.name for mutant in mutants if not mutant.caught] == []


def test_policies_of_other_kernels_are_refuted_with_the_shortest_scenario(session: Session, matching: Scheme) -> None:
    shortest = {
        # without per-page counts: kpagecount differs after one copy of a shared folio
        "no-page-mapcount": "A: fork B\nA: write heap[0]",
        # never reuses: the sole owner's write copies
        "page-mapcount": "A: fork B\nA: exit\nB: write heap[0]",
    }
    registry = load()
    for name, steps in shortest.items():
        if matching.policy.name == name:
            continue
        found = check.refute(session, registry.policy(name), 50, 1, Mix(orders=(0, 2)))
        assert len(found.unexplained) == 1
        one = found.unexplained[0]
        assert kernelcheck.text_of(one).split("\n\n")[2].split("  ")[0].strip() == steps
        assert "refuted" in kernelcheck.verdict(found, name, refuting=True)


@pytest.mark.slow
def test_an_mremap_that_moves_the_first_bits_is_refuted(session: Session, matching: Scheme) -> None:
    scheme = matching.under(load().caller("mremap-6-17"))
    found = check.refute(session, scheme, 300, 1, Mix(orders=(2, 3, 4)))
    assert len(found.unexplained) == 1
    assert {"fork", "mremap", "write"} <= {step.action for step in found.unexplained[0].minimal.steps}
    assert f"{matching.name}+mremap-6-17" in kernelcheck.verdict(found, scheme.name, refuting=True)


def test_a_third_party_policy_is_refuted(session: Session, matching: Scheme) -> None:
    from dataclasses import replace

    policy = next(one for one in matching.policy.wrong_variants() if one.name == "never-reuse")
    found = check.refute(session, replace(policy, name="mine").with_parameters(), 20, 1, Mix(orders=(2,)))
    assert len(found.unexplained) == 1 and len(found.unexplained[0].minimal.items) == 3


def test_what_the_kernel_refuses_is_reported_and_the_others_go_on(
    session: Session, matching: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = session.run

    def some(scenario: object) -> object:
        if scenario.name == "random-2":  # type: ignore[attr-defined]
            raise KernelError("no io_uring today")
        return real(scenario)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "run", some)
    found = check.check(session, matching, check.random_scenarios(3, 1, Mix(orders=(2,))))
    assert found.failed == ["random-2: no io_uring today"] and found.scenarios == 2


def test_an_interrupted_check_keeps_what_it_has(session: Session, matching: Scheme) -> None:
    def interrupt(found: check.Agreement) -> None:
        if found.scenarios == 2:
            raise KeyboardInterrupt

    found = check.check(session, matching, check.random_scenarios(9, 1, Mix(orders=(2,))), progress=interrupt)
    assert found.scenarios == 2 and not found.complete
    assert "interrupted after 2 scenarios" in kernelcheck.verdict(found, "x")


HIDDEN = Mix(orders=(5, 7), actions=Mix().actions - {"read", "cold"})


@pytest.fixture
def hidden(session: RunningKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page frame numbers read as 0, as without CAP_SYS_ADMIN; the THP settings can be changed."""
    session.conditions = replace(session.conditions, hidden=True)
    real = pagemap.PageMap.pfn.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(pagemap.PageMap, "pfn", property(lambda self: real(self) * 0))


@pytest.mark.usefixtures("hidden")
def test_the_witnesses_without_frames_refute_a_policy_that_never_reuses(session: Session, matching: Scheme) -> None:
    agreed = check.check(session, matching, check.random_scenarios(20, 1, HIDDEN))
    found = check.refute(session, load().policy("page-mapcount"), 50, 1, HIDDEN)
    if not found.unexplained and any("other programs" in why for why in [*agreed.failed, *found.failed]):
        pytest.skip("other programs take and free large folios now")
    assert agreed.hidden and not agreed.disagreements
    assert agreed.failed or "nothing contradicts" in kernelcheck.verdict(agreed, "x").lower()
    assert [one.difference.aspect for one in found.unexplained] == ["population"]


CHURN = """
import mmap, random
chance = random.Random(1)
while True:
    size = chance.randint(1, 64) << 17
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    memory.write(bytes(size))
    time.sleep(chance.random() * EACH)
    memory.close()
    time.sleep(chance.random() * EACH)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize("each", [0.003, 0.03, 0.3])
def test_programs_that_take_and_free_large_folios_are_no_fault_of_the_kernel(
    each: float, session: Session, matching: Scheme
) -> None:
    words = [sys.executable, "-c", "import time" + CHURN.replace("EACH", str(each))]
    others = [subprocess.Popen(words) for _ in range(2)]
    try:
        found = check.check(session, matching, check.random_scenarios(40, 1, HIDDEN))
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert [kernelcheck.text_of(one) for one in found.disagreements] == []
    assert found.scenarios + len(found.failed) == 40


@pytest.mark.usefixtures("hidden")
def test_folios_that_are_too_small_are_seen_without_frames(session: RunningKernel) -> None:
    assert session.conditions.switches is not None
    none = dict.fromkeys(session.conditions.switches, session.conditions.switches[16])  # enables none but 16 KiB
    session.conditions = replace(session.conditions, switches=none)
    (scenario,) = check.random_scenarios(1, 1, Mix(orders=(5,)))
    with pytest.raises(KernelError, match=r"folios were asked for, and the first touches took"):
        session.run(scenario)


def test_one_scenario_by_hand(session: Session, matching: Scheme) -> None:
    """The third MM remains as the only owner, which the two slots do not show (specification 2.4, T2)."""
    text = (
        "scenario t2\nregion heap: 1 x 16K pte\nA: fork B\nA: fork C\nA: exit\nB: exit\nC: write heap[0-2]\n"
        "C: write heap[3]\n"
    )
    _, kernel, first = check.first_difference(session, matching, parse(text))
    assert first is None
    assert [record.text for record in kernel if record.outcomes] == ["copied", "copied"]
