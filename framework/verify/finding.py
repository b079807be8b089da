"""An attack's verdict on one claim."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from foliolab.framework.document import Count, Spread
from foliolab.framework.verify.counterexample import Counterexample

Verdict = Literal["held", "refuted", "undecided"]
"""What one attack says of a claim."""
Together = Literal["held", "partly", "refuted", "undecided"]
"""What all attacks together say of a claim (see `together`)."""

OWED: Final = ""
"""The claim that stands for the laws that every policy owes."""


class PairCoverage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many programs with one pair of operations, from different starts, the explored attack covered.

    Args:
        complete: every interleaving was explored.
        cut: some were, or a law broke.
        not_reached: the time was over before.
        impossible: not for this policy: it has no such MM ID, or is not for so many mappings.
    """

    complete: Count = 0
    cut: Count = 0
    not_reached: Count = 0
    impossible: Count = 0


class Untaken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A branch of a policy's text that was never taken.

    Args:
        file, line: where its condition stands.
        never: what was never so, such as "the condition is never true".
        nested: whether it lies in another one that was never taken.
    """

    file: str
    line: Count
    never: str
    nested: bool = False


class Reached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an attack that is guided by coverage has reached.

    Args:
        branches: of the policy's text.
        taken: how many of them were taken.
        states: values of fields, and pairs of values in classes, that were seen.
        untaken: the branches that were never taken.
    """

    branches: Count
    taken: Count
    states: Count
    untaken: list[Untaken]


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attack's verdict on one claim.

    Args:
        claim: a capability that the policy declares, or OWED.
        verdict: held (within the bound), refuted, or undecided (the budget was used up, or the attack cannot tell).
        bound: what was covered, in words. "Held" is valid within this bound only.
        within: the same in a few words, for a headline; empty where `bound` must do.
        suspicion: a violation that the attack saw and that the interpreted engine did not confirm; empty if there is
            none. The claim is then undecided, whatever other attacks say.
        counterexample: of a refuted claim; confirmed by the interpreted engine.
        states: the number of states (or operations, or queries).
        pairs: of the explored attack, beside what every policy owes: each pair of operations with its programs.
        reached: the coverage of an attack that is guided by it; only in one finding of each attack.
    """

    attack: str
    claim: str
    verdict: Verdict
    bound: str
    counterexample: Counterexample | None = None
    states: Count = 0
    seconds: Spread = 0.0
    within: str = ""
    suspicion: str = ""
    pairs: dict[str, PairCoverage] | None = None
    reached: Reached | None = None


def together(findings: Iterable[Finding]) -> Together:
    """The verdict of all attacks on one claim.

    Returns:
        refuted if one refutes it; undecided if none holds it, or if a suspicion was neither confirmed nor explained;
        partly if some hold it and others could not decide; else held.
    """
    found = list(findings)
    verdicts = {one.verdict for one in found}
    if "refuted" in verdicts:
        return "refuted"
    if "held" not in verdicts or any(one.suspicion for one in found):
        return "undecided"
    return "partly" if "undecided" in verdicts else "held"
