"""The symbolic attack: whole classes of orders and IDs at once, and every refutation repeated for real."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.contract.policy import Policy
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.symbolic.attack import Symbolic
from foliolab.policies import foliolab_policies, mm_id, rmap_id
from foliolab.policies.rmap_id import values as rmap_values

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutants import FAULTS, Fault, planted

pytestmark = pytest.mark.slow


Attack = Callable[..., dict[tuple[str, str], Finding]]


@pytest.fixture
def attack(computing_time: type[Budget]) -> Attack:
    """The findings by claim and verdict; refutations are confirmed."""

    def run(policy: Policy, orders: range, steps: int = 4, seconds: float = 60) -> dict[tuple[str, str], Finding]:
        scheme = policy.with_parameters({})
        found = Symbolic(steps, orders).run(scheme, computing_time(seconds), lambda news: None)
        for finding in found:
            if finding.verdict == "refuted":
                assert finding.counterexample is not None
                assert confirm(finding.counterexample, scheme)
        return {(finding.claim, finding.verdict): finding for finding in found}

    return run


def policy_of(name: str) -> Policy:
    """A shipped policy."""
    return next(policy for policy in foliolab_policies() if policy.name == name)


def claiming(policy: Policy, *claims: str) -> Policy:
    """A policy that claims so much only: what is not asked costs no time."""
    return replace(policy, capabilities=frozenset(claims), capabilities_of=None)


def test_two_slots_are_safe_for_all_ids_and_counts_within_the_bound(attack: Attack) -> None:
    found = attack(mm_id.POLICY, range(2, 10), steps=1)
    assert {verdict for _, verdict in found} == {"held"}
    for claim in ("", "safe", "reuse", "exact-for-two"):
        assert "proved for any number of" in found[claim, "held"].bound
        assert "order 2 to 9" in found[claim, "held"].bound


def test_what_induction_does_not_prove_is_asked_after_each_operation(attack: Attack) -> None:
    found = attack(policy_of("exact"), range(2, 5), steps=3)
    assert not [verdict for _, verdict in found if verdict == "refuted"]
    assert "3 operations in a row" in found["", "held"].bound


SHARED_FLAG = (
    "        store(folio._mm_id_mapcount[1], nr - 1)\n        __set_bit(SHARED_BIT, folio._mm_ids)",
    "        store(folio._mm_id_mapcount[1], nr - 1)",
)
WRONG_SLOTS = (
    (mm_id.add_to_slots, SHARED_FLAG, {"safe", "reuse"}),
    (mm_id.sub_from_slots, ("if not left and (", "if (left or total < 9) and ("), {"exact-for-two"}),
    (mm_id.add_large_mapcount, (" + nr\n", " + 1\n"), {""}),
)


@pytest.mark.parametrize(("function", "edit", "broken"), WRONG_SLOTS, ids=["unsafe", "imprecise", "miscounted"])
def test_what_is_wrong_is_not_proved_by_induction(
    function: Any, edit: tuple[str, str], broken: set[str], attack: Attack
) -> None:
    policy = planted(Fault("wrong-slots", mm_id.POLICY, function, (edit,)))
    found = attack(policy, range(2, 5))
    refuted = {claim for claim, verdict in found if verdict == "refuted"}
    assert broken & refuted
    for claim in refuted - {""}:  # that one stands for several laws
        proofs = found[claim, "held"].bound.split(";") if (claim, "held") in found else []
        assert not [
            bound for bound in proofs if "proved for any number" in bound and "anonymous" in bound and "files" in bound
        ]


WRONG_ARITHMETIC = {
    "only the first value is compared": ("for k in range(VALUES[c]):", "for k in range(1):"),
    "only eight bits are compared": ("return diff == 0", "return diff & 0xFF == 0"),
}


@pytest.mark.parametrize("mistake", WRONG_ARITHMETIC)
@pytest.mark.parametrize("order", [4, 9])
def test_wrong_arithmetic_is_found(mistake: str, order: int, attack: Attack) -> None:
    fault = Fault(mistake, rmap_id.POLICY, rmap_values.has_matching_values, (WRONG_ARITHMETIC[mistake],))
    found = attack(claiming(planted(fault), "reuse"), range(order, order + 1), seconds=20)
    assert ("reuse", "refuted") in found


def test_a_claim_of_precision_is_refuted_by_counts(attack: Attack) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == "slot-is-freed-one-too-early")
    found = attack(planted(fault), range(2, 5), steps=4)
    assert ("exact-for-two", "refuted") in found


def test_sums_modulo_2_to_the_64_are_searched_over_the_whole_id_space(attack: Attack) -> None:
    """Orders 6 to 9 have eight digits in base 513: more than 64 bits, and some five MMs add up to what one would."""
    found = attack(claiming(rmap_id.POLICY, "reuse"), range(9, 10), seconds=30)
    refuted = found["reuse", "refuted"]
    assert refuted.counterexample is not None
    mms = {word for text in refuted.counterexample.threads[0] for word in text.split() if word.startswith("mm_id=")}
    assert len(mms) >= 3, "several MMs have to come together"


def test_where_no_sum_can_wrap_it_is_proved(attack: Attack) -> None:
    found = attack(claiming(rmap_id.POLICY, "reuse"), range(4, 5), seconds=20)
    assert ("reuse", "refuted") not in found
    assert "any operations (fewer than 2^26), at most 5 MMs at a time" in found["reuse", "held"].bound


def test_no_time_is_said() -> None:
    scheme = mm_id.POLICY.with_parameters({})
    found = Symbolic().run(scheme, Budget(0.02), lambda news: None)
    assert {finding.verdict for finding in found} == {"undecided"}
    assert {finding.bound for finding in found} == {"the time was over before anything was asked"}
