"""The result of a scenario: the runs of the policies and of the running kernel, and the expectations they missed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from foliolab.framework.scenario.difference import Difference
from foliolab.framework.scenario.expectations import Failure, count, failures, wrong
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario


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
    """

    by: str
    records: Sequence[Record]
    expected: int = 0
    failures: tuple[Failure, ...] = ()
    wrong: tuple[Failure, ...] = ()
    differences: tuple[Difference, ...] = ()
    binding: bool = False

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
    return ScenarioRun(by, records, count(scenario, of, kernel), missed, tuple(wrong(records, claims)))
