"""The refutations of one attack: each breach is shortened, confirmed and reported at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.attack import Budget, Tell
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.shortening import Breach, shorten

SHORTENING: Final = 0.1
"""The share of the time left that shortening one breach may take."""
MOST_SHORTENING: Final = 4.0
"""The same in seconds, at most."""


class Refutations:
    """Collects an attack's refutations.

    Args:
        tell: called with each refutation.
    """

    def __init__(self, attack: str, scheme: Scheme, budget: Budget, tell: Tell) -> None:
        self.attack = attack
        self.scheme = scheme
        self.budget = budget
        self.tell = tell
        self.findings: list[Finding] = []
        self.laws: set[str] = set()
        """Laws that were broken; further breaches of them are ignored."""
        self.undecided: dict[str, str] = {}
        """Claims that are undecided, with the reason."""
        self.suspicions: dict[str, str] = {}
        """Claims with a violation that the interpreted engine did not confirm, and the violation."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def add(self, breach: Breach, states: int) -> None:
        """Shorten a breach, and report it if the interpreted engine confirms it.

        Args:
            states: the number of states visited before.
        """
        violation = breach.violation
        self.laws.add(violation.law)
        share = min(SHORTENING, MOST_SHORTENING / max(self.budget.left, MOST_SHORTENING))
        for candidate in (shorten(self.scheme, breach, self.budget.part(share)), breach):
            example = candidate.counterexample(self.scheme, self.attack)
            if confirm(example, self.scheme):
                bound = f"a sequence of {len(candidate.operations)} operations, found after {states:,}"
                finding = Finding(self.attack, violation.claim, "refuted", bound, example, states, self.seconds)
                self.findings.append(finding)
                self.tell(finding)
                return
        hint = "does the policy keep state outside of its fields?"
        self.undecided[violation.claim] = f"broken once, but not when repeated; {hint} {violation}"
        self.suspicions.setdefault(violation.claim, str(violation))

    def answers(self, claims: list[str], bound: str, states: int, within: str = "") -> Iterator[Finding]:
        """The refutations, and "held" or "undecided" for each other claim.

        Args:
            claims: the claims that the attack examines.
            bound: what was covered.
            states: the number of states visited.
            within: the bound in a few words.
        """
        yield from self.findings
        refuted = {finding.claim for finding in self.findings}
        for claim in claims:
            if claim in refuted:
                continue
            if not states:
                yield Finding(self.attack, claim, "undecided", "stopped before it began", None, 0, self.seconds)
            elif claim in self.undecided:
                yield Finding(
                    self.attack, claim, "undecided", self.undecided[claim], None, states, self.seconds,
                    suspicion=self.suspicions.get(claim, ""),
                )  # fmt: skip
            else:
                yield Finding(self.attack, claim, "held", bound, None, states, self.seconds, within)
