"""Every planted fault is found, with a counterexample that the interpreted engine confirms; sound policies pass.

The same attacks, the same budget, no word about any policy: what a third party's policy gets.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from catalogue import Mutant, catalogue, refute

import foliolab.policies as shipped
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.attacks import chosen
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.verifier import verify

pytestmark = pytest.mark.slow

BUDGET = 240.0
"""Seconds that the search for one fault may take; the first refutation ends it, on an idle host within seconds."""

MUTANTS = list(catalogue())
SOUND = [
    policy.with_parameters({})
    for policy in shipped.foliolab_policies()
    if policy.name not in {"rmap-id"}  # its arithmetic is what the symbolic attack is for
]


def test_there_are_enough_of_every_kind() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 60
    kinds = Counter(mutant.kind for mutant in MUTANTS)
    assert all(kinds[kind] >= 4 for kind in ("callers", "batches", "PMD races", "deep sequences", "memory order"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_fault_is_found(mutant: Mutant) -> None:
    assert refute(mutant, BUDGET) is not None, f"not found in {BUDGET} s"


@pytest.mark.parametrize("scheme", SOUND, ids=lambda scheme: scheme.name)
def test_a_sound_policy_passes(scheme: Scheme, is_known: Callable[[Finding], bool]) -> None:
    found = verify(scheme, chosen(), Budget(1.0))
    assert [one.bound for one in found.refuted if not is_known(one)] == []
    failed = [one.bound for one in found.findings if "failed:" in one.bound or "process returned" in one.bound]
    assert failed == []
