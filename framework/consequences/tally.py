"""Adds up what all askers found at the moments of a course."""

from __future__ import annotations

import numpy as np

from foliolab.framework.consequences.decisions import DECISIONS, Answers, Decision
from foliolab.framework.consequences.figures import FIGURES, Figure, Shown
from foliolab.framework.consequences.partial import Partial
from foliolab.framework.consequences.result import Decided, Figured, Outcome
from foliolab.framework.consequences.sample import Sample
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.machine import Machine


class Ledger:
    """The sums of one policy in one course.

    Args:
        scheme: the policy.

    Attributes:
        moments: looked at so far.
    """

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.moments = 0
        self._decided = [Decided(name=asker.name) for asker in DECISIONS]
        self._figured = [Figured(name=figure.name) for figure in FIGURES]
        self._partial = Partial()

    def begin(self) -> None:
        """Another machine begins: folios of the one before are gone."""
        self._partial.finish()

    def look(self, machine: Machine, where: str) -> None:
        """Let all askers ask.

        Args:
            machine: between two operations.
            where: the moment's name.
        """
        sample = Sample(machine)
        for asker, decided in zip(DECISIONS, self._decided, strict=True):
            _decide(decided, asker, asker.ask(sample), where)
        for figure, figured in zip(FIGURES, self._figured, strict=True):
            _figure(figured, figure, figure.ask(sample), where)
        self._partial.look(sample, where)
        self.moments += 1

    def outcome(self, stopped: str = "", exit_code: int = 0) -> Outcome:
        """What there is, at the end of the course or where it stopped."""
        return Outcome(
            policy=self.scheme.name,
            safe="safe" in self.scheme.capabilities,
            stopped=stopped,
            exit_code=exit_code,
            moments=self.moments,
            decisions=self._decided,
            figures=self._figured,
            partial=self._partial.finish(),
        )


def _decide(decided: Decided, asker: Decision, answers: Answers, where: str) -> None:
    held_back, risked = answers.right & ~answers.given, answers.given & ~answers.right
    decided.asked += answers.given.size
    decided.held_back += int(held_back.sum())
    decided.risked += int(risked.sum())
    if held_back.any() and not decided.first_held_back:
        decided.first_held_back = _place(asker, answers, int(held_back.argmax()), where)
    if risked.any() and not decided.first_risked:
        decided.first_risked = _place(asker, answers, int(risked.argmax()), where)


def _place(asker: Decision, answers: Answers, at: int, where: str) -> str:
    mm = int(answers.mm[at])
    return f"{where}: {f'MM {mm}, ' if mm >= 0 else ''}{asker.of} {int(answers.of[at])}"


def _figure(figured: Figured, figure: Figure, shown: Shown, where: str) -> None:
    errors = np.abs(shown.given - shown.right)
    figured.values += errors.size
    figured.high += int((shown.given > shown.right).sum())
    figured.low += int((shown.given < shown.right).sum())
    figured.sum += float(errors.sum())
    some = shown.right > 0
    relative = errors[some] / shown.right[some]
    figured.relative += relative.size
    figured.relative_sum += float(relative.sum())
    figured.largest_relative = max(figured.largest_relative, float(relative.max(initial=0.0)))
    if errors.size and errors.max() > figured.largest:
        at = int(errors.argmax())
        figured.largest, figured.given = float(errors[at]), float(shown.given[at])
        figured.right = float(shown.right[at])
        figured.at = f"{where}: {figure.per} {int(shown.of[at])}" if figure.per else where
