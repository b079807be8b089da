"""An attack's verdict on one claim."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from foliolab.framework.document import Count, Spread
from foliolab.framework.verify.counterexample import Counterexample

Verdict = Literal["held", "refuted", "undecided"]

OWED: Final = ""
"""The claim that stands for the laws that every policy owes."""


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attack's verdict on one claim.

    Args:
        claim: a capability that the policy declares, or OWED.
        verdict: held (within the bound), refuted, or undecided (the budget was used up, or the attack cannot tell).
        bound: what was covered, in words. "Held" is valid within this bound only.
        counterexample: of a refuted claim; confirmed by the interpreted engine.
        states: the number of states (or operations, or queries).
    """

    attack: str
    claim: str
    verdict: Verdict
    bound: str
    counterexample: Counterexample | None = None
    states: Count = 0
    seconds: Spread = 0.0
