"""The result of a scenario: the runs of the policies and of the running kernel, and the expectations they missed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from foliolab.framework.scenario.difference import Difference, differences
from foliolab.framework.scenario.expectations import Failure, count, failures, wrong
from foliolab.framework.scenario.record import UNSEEN, Record
from foliolab.framework.scenario.syntax import Scenario


@dataclass(frozen=True)
class Interleaving:
    """One of the interleavings of the steps that run at once.

    Attributes:
        records: one for each step of the scenario.
        schedule: the turns of the processes, as in a counterexample (see `verify.counterexample`).
    """

    records: Sequence[Record]
    schedule: str


@dataclass(frozen=True)
class Breach:
    """A law that an interleaving breaks, whatever the scenario expects.

    Attributes:
        failure: what is broken, in words.
        law: its name.
        schedule: of the interleaving.
    """

    failure: Failure
    law: str
    schedule: str


@dataclass(frozen=True)
class Interleavings:
    """Every interleaving of the steps that run at once.

    Attributes:
        outcomes: one interleaving for each outcome that differs in what a record has.
        states: that were explored.
        bound: which interleavings were explored, in words; empty: every one.
        breaches: laws that interleavings break.
    """

    outcomes: tuple[Interleaving, ...]
    states: int
    bound: str = ""
    breaches: tuple[Breach, ...] = ()

    def texts(self, number: int) -> tuple[str, ...]:
        """What a step did, each different text once."""
        return tuple(dict.fromkeys(one.records[number].text for one in self.outcomes))


@dataclass(frozen=True)
class ScenarioRun:
    """A scenario's run under a policy, or on the running kernel.

    Attributes:
        by: the policy's name, or the kernel's release.
        records: one for each step.
        expected: how many expectations were checked.
        failures: the expectations that were not met.
        wrong: what no policy with its claims may do (see `expectations.wrong`).
        differences: between this run and the kernel's, if they were compared.
        binding: whether a difference is a failure: the policy models this kernel.
        interleavings: of the steps that run at once, if there are any; `records` are then those of one of them: the
            first that breaks an expectation, if there is one.
        schedule: of that interleaving.
    """

    by: str
    records: Sequence[Record]
    expected: int = 0
    failures: tuple[Failure, ...] = ()
    wrong: tuple[Failure, ...] = ()
    differences: tuple[Difference, ...] = ()
    binding: bool = False
    interleavings: Interleavings | None = None
    schedule: str = ""

    def compared(self, kernel: Sequence[Record], binding: bool) -> ScenarioRun:
        """This run with its differences from the kernel's: those of the outcome that is the most like it."""
        if self.interleavings is None:
            return replace(self, differences=tuple(differences(self.records, kernel)), binding=binding)
        found = [tuple(differences(one.records, kernel)) for one in self.interleavings.outcomes]
        return replace(self, differences=min(found, key=len, default=()), binding=binding)

    def verdicts(self, kind: str) -> int:
        return sum(verdict.kind == kind for record in self.records for verdict in record.verdicts)


@dataclass(frozen=True)
class ScenarioResult:
    """All runs of a scenario.

    Attributes:
        runs: on the engine, one for each policy.
        kernel: on the running kernel; None if it was not asked for or not possible.
        skipped: why it was not possible.
        model: the policy that models this kernel; "" if there is none, or the kernel did not run.
        discarded: runs that the kernel disturbed by moving pages.
    """

    scenario: Scenario
    runs: tuple[ScenarioRun, ...]
    kernel: ScenarioRun | None = None
    skipped: str = ""
    model: str = ""
    discarded: int = 0

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Those between the kernel and the policy that models it."""
        return next((run.differences for run in self.runs if run.by == self.model), ())

    @property
    def good(self) -> bool:
        """Whether all expectations are met, nothing wrong was done, and the kernel did what its model says."""
        runs = (*self.runs, *([self.kernel] if self.kernel else []))
        return not any(run.failures or run.wrong or (run.binding and run.differences) for run in runs)


def judged(
    scenario: Scenario,
    by: str,
    records: Sequence[Record],
    of: Collection[str],
    kernel: bool = False,
    claims: Collection[str] = (),
) -> ScenarioRun:
    """A run with the expectations that it did not meet.

    Args:
        by: the policy's name, or the kernel's release.
        of: the names under which the scenario expects something of it (see `expectations.failures`).
        kernel: whether it is a run of the kernel.
        claims: of the policy.
    """
    missed = tuple(failures(scenario, records, of))
    unseen = [number for number, record in enumerate(records) if UNSEEN in record.outcomes]
    checked = count(scenario, of, kernel, unseen)
    return ScenarioRun(by, records, checked, missed, tuple(wrong(records, claims)))


def judged_in_all(
    scenario: Scenario,
    by: str,
    found: Interleavings,
    of: Collection[str],
    claims: Collection[str] = (),
) -> ScenarioRun:
    """A run of steps at once, with the expectations that one of its interleavings does not meet.

    Args:
        found: the interleavings; there is at least one, unless a law broke in all.
        by, of, claims: as in `judged`.
    """
    runs = [(judged(scenario, by, one.records, of, False, claims), one.schedule) for one in found.outcomes]
    missed = {(one.line, one.expected, one.step): one for run, _ in reversed(runs) for one in run.failures}
    bad = {(one.line, one.expected, one.step): one for run, _ in reversed(runs) for one in run.wrong}
    shown, schedule = next(((run, text) for run, text in runs if run.failures or run.wrong), runs[0])
    return replace(
        shown,
        failures=tuple(sorted(missed.values(), key=lambda one: one.line)),
        wrong=(*sorted(bad.values(), key=lambda one: one.line), *(one.failure for one in found.breaches)),
        interleavings=found,
        schedule=schedule,
    )
