"""What an attack answers about a claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from foliolab.framework.verify.counterexample import Counterexample

Verdict = Literal["held", "refuted", "undecided"]

OWED: Final = ""
"""The claim that stands for what every policy owes."""


@dataclass(frozen=True)
class Finding:
    """One attack's answer about one claim.

    Args:
        attack: its name.
        claim: a capability that the policy declares, or OWED.
        verdict: held within the bound; refuted; or undecided (the budget was over, or it cannot be attacked so).
        bound: what was covered, in words: a claim that held says no more than that.
        counterexample: where refuted, confirmed by the interpreted engine.
        states: how many states (or sequences, or queries) were looked at.
        seconds: how long it took.
    """

    attack: str
    claim: str
    verdict: Verdict
    bound: str
    counterexample: Counterexample | None = None
    states: int = 0
    seconds: float = 0.0
