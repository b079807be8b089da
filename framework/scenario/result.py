"""A scenario's result: what every policy and the running kernel did, and which expectations they did not meet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from foliolab.framework.scenario.difference import Difference
from foliolab.framework.scenario.expectations import Failure, count, failures
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario


@dataclass(frozen=True)
class Run:
    """A scenario's run by a policy, or by the running kernel.

    Attributes:
        by: the policy's name; for the kernel its release.
        records: one a step.
        expected: how many expectations were looked at.
        failures: those that were not met.
    """

    by: str
    records: Sequence[Record]
    expected: int = 0
    failures: tuple[Failure, ...] = ()

    def verdicts(self, kind: str) -> int:
        """How many verdicts there are of a kind: right, false shared, unsafe."""
        return sum(verdict.kind == kind for record in self.records for verdict in record.verdicts)


@dataclass(frozen=True)
class ScenarioResult:
    """All runs of a scenario.

    Attributes:
        scenario: what was run.
        runs: a policy each, on the engine.
        kernel: the running kernel's; None where it was not asked for, or could not do it.
        skipped: why it could not.
        model: the policy that models this kernel; "" for none, or where the kernel did not run.
        differences: between that policy's run and the kernel's.
        discarded: runs on the kernel that it disturbed by moving pages.
    """

    scenario: Scenario
    runs: tuple[Run, ...]
    kernel: Run | None = None
    skipped: str = ""
    model: str = ""
    differences: tuple[Difference, ...] = ()
    discarded: int = 0

    @property
    def good(self) -> bool:
        """Whether all expectations hold, and the kernel did what its model says."""
        failed = any(run.failures for run in (*self.runs, *([self.kernel] if self.kernel else [])))
        return not failed and not self.differences


def judged(scenario: Scenario, by: str, records: Sequence[Record], of: Collection[str], kernel: bool = False) -> Run:
    """A run, with the expectations that it did not meet.

    Args:
        by: who made it.
        records: what it saw.
        of: what the scenario calls the policy (`expectations.failures`).
        kernel: whether the running kernel made it.
    """
    return Run(by, records, count(scenario, of, kernel), tuple(failures(scenario, records, of)))
