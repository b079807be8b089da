"""Counts of decisions and figures against the truth, over all moments of a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foliolab.framework.consequences.figures import FIGURES, Figure, Shown
from foliolab.framework.consequences.moment import Moment
from foliolab.framework.consequences.partial import PartialMappings
from foliolab.framework.consequences.result import Decided, Figured, PolicyOutcome
from foliolab.framework.contract.asker import Answers, Asker
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.machine import Machine


class Tally:
    """The counts of one policy on one source.

    Args:
        askers: in the order of the report.

    Attributes:
        moments: how many were looked at so far.
    """

    def __init__(self, scheme: Scheme, askers: Sequence[Asker]) -> None:
        self.scheme = scheme
        self.moments = 0
        self._asking = [(asker, Decided(name=asker.name)) for asker in askers]
        self._figured = [Figured(name=figure.name) for figure in FIGURES]
        self._partial = PartialMappings()

    def begin(self) -> None:
        """Another machine follows: the folios of the machine before are gone."""
        self._partial.finish()

    def look(self, machine: Machine, where: str) -> None:
        """Let every asker and figure look at a moment.

        Args:
            where: the moment's name.
        """
        moment = Moment(machine)
        for asker, decided in self._asking:
            if not decided.failed:
                _ask(decided, asker, moment, where)
        for figure, figured in zip(FIGURES, self._figured, strict=True):
            _figure(figured, figure, figure.ask(moment), where)
        self._partial.look(moment, where)
        self.moments += 1

    def outcome(self, stopped: str = "", exit_code: int = 0) -> PolicyOutcome:
        """The counts, at the end of the source or where it stopped.

        Args:
            stopped: why it ended early; empty if it did not.
            exit_code: what that means for the exit status.
        """
        return PolicyOutcome(
            policy=self.scheme.name,
            safe="safe" in self.scheme.capabilities,
            stopped=stopped,
            exit_code=exit_code,
            moments=self.moments,
            decisions=[decided for _, decided in self._asking],
            figures=self._figured,
            partial=self._partial.finish(),
        )


def _ask(decided: Decided, asker: Asker, moment: Moment, where: str) -> None:
    """Count an asker's answers; what its own code raises ends this asker only."""
    try:
        answers = _checked(asker.ask(moment))
    except Exception as fault:
        if fault is moment.fault:
            raise
        decided.failed = describe(fault)
        return
    _decide(decided, asker, answers, where)


def _checked(answers: Any) -> Answers:
    """The answers, if they are arrays of one length, those that say yes or no of truth values.

    Raises:
        TypeError: they are not.
    """
    if not isinstance(answers, Answers):
        raise TypeError(f"ask returns {answers!r:.60}, not Answers(...)")
    shapes = {name: getattr(array, "shape", None) for name, array in vars(answers).items()}
    if len(shapes["given"] or ()) != 1 or len(set(shapes.values())) != 1:
        raise TypeError(f"the arrays of its Answers are not of one length: {shapes}")
    for name in ("given", "right"):
        if getattr(answers, name).dtype != np.bool_:
            raise TypeError(f"Answers.{name} has the type {getattr(answers, name).dtype}, not bool")
    return answers


def _decide(decided: Decided, asker: Asker, answers: Answers, where: str) -> None:
    held_back, risked = answers.right & ~answers.given, answers.given & ~answers.right
    decided.asked += answers.given.size
    decided.held_back += int(held_back.sum())
    decided.risked += int(risked.sum())
    if held_back.any() and not decided.first_held_back:
        decided.first_held_back = _question(asker, answers, int(held_back.argmax()), where)
    if risked.any() and not decided.first_risked:
        decided.first_risked = _question(asker, answers, int(risked.argmax()), where)


def _question(asker: Asker, answers: Answers, index: int, where: str) -> str:
    mm = int(answers.mm[index])
    return f"{where}: {f'MM {mm}, ' if mm >= 0 else ''}{asker.of} {int(answers.of[index])}"


def _figure(figured: Figured, figure: Figure, shown: Shown, where: str) -> None:
    errors = np.abs(shown.given - shown.right)
    figured.values += errors.size
    figured.high += int((shown.given > shown.right).sum())
    figured.low += int((shown.given < shown.right).sum())
    figured.sum += float(errors.sum())
    nonzero = shown.right > 0
    relative = errors[nonzero] / shown.right[nonzero]
    figured.relative += relative.size
    figured.relative_sum += float(relative.sum())
    figured.largest_relative = max(figured.largest_relative, float(relative.max(initial=0.0)))
    if errors.size and errors.max() > figured.largest:
        index = int(errors.argmax())
        figured.largest, figured.given = float(errors[index]), float(shown.given[index])
        figured.right = float(shown.right[index])
        figured.at = f"{where}: {figure.per} {int(shown.of[index])}" if figure.per else where
