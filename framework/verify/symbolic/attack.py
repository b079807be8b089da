"""The symbolic attack: the policy's own functions on solver terms, all MM IDs, counts and orders of a class at once.

The text runs once for each class of orders that it treats alike. If its state is a sum (see `sums`), one question
covers any number of operations; otherwise operations are put one after the other. Each question is whether a law
can be broken: no is a proof within the bound, yes gives IDs and counts that the interpreted engine must confirm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.finding import OWED, Finding, Verdict

if TYPE_CHECKING:
    from foliolab.framework.verify.symbolic.search import Outcome

NAME: Final = "symbolic"
STEPS: Final = 8
"""Operations in a row."""
OWNERS: Final = 5
"""MMs at a time, at most, where the state is a sum."""


@dataclass
class _Ledger:
    """What is known of each claim, by class."""

    rows: dict[str, list[Outcome]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.rows.setdefault(outcome.claim, []).append(outcome)

    def findings(self, seconds: float) -> Iterator[Finding]:
        for claim, rows in self.rows.items():
            for verdict in ("refuted", "undecided", "held"):
                mine = [row for row in rows if row.verdict == verdict]
                yield from self._told(claim, verdict, mine, seconds)

    def _told(self, claim: str, verdict: Verdict, rows: list[Outcome], seconds: float) -> Iterator[Finding]:
        if verdict == "refuted":
            seen: set[str] = set()
            for row in rows:
                if row.law not in seen:
                    seen.add(row.law)
                    also = [one.what for one in rows if one.law == row.law and one.what != row.what]
                    more = f"; also {', '.join(also)}" if also else ""
                    yield Finding(NAME, claim, verdict, row.bound + more, row.example, row.asked, seconds)
            return
        bounds: dict[str, list[str]] = {}
        for row in rows:
            bounds.setdefault(row.within, [])
            if row.what not in bounds[row.within]:
                bounds[row.within].append(row.what)
        if bounds:
            text = "; ".join(f"{', '.join(whats)}: {within}" for within, whats in bounds.items())
            yield Finding(NAME, claim, verdict, text, None, sum(row.asked for row in rows), seconds)


class Symbolic:
    """The attack, for the verifier.

    Args:
        steps: operations in a row, at most, where the order of operations matters.
        orders: of folios; by default all that the policy supports.
    """

    name = NAME

    def __init__(self, steps: int = STEPS, orders: range | None = None) -> None:
        self.steps = steps
        self.orders = orders

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        """See `attack.Attack`."""
        from foliolab.framework.verify.symbolic.search import Search

        began = time.monotonic()
        ledger = _Ledger()
        told: set[tuple[str, str]] = set()
        try:
            for outcome in Search(scheme, budget, self.steps, self.orders, self._teller(tell)).outcomes():
                ledger.add(outcome)
                if outcome.example is not None and (outcome.claim, outcome.law) not in told:
                    told.add((outcome.claim, outcome.law))
                    seconds = time.monotonic() - began
                    tell(Finding(NAME, outcome.claim, "refuted", outcome.bound, outcome.example, 0, seconds))
        except InterruptedError:  # before the first class was known
            return self._nothing(scheme, "the time was over before anything was asked", began)
        except FolioLabError as fault:
            return self._nothing(scheme, fault.what, began)
        return list(ledger.findings(time.monotonic() - began))

    @staticmethod
    def _nothing(scheme: Scheme, why: str, began: float) -> list[Finding]:
        claims = [OWED, *sorted({"safe", "exact", "reuse"} & scheme.capabilities)]
        seconds = time.monotonic() - began
        return [Finding(NAME, claim, "undecided", why, None, 0, seconds) for claim in claims]

    @staticmethod
    def _teller(tell: Tell) -> Tell:
        last = 0.0

        def now_and_then(progress: Progress | Finding) -> None:
            nonlocal last
            if time.monotonic() - last > 0.1:
                last = time.monotonic()
                tell(progress)

        return now_and_then
