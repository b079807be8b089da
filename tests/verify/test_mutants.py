"""Every planted fault is found, with a counterexample that the interpreted engine confirms; sound policies pass.

The same attacks, the same budget, no word about any policy: what a third party's policy gets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from mutants import FAULTS, Fault, planted

import foliolab.policies as shipped
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.attacks import chosen
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.verifier import verify

pytestmark = pytest.mark.slow

BUDGET = 240.0
"""Seconds that the search for one fault may take; the first refutation ends it, on an idle host within seconds."""

SOUND = [
    policy.with_parameters({})
    for policy in shipped.foliolab_policies()
    if policy.name not in {"rmap-id"}  # its arithmetic is what the symbolic attack is for
]


def test_there_are_enough_of_them() -> None:
    assert len(FAULTS) >= 25
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    scheme, sound = planted(fault).with_parameters({}), fault.policy.with_parameters({})
    examples: list[Counterexample] = []

    def tell(news: Progress | Finding) -> None:
        """End with the first refutation that the policy without the fault does not share."""
        example = news.counterexample if isinstance(news, Finding) else None
        if example is not None and confirm(example, scheme) and not confirm(example, sound):
            examples.append(example)
            raise KeyboardInterrupt

    found = verify(scheme, chosen(), Budget(BUDGET), tell)
    assert examples, f"not found in {BUDGET} s: {[(one.attack, one.claim, one.bound) for one in found.findings]}"


@pytest.mark.parametrize("scheme", SOUND, ids=lambda scheme: scheme.name)
def test_a_sound_policy_passes(scheme: Scheme, is_known: Callable[[Finding], bool]) -> None:
    found = verify(scheme, chosen(), Budget(1.0))
    assert [one.bound for one in found.refuted if not is_known(one)] == []
    failed = [one.bound for one in found.findings if "failed:" in one.bound or "process returned" in one.bound]
    assert failed == []
