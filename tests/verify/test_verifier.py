"""The verifier: attacks run in parallel, and one that fails does not affect the others."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import PluginError
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.verifier import Verification, verify
from foliolab.policies import mm_id


def never(folio: object) -> bool:
    """The worst answer to "may several MMs map it?"."""
    return False


HOOKS = replace(mm_id.POLICY.hooks, maybe_mapped_shared=never)
SCHEME = replace(mm_id.POLICY, name="never", hooks=HOOKS, models=None, mutants=None).with_parameters()
EXAMPLE = Counterexample(
    policy="never",
    attack="made-up",
    law="safe",
    claim="safe",
    message="made up",
    shape={"nr_pages": 16, "nr_mms": 2, "nr_vpns": 4, "max_order": 2},
    threads=[["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=1"]],
)


@dataclass
class Says:
    """An attack that returns at once, or misbehaves."""

    name: str = "says"
    finding: Finding | None = None
    does: str = ""

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        tell(Progress(self.name, "looking", states=1))
        if self.does == "crash":
            faulthandler.disable()  # it is meant to
            signal.raise_signal(signal.SIGSEGV)
        if self.does == "raise":
            raise PluginError("policy x at y.py:3 recurses", "")
        if self.does == "fail":
            raise RuntimeError("unforeseen")
        if self.does == "hang":
            time.sleep(600)
        if self.does == "wait":
            while budget.left:
                time.sleep(0.01)
        if self.does == "found":
            assert self.finding is not None
            tell(self.finding)
            time.sleep(600)
        return [self.finding or Finding(self.name, "safe", "held", "all of it")]


REFUTED = Finding("says", "safe", "refuted", "found", EXAMPLE)


@pytest.mark.parametrize("jobs", [0, 2])
def test_answers_come_together(jobs: int, tmp_path: Path) -> None:
    told: list[object] = []
    found = verify(SCHEME, [Says(), Says("other", REFUTED)], Budget(20), told.append, jobs)
    assert [(one.attack, one.verdict) for one in found.findings] == [("says", "held"), ("says", "refuted")]
    assert found.verdict("safe") == "refuted"
    assert found.verdict("exact-for-two") == "undecided"
    assert found.refuted[0].counterexample is not None
    assert found.refuted[0].counterexample.digest == found.digest
    assert {one.attack for one in told if isinstance(one, Progress)} == {"says", "other"}
    found.save(tmp_path / "v.json")
    assert Verification.load(tmp_path / "v.json") == found


def test_what_the_interpreted_engine_does_not_confirm_is_no_refutation() -> None:
    found = verify(mm_id.POLICY.with_parameters(), [Says("other", REFUTED)], Budget(20), jobs=0)
    assert [(one.verdict, one.counterexample) for one in found.findings] == [("undecided", None)]
    assert "does not confirm" in found.findings[0].bound


@pytest.mark.parametrize(
    ("does", "why"),
    [("crash", "ended with signal SIGSEGV"), ("raise", "recurses"), ("fail", "RuntimeError: unforeseen")],
)
def test_an_attack_that_fails_leaves_its_claims_undecided(does: str, why: str) -> None:
    found = verify(SCHEME, [Says("bad", does=does), Says()], Budget(20), jobs=2)
    bad = [one for one in found.findings if one.attack == "bad"]
    assert {one.verdict for one in bad} == {"undecided"}
    assert {one.claim for one in bad} == {OWED, *SCHEME.capabilities}
    assert why in bad[0].bound
    assert found.verdict("safe") == "partly", "the other attack goes on"


def test_the_first_refutation_ends_all() -> None:
    # An hour: only the refutation can end it within the limit that pytest sets a test.
    found = verify(
        SCHEME, [Says("slow", does="hang"), Says("quick", REFUTED, "found")], Budget(3600), jobs=2, first=True
    )
    assert found.verdict("safe") == "refuted"
    assert {one.bound for one in found.findings if one.attack == "slow"} == {"stopped"}


def test_ctrl_c_ends_with_what_is_known() -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    found = verify(SCHEME, [Says("slow", does="hang"), Says("mine", does="wait")], Budget(60), jobs=2)
    assert found.interrupted
    assert [one.verdict for one in found.findings if one.attack == "says"] == []
    assert [one.verdict for one in found.findings if one.attack == "mine"] == ["held"]
    assert {one.verdict for one in found.findings if one.attack == "slow"} == {"undecided"}
