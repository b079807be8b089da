"""The symbolic attack: whole classes of orders and IDs at once, and every refutation repeated for real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from foliolab.framework.policy import Policy
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.symbolic.attack import Symbolic
from foliolab.policies import mm_id, rmap_id

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutants import FAULTS, planted

pytestmark = pytest.mark.slow


def attack(policy: Policy, orders: range, steps: int = 4, seconds: float = 60) -> dict[tuple[str, str], Finding]:
    """The findings by claim and verdict; refutations are confirmed."""
    scheme = policy.with_parameters({})
    found = Symbolic(steps, orders).run(scheme, Budget(seconds), lambda news: None)
    for finding in found:
        if finding.verdict == "refuted":
            assert finding.counterexample is not None
            assert confirm(finding.counterexample, scheme)
    return {(finding.claim, finding.verdict): finding for finding in found}


def test_two_slots_are_safe_for_all_ids_and_counts_within_the_bound() -> None:
    found = attack(mm_id.POLICY, range(2, 10), steps=3)
    assert not [verdict for _, verdict in found if verdict == "refuted"]
    assert "3 operations in a row" in found["safe", "held"].bound
    assert "order 2 to 9" in found["safe", "held"].bound


def test_a_claim_of_precision_is_refuted_by_counts() -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == "slot-is-freed-one-too-early")
    found = attack(planted(fault), range(2, 5), steps=4)
    assert ("exact-for-two", "refuted") in found


def test_sums_modulo_2_to_the_64_are_searched_over_the_whole_id_space() -> None:
    """Orders 6 to 9 have eight digits in base 513: more than 64 bits, and some five MMs add up to what one would."""
    found = attack(rmap_id.POLICY, range(9, 10), seconds=120)
    refuted = found["reuse", "refuted"]
    assert refuted.counterexample is not None
    mms = {word for text in refuted.counterexample.threads[0] for word in text.split() if word.startswith("mm_id=")}
    assert len(mms) >= 3, "several MMs have to come together"
    assert ("safe", "refuted") in found


def test_where_no_sum_can_wrap_it_is_proved() -> None:
    found = attack(rmap_id.POLICY, range(4, 5), seconds=60)
    assert ("reuse", "refuted") not in found
    assert "any operations (fewer than 2^26), at most 5 MMs at a time" in found["reuse", "held"].bound


def test_no_time_is_said() -> None:
    scheme = mm_id.POLICY.with_parameters({})
    found = Symbolic().run(scheme, Budget(0.2), lambda news: None)
    assert {finding.verdict for finding in found} == {"undecided"}
    assert {finding.bound for finding in found} == {"the time was over before anything was asked"}
