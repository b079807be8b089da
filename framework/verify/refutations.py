"""What one attack has refuted: each breach shortened, confirmed, and told at once."""

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
"""Of the time that is left, how much may go into making one breach shorter."""
MOST_SHORTENING: Final = 4.0
"""The same in seconds."""


class Refutations:
    """Collects an attack's refutations, and says what is left.

    Args:
        attack: its name.
        scheme: the policy.
        budget: of the attack.
        tell: told of each refutation.
    """

    def __init__(self, attack: str, scheme: Scheme, budget: Budget, tell: Tell) -> None:
        self.attack = attack
        self.scheme = scheme
        self.budget = budget
        self.tell = tell
        self.findings: list[Finding] = []
        self.laws: set[str] = set()
        """Laws that need no further breach."""
        self.unclear: dict[str, str] = {}
        """Claims that can be neither held nor refuted: why."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the attack began."""
        return time.monotonic() - self._began

    def add(self, breach: Breach, states: int) -> None:
        """A law is broken: shorten what shows it, and tell of it once the interpreted engine has confirmed it.

        Args:
            breach: what shows it.
            states: how many were looked at before.
        """
        violation = breach.violation
        self.laws.add(violation.law)
        share = min(SHORTENING, MOST_SHORTENING / max(self.budget.left, MOST_SHORTENING))
        for one in (shorten(self.scheme, breach, self.budget.part(share)), breach):
            example = one.counterexample(self.scheme, self.attack)
            if confirm(example, self.scheme):
                bound = f"a sequence of {len(one.operations)} operations, found after {states:,}"
                finding = Finding(self.attack, violation.claim, "refuted", bound, example, states, self.seconds)
                self.findings.append(finding)
                self.tell(finding)
                return
        self.unclear[violation.claim] = f"broken once and never again; does it keep state elsewhere? {violation}"

    def answers(self, claims: list[str], bound: str, states: int) -> Iterator[Finding]:
        """The refutations, and for each other claim that it held, or why that is not known.

        Args:
            claims: those that the attack speaks about.
            bound: what was covered.
            states: how many were looked at.
        """
        yield from self.findings
        refuted = {finding.claim for finding in self.findings}
        for claim in claims:
            if claim in refuted:
                continue
            if not states:
                yield Finding(self.attack, claim, "undecided", "stopped before it began", None, 0, self.seconds)
            elif claim in self.unclear:
                yield Finding(self.attack, claim, "undecided", self.unclear[claim], None, states, self.seconds)
            else:
                yield Finding(self.attack, claim, "held", bound, None, states, self.seconds)
