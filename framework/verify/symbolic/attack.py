"""The symbolic attack: a policy's own functions on solver terms, for all MM IDs, counts and orders of a class at once.

docs/symbolic.md explains how it works, with one worked query.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.finding import OWED, Finding

if TYPE_CHECKING:
    from foliolab.framework.verify.symbolic.search import Outcome

NAME: Final = "symbolic"
STEPS: Final = 8
"""Operations in a row."""
PROGRESS: Final = 0.1
"""Seconds between two reports of progress."""


class Symbolic:
    """The attack, as the verifier calls it.

    Args:
        steps: operations in a row, at most, where their order matters.
        orders: the orders of folios; by default all that the policy supports.
    """

    name = NAME

    def __init__(self, steps: int = STEPS, orders: range | None = None) -> None:
        self.steps = steps
        self.orders = orders

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        """See `attack.Attack`."""
        from foliolab.framework.verify.symbolic.search import Search

        began = time.monotonic()
        outcomes: list[Outcome] = []
        seen: set[tuple[str, str]] = set()
        try:
            for outcome in Search(scheme, budget, self.steps, self.orders, _seldom(tell)).outcomes():
                outcomes.append(outcome)
                if outcome.example is not None and (outcome.claim, outcome.law) not in seen:
                    seen.add((outcome.claim, outcome.law))
                    bound = f"{outcome.folios}: {outcome.bound}"
                    seconds = time.monotonic() - began
                    tell(Finding(NAME, outcome.claim, "refuted", bound, outcome.example, 0, seconds))
        except InterruptedError:
            return _undecided(scheme, "the time was over before anything was asked", began)
        except FolioLabError as fault:
            return _undecided(scheme, fault.what, began)
        seconds = time.monotonic() - began
        claims = dict.fromkeys(outcome.claim for outcome in outcomes)
        return [finding for claim in claims for finding in _findings(claim, outcomes, seconds)]


def _undecided(scheme: Scheme, reason: str, began: float) -> list[Finding]:
    claims = [OWED, *sorted({"safe", "exact", "reuse"} & scheme.capabilities)]
    seconds = time.monotonic() - began
    return [Finding(NAME, claim, "undecided", reason, None, 0, seconds) for claim in claims]


def _seldom(tell: Tell) -> Tell:
    last = 0.0

    def tell_seldom(progress: Progress | Finding) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS:
            last = time.monotonic()
            tell(progress)

    return tell_seldom


def _findings(claim: str, outcomes: list[Outcome], seconds: float) -> Iterator[Finding]:
    """One finding for each broken law of a claim, and one for all classes with the same verdict."""
    refuted = [outcome for outcome in outcomes if (outcome.claim, outcome.verdict) == (claim, "refuted")]
    for law in dict.fromkeys(outcome.law for outcome in refuted):
        first, *others = (outcome for outcome in refuted if outcome.law == law)
        also = ", ".join(other.folios for other in others if other.folios != first.folios)
        bound = f"{first.folios}: {first.bound}" + (f"; also {also}" if also else "")
        yield Finding(NAME, claim, "refuted", bound, first.example, first.queries, seconds)
    for verdict in ("undecided", "held"):
        rows = [outcome for outcome in outcomes if (outcome.claim, outcome.verdict) == (claim, verdict)]
        bounds: dict[str, dict[str, None]] = {}
        for row in rows:
            bounds.setdefault(row.bound, {})[row.folios] = None
        if bounds:
            text = "; ".join(f"{', '.join(folios)}: {bound}" for bound, folios in bounds.items())
            queries = sum(row.queries for row in rows)
            suspicion = next((row.bound for row in rows if row.suspected), "")
            short = dict.fromkeys(row.within or row.bound for row in rows)
            within = " and ".join(short) if verdict == "held" else ""
            yield Finding(NAME, claim, verdict, text, None, queries, seconds, within, suspicion)
