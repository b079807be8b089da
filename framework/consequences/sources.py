"""Courses: what makes the moments at which all askers ask. A sharing pattern, a workload, or scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from foliolab.framework.consequences.pattern_player import Played, Rehearsal
from foliolab.framework.consequences.sample import SCRATCH_A_PAGE
from foliolab.framework.consequences.tally import Ledger
from foliolab.framework.consequences.watched_machine import Watched
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.contract.workload import Setting, Workload
from foliolab.framework.engine.engine import Execution
from foliolab.framework.run.cases import applies, shape_of
from foliolab.framework.scenario.formatter import step_text
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.syntax import Scenario

PAGES: Final = 512
"""Pages that a pattern or a workload works on, at least: a range that khugepaged could collapse."""
FOLIOS: Final = 4
"""Folios that a pattern works on, at least."""
MMS: Final = 4
"""Processes of a pattern at a time, unless the user says otherwise."""


class Source(Protocol):
    """What a course is made of.

    Attributes:
        name: as the user writes it.
        summary: one line.
        size: of its folios in KiB, where it was chosen; 0: its own.
    """

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    @property
    def size(self) -> int: ...

    def unfit(self, scheme: Scheme) -> str:
        """Why a policy cannot take part; empty where it can."""
        ...

    def run(self, ledger: Ledger, execution: Execution) -> None:
        """Take the ledger's policy through all of it."""
        ...


@dataclass(frozen=True)
class FromWorkload:
    """A workload: every operation of its preparation, then what a comparison would time.

    Args:
        workload: any; threads of it run one after the other.
        wish: order of the folios; if it is not made for that, its largest one.
        seed: for whatever is random in it.
    """

    workload: Workload
    wish: int
    seed: int = 1

    @property
    def order(self) -> int:
        """The folios'."""
        return self.wish if self.wish in self.workload.orders else max(self.workload.orders)

    @property
    def name(self) -> str:
        """The workload's."""
        return self.workload.name

    @property
    def summary(self) -> str:
        """The workload's."""
        return self.workload.summary

    @property
    def size(self) -> int:
        """The folios' in KiB."""
        return 4 << self.order

    def unfit(self, scheme: Scheme) -> str:
        """Why a policy cannot take part; empty where it can."""
        if applies(self.workload, scheme):
            return ""
        lacking = ", ".join(sorted(self.workload.needs - scheme.capabilities))
        return f"{self.name} needs what it does not claim: {lacking}"

    def run(self, ledger: Ledger, execution: Execution) -> None:
        """Prepare, then do what would be timed."""
        pages = max(PAGES, self.workload.small, 2 << self.order)
        setting = Setting(self.order, pages, self.seed, counting=True)
        shape = shape_of(self.workload, setting)
        shape = replace(shape, scratch=max(shape.scratch, SCRATCH_A_PAGE * shape.nr_vpns))
        machine = Watched(ledger.scheme, shape, execution, ledger.look)
        timed = self.workload.prepare(machine, setting)
        for call in [timed] if callable(timed) else timed:
            call()


def usage_for(order: int, mms: int = MMS) -> Usage:
    """How much a pattern may use, for folios of an order."""
    return Usage(mms, max(FOLIOS, PAGES >> order), order)


@dataclass(frozen=True)
class FromPattern:
    """A sharing pattern: every operation that it tells processes to do.

    Args:
        pattern: any.
        usage: how much it may use.
        seed: for whatever is random in it.
        moments: at most so many, evenly over the operations; 0: after each operation.
    """

    pattern: SharingPattern
    usage: Usage
    seed: int = 1
    moments: int = 0

    @property
    def name(self) -> str:
        """The pattern's."""
        return self.pattern.name

    @property
    def summary(self) -> str:
        """The pattern's."""
        return self.pattern.summary

    @property
    def size(self) -> int:
        """The folios' in KiB."""
        return 4 << self.usage.order

    def unfit(self, scheme: Scheme) -> str:
        """Why a policy cannot take part: none."""
        return ""

    def run(self, ledger: Ledger, execution: Execution) -> None:
        """Play it: once to count its operations, if not all are to be looked at, and then with the policy."""
        every = 1
        if self.moments:
            rehearsal = Rehearsal(self.usage, self.seed)
            self.pattern.play(rehearsal, self.usage)
            every = max(1, -(-rehearsal.operations // self.moments))
        self.pattern.play(Played(ledger.scheme, self.usage, self.seed, execution, ledger.look, every), self.usage)


@dataclass(frozen=True)
class FromScenarios:
    """Scenarios, one after the other, every step a moment; each on a machine of its own.

    Args:
        name: the scenario's, or of all of them.
        summary: one line.
        scenarios: one or more.
        size: of the folios in KiB, where it was chosen; 0: the scenarios' own.
    """

    name: str
    summary: str
    scenarios: Sequence[Scenario]
    size: int = 0

    def unfit(self, scheme: Scheme) -> str:
        """Why a policy cannot take part; empty where it can: mapping by PMDs is asked of no policy without it."""
        if all(self._fits(scenario, scheme) for scenario in self.scenarios):
            return ""
        return "" if len(self.scenarios) > 1 else f"{self.name} maps folios by PMDs, which it does not claim"

    @staticmethod
    def _fits(scenario: Scenario, scheme: Scheme) -> bool:
        return "pmd" in scheme.capabilities or not any(region.pmd for region in scenario.regions)

    def run(self, ledger: Ledger, execution: Execution) -> None:
        """Do all steps of all those that the policy fits."""
        for scenario in self.scenarios:
            if not self._fits(scenario, ledger.scheme):
                continue
            ledger.begin()
            model = Model(scenario, ledger.scheme, execution)
            for number, step in enumerate(scenario.steps):
                model.step(number, step)
                ledger.look(model.machine, f"{scenario.name}, {step_text(step, answer=False)}")
