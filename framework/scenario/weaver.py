"""Threads and migrations in a random scenario: woven into its steps, which stay what they are.

A thread takes steps over from its process, and does the same to memory; a migration lets every process have the pages
that it had. So the scenario of a seed stays the same but for them.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from foliolab.framework.scenario.refusal import Refused
from foliolab.framework.scenario.space import Space
from foliolab.framework.scenario.syntax import Item, Pages, Region, Scenario, ScenarioStep

ACTIONS: Final = frozenset({"thread", "migrate"})
"""What can be woven in."""
BEGINS: Final = 0.12
"""Probability that a thread begins before a step."""
ENDS: Final = 0.03
"""Probability that a thread ends before a step."""
TAKES: Final = 0.6
"""Probability that a thread does a step of a process that has threads."""
MOVES: Final = 0.15
"""Probability of a migration before a step."""
MOST: Final = 4
"""Threads of a scenario besides those that processes begin with."""


class Weaver:
    """Weaves threads and migrations into a scenario.

    Args:
        scenario: of one region.
        actions: which of `ACTIONS` may be woven in.
    """

    def __init__(self, scenario: Scenario, actions: Collection[str]) -> None:
        self.scenario = scenario
        self.actions = actions
        self.chance = random.Random(f"threads and migrations of {scenario.name}")
        self.space = Space(scenario)
        self.items: list[Item] = []
        self.begun = 0

    def woven(self) -> Scenario:
        """The scenario with them."""
        for step in self.scenario.steps:
            if step.action != "cold":
                self._before(step)
            self._take(self._by_thread(step))
        return replace(self.scenario, items=tuple(self.items))

    def _take(self, step: ScenarioStep) -> None:
        try:
            self.space.apply(step)
        except Refused:
            return
        self.items.append(step)

    def _before(self, step: ScenarioStep) -> None:
        """What comes before a step; a migration may be of its pages, which others have brought into a rare state."""
        begins, ends, moves = (self.chance.random() < one for one in (BEGINS, ENDS, MOVES))
        actors = [*self.space.alive]
        threads = [name for name in actors if self.space.is_thread(name)]
        if begins and "thread" in self.actions and self.begun < MOST:
            self.begun += 1
            self._take(ScenarioStep(process=self.chance.choice(actors), action="thread", name=f"T{self.begun}"))
        if ends and threads:
            self._take(ScenarioStep(process=self.chance.choice(threads), action="exit"))
        if moves and "migrate" in self.actions:
            pages = self._pages(self.scenario.regions[0])
            if step.pages is not None and self.chance.random() < 0.5:
                pages = step.pages
            self._take(ScenarioStep(process=self.chance.choice(actors), action="migrate", pages=pages))

    def _by_thread(self, step: ScenarioStep) -> ScenarioStep:
        """The step, done by a thread of its process if there is one."""
        threads = [name for name, who in self.space.process_of.items() if who == step.process != name]
        living = [name for name in threads if name in self.space.alive]
        if step.action in ("exit", "exec") or not living or self.chance.random() > TAKES:
            return step
        return replace(step, process=self.chance.choice(living))

    def _pages(self, region: Region) -> Pages:
        """A page, or all pages of a folio."""
        first = self.chance.randrange(region.populated)
        if self.chance.random() < 0.5:
            return Pages(region.name, first, first)
        size = 1 << region.order
        head = first - first % size
        return Pages(region.name, head, head + size - 1)
