"""Sources of moments: a sharing pattern, a workload, or scenarios, run under one policy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from foliolab.framework.consequences.moment import SCRATCH_A_PAGE
from foliolab.framework.consequences.pattern_player import PatternPlayer, count_operations
from foliolab.framework.consequences.tally import Tally
from foliolab.framework.consequences.watched_machine import WatchedMachine
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.contract.workload import Setting, Workload
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import BeyondDeclared
from foliolab.framework.run.cases import shape_of, unfit
from foliolab.framework.scenario.formatter import step_text
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.model import unfit as unfit_scenario
from foliolab.framework.scenario.syntax import Scenario

PAGES: Final = 512
"""Pages that a pattern or a workload works on, at least: the size of a range that khugepaged may collapse."""
FOLIOS: Final = 4
"""Folios that a pattern works on, at least."""
MMS: Final = 4
"""Processes of a pattern at a time, unless the user says otherwise."""


class MomentSource(Protocol):
    """What makes a machine go from moment to moment.

    Attributes:
        name: as the user writes it.
        size: of its folios in KiB, if it was chosen; 0: its own.
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

    def run(self, tally: Tally, execution: Execution) -> None:
        """Run it under the tally's policy, and let the tally look at each moment."""
        ...


@dataclass(frozen=True)
class FromWorkload:
    """A workload: every operation of its preparation, then what a comparison would time.

    Args:
        workload: its threads run one after the other.
        wish: order of the folios; a workload that does not support it uses its largest one.
    """

    workload: Workload
    wish: int
    seed: int = 1

    @property
    def order(self) -> int:
        return self.wish if self.wish in self.workload.orders else max(self.workload.orders)

    @property
    def name(self) -> str:
        return self.workload.name

    @property
    def summary(self) -> str:
        return self.workload.summary

    @property
    def size(self) -> int:
        return 4 << self.order

    def unfit(self, scheme: Scheme) -> str:
        return unfit(self.workload, scheme, self.order)

    def run(self, tally: Tally, execution: Execution) -> None:
        pages = max(PAGES, self.workload.small, 2 << self.order)
        setting = Setting(self.order, pages, self.seed, counting=True)
        shape = shape_of(self.workload, setting)
        shape = replace(shape, scratch=max(shape.scratch, SCRATCH_A_PAGE * shape.nr_vpns))
        machine = WatchedMachine(tally.scheme, shape.fitting(tally.scheme), execution, tally.look)
        timed = self.workload.prepare(machine, setting)
        for call in [timed] if callable(timed) else timed:
            call()


def usage_for(order: int, mms: int = MMS) -> Usage:
    """The usage of a pattern, for folios of an order."""
    return Usage(mms, max(FOLIOS, PAGES >> order), order)


@dataclass(frozen=True)
class FromPattern:
    """A sharing pattern; its operations make the moments.

    Args:
        usage: how much it may use.
        moments: at most so many, evenly over the operations; 0: one after each operation.
    """

    pattern: SharingPattern
    usage: Usage
    seed: int = 1
    moments: int = 0

    @property
    def name(self) -> str:
        return self.pattern.name

    @property
    def summary(self) -> str:
        return self.pattern.summary

    @property
    def size(self) -> int:
        return 4 << self.usage.order

    def unfit(self, scheme: Scheme) -> str:
        if self.usage.mms > scheme.max_mm_id:
            return f"the pattern has {self.usage.mms} MMs, the policy tells {scheme.max_mm_id} apart"
        if self.usage.order > scheme.policy.max_order:
            return f"the policy is for folios up to order {scheme.policy.max_order}"
        return ""

    def run(self, tally: Tally, execution: Execution) -> None:
        """See `MomentSource`. If not every operation is looked at, a first pass counts them."""
        every = 1
        if self.moments:
            every = max(1, -(-count_operations(self.pattern, self.usage, self.seed) // self.moments))
        PatternPlayer(tally.scheme, self.usage, self.seed, execution, tally.look, every).play(self.pattern)


@dataclass(frozen=True)
class FromScenarios:
    """Scenarios, one after the other, each on a machine of its own; every step makes a moment.

    Args:
        name: of the scenario, or of all of them.
        scenarios: one or more.
        size: of the folios in KiB, if it was chosen; 0: the scenarios' own.
    """

    name: str
    summary: str
    scenarios: Sequence[Scenario]
    size: int = 0

    def unfit(self, scheme: Scheme) -> str:
        """See `MomentSource`. Of several scenarios, those that a policy does not support are skipped."""
        if self.scenarios[0].at_once:
            return f"{self.name} has steps at once, which are in no order"
        return "" if len(self.scenarios) > 1 else unfit_scenario(self.scenarios[0], scheme)

    def run(self, tally: Tally, execution: Execution) -> None:
        for scenario in self.scenarios:
            if unfit_scenario(scenario, tally.scheme):
                continue
            tally.begin()
            with suppress(BeyondDeclared):  # the rest of this scenario is not for the policy
                model = Model(scenario, tally.scheme, execution)
                for number, step in enumerate(scenario.steps):
                    model.step(number, step)
                    tally.look(model.machine, f"{scenario.name}, {step_text(step, answer=False)}")
