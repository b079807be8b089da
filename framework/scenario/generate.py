"""Random scenarios, all short scenarios, and the shrinking of one that shows a fault."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from foliolab.framework.engine import delta_debugging
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.scenario.episode import Episode
from foliolab.framework.scenario.refusal import Refused
from foliolab.framework.scenario.space import Space, check
from foliolab.framework.scenario.syntax import Item, Pages, Region, Scenario, ScenarioStep
from foliolab.framework.scenario.weaver import ACTIONS as woven
from foliolab.framework.scenario.weaver import Weaver

NAMES: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WEIGHTS: Final = {
    "write": 34, "fork": 18, "exit": 14, "munmap": 8, "dontneed": 6, "mremap": 6, "mprotect": 4, "vmsplice": 4,
    "close": 5, "pin": 3, "unpin": 5, "exec": 1, "read": 1, "pageout": 5,
}  # fmt: skip
"""Relative frequency of each action. A step that is not possible is replaced by another try."""
TRIES: Final = 40
"""Tries for one step."""
LEAVE: Final = 0.03
"""Probability that all processes but one exit, one after the other."""
SHED: Final = 0.05
"""Probability that a process unmaps all of a folio but its first or last page."""
EPISODES: Final = 0.2
"""Probability of an episode (see `episode`), at each try of a step."""
TABLES: Final = 0.2
"""Probability that the memory reaches into one more page table than its folios."""


@dataclass(frozen=True)
class Mix:
    """The choices of random scenarios.

    Args:
        orders: of the folios.
        steps: at most so many in a scenario; threads and migrations come besides (see `weaver`).
        processes: alive at a time, at most.
        actions: allowed ones, out of `syntax.ACTIONS`. Not among the default ones are pageout, which needs swap,
            migrate, which needs a second NUMA node, and thread, which makes a difference to a kernel only.
    """

    orders: tuple[int, ...] = (0, *range(2, PMD_ORDER + 1))
    steps: int = 24
    processes: int = 5
    actions: frozenset[str] = frozenset({*WEIGHTS, "cold"}) - {"pageout"}


class Author:
    """Writes one random scenario; `chance` decides everything.

    Args:
        seed: of `chance`.
        mix: the choices.

    Attributes:
        space: the address spaces after the steps that were taken.
    """

    def __init__(self, seed: int, mix: Mix) -> None:
        self.chance = random.Random(seed)
        self.mix = mix
        order = mix.orders[seed % len(mix.orders)]
        folios = self.chance.choice((1, 1, 2)) if order else self.chance.choice((4, 8))
        self.region = Region(
            name="heap",
            folios=folios,
            order=order,
            pmd=order == PMD_ORDER and self.chance.random() < 0.5,
            room=self.room(folios, order),
        )
        self.references = 0
        start = ScenarioStep(process="A", action="read", pages=Pages("heap", 0, 0))
        self.scenario = Scenario(name=f"random-{seed}", regions=(self.region,), items=(start,))
        self.space = Space(self.scenario)

    def room(self, folios: int, order: int) -> int:
        """Unpopulated pages behind the folios; sometimes enough for a folio whose PTEs lie in two page tables."""
        size, populated = 1 << order, folios << order
        if not order:
            return 4
        if self.chance.random() < TABLES:
            end = -(-(populated + size // 2) // PTRS_PER_PTE) * PTRS_PER_PTE
            return end + size - populated
        return self.chance.choice((0, size, populated, populated))

    def write(self) -> Scenario:
        steps: list[ScenarioStep] = []
        weights = {name: weight for name, weight in WEIGHTS.items() if name in self.mix.actions}
        wanted = self.chance.randint(self.mix.steps // 2, self.mix.steps)
        tries = 0
        while len(steps) < wanted and tries < TRIES:
            tries += 1
            if self.chance.random() < EPISODES:
                moves: Iterable[ScenarioStep] = Episode(self).steps()
            else:
                moves = self.move(self.chance.choices([*weights], [*weights.values()])[0])
            for step in moves:
                if len(steps) < self.mix.steps and self.take(step):
                    steps.append(step)
                    tries = 0
        if "cold" in self.mix.actions and self.region.order:
            steps += [step for step in self.finale() if self.take(step)]
        return replace(self.scenario, items=tuple(steps))

    def can(self, step: ScenarioStep) -> bool:
        """Whether a step is among the actions of the mix, and possible now."""
        if step.action not in self.mix.actions:
            return False
        try:
            deepcopy(self.space).apply(step)
        except Refused:
            return False
        return True

    def take(self, step: ScenarioStep) -> bool:
        """Do a step, if it can be done."""
        if possible := self.can(step):
            self.space.apply(step)
        return possible

    def finale(self) -> list[ScenarioStep]:
        """MADV_COLD at the end, which shows the policy's answer; often when a single process is left."""
        moves: list[ScenarioStep] = []
        if self.chance.random() < 0.5:
            moves += self.leaving()
        left = [name for name in self.space.alive if all(step.process != name for step in moves)]
        who = self.chance.choice(left)
        if self.chance.random() < 0.5:
            moves += self.shedding(who)
        unmapped = [step.pages for step in moves if step.pages is not None]
        present = [int(page) for page in self.space.alive[who].present.nonzero()[0]]
        present = [page for page in present if not any(part.first <= page <= part.last for part in unmapped)]
        page = self.chance.choice(present or [0])
        return [*moves, ScenarioStep(process=who, action="cold", pages=Pages("heap", page, page))]

    def leaving(self) -> list[ScenarioStep]:
        names = [*self.space.alive]
        self.chance.shuffle(names)
        return [ScenarioStep(process=name, action="exit") for name in names[1:]]

    def shedding(self, process: str) -> list[ScenarioStep]:
        """A process unmaps all of a folio but its first or last page, and may write that page."""
        size = 1 << self.region.order
        head = self.chance.randrange(max(1, self.region.folios)) * size
        first, kept = self.chance.choice(((head + 1, head), (head, head + size - 1)))
        steps = [ScenarioStep(process=process, action="munmap", pages=Pages("heap", first, first + size - 2))]
        if self.chance.random() < 0.3:
            steps.append(ScenarioStep(process=process, action="write", pages=Pages("heap", kept, kept)))
        return steps

    def move(self, action: str) -> Iterable[ScenarioStep]:
        """A step with that action, or several that belong together; they may be impossible."""
        chance = self.chance.random()
        if action == "exit" and chance < LEAVE / self.share("exit"):
            return self.leaving()
        if action == "munmap" and self.region.order and chance < SHED / self.share("munmap"):
            return self.shedding(self.chance.choice([*self.space.alive]))
        step = self.step(action)
        return [] if step is None else [step]

    def share(self, action: str) -> float:
        return WEIGHTS[action] / sum(weight for name, weight in WEIGHTS.items() if name in self.mix.actions)

    def step(self, action: str) -> ScenarioStep | None:
        """A step with that action; it may be impossible. None if no such step can be made up."""
        made = ScenarioStep(process=self.chance.choice([*self.space.alive]), action=action)
        if action in ("exec", "exit"):
            return made if len(self.space.alive) > 1 else None
        if action == "fork":
            return self.fork(made)
        if action in ("unpin", "close"):
            return self.let_go(made)
        if action in ("pin", "vmsplice"):
            return self.held(made, self.pages(True))
        pages = self.pages(action == "read")
        return replace(made, pages=pages, to=self.target(pages) if action == "mremap" else None)

    def fork(self, made: ScenarioStep) -> ScenarioStep | None:
        """A fork, sometimes without a part of the memory."""
        if len(self.space.alive) >= self.mix.processes or len(self.space.process_of) == len(NAMES):
            return None
        part = self.pages(False) if self.chance.random() < 0.15 else None
        return replace(made, name=NAMES[len(self.space.process_of)], pages=part)

    def held(self, made: ScenarioStep, page: Pages) -> ScenarioStep:
        """A pin of a page, or a reference by a pipe, under a new name."""
        self.references += 1
        return replace(made, pages=page, name=f"{made.action[0]}{self.references}")

    def let_go(self, made: ScenarioStep) -> ScenarioStep | None:
        """Undo one of the pins, or close one of the pipes."""
        wanted = "pin" if made.action == "unpin" else "vmsplice"
        held = [(name, owner) for name, (owner, how) in self.space.held.items() if how == wanted]
        if not held:
            return None
        name, owner = self.chance.choice(held)
        return replace(made, process=owner, name=name)

    def target(self, pages: Pages) -> Pages:
        """The target of mremap: half of the time at the same offset in a folio, so that a PMD can move whole."""
        size = 1 << self.region.order
        to = self.chance.randrange(0, max(1, self.region.nr_pages - pages.nr + 1))
        if self.chance.random() < 0.5:
            to = min(to - to % size + pages.first % size, to)
        return Pages("heap", to, to + pages.nr - 1)

    def pages(self, single: bool) -> Pages:
        """A page, a whole folio, a part of a folio, or any range."""
        size = 1 << self.region.order
        kind = self.chance.random()
        first = self.chance.randrange(self.region.nr_pages)
        if single or kind < 0.4:
            return Pages("heap", first, first)
        head = first - first % size
        end = min(head + size, self.region.nr_pages) - 1
        if kind < 0.7:
            return Pages("heap", head, end)
        if kind < 0.9:
            return Pages("heap", first, self.chance.randint(first, end))
        return Pages("heap", first, self.chance.randint(first, self.region.nr_pages - 1))


def random_scenario(seed: int, mix: Mix | None = None) -> Scenario:
    """The scenario of a seed and a mix; the same ones give the same scenario."""
    mix = mix or Mix()
    made = Author(seed, mix).write()
    return Weaver(made, mix.actions).woven() if mix.actions & woven else made


def all_scenarios(
    depth: int, order: int, pmd: bool = False, actions: Iterable[str] | None = None
) -> Iterator[Scenario]:
    """Every sequence of `depth` steps on one folio, up to the names of children.

    In a step, any living process forks, exits, writes or unmaps: the first page, all pages, or all but the first.
    Sequences that are not possible are left out, and so are those in which the last process exits.

    Args:
        depth: the number of steps.
        order: of the folio.
        pmd: whether a PMD maps it.
        actions: a selection of `fork`, `exit`, `write`, `munmap`; all by default.
    """
    last = (1 << order) - 1
    region = Region(name="heap", folios=1, order=order, pmd=pmd)
    chosen = {"fork", "exit", "write", "munmap"} if actions is None else set(actions)
    spans = [Pages("heap", 0, 0), *([Pages("heap", 0, last), Pages("heap", 1, last)] if last else [])]

    def grow(steps: tuple[ScenarioStep, ...], space: Space) -> Iterator[tuple[ScenarioStep, ...]]:
        if len(steps) == depth:
            yield steps
            return
        for process in [*space.alive]:
            for step in moves(process, space):
                after = deepcopy(space)
                try:
                    after.apply(step)
                except Refused:
                    continue
                yield from grow((*steps, step), after)

    def moves(process: str, space: Space) -> Iterator[ScenarioStep]:
        if "fork" in chosen:
            yield ScenarioStep(process=process, action="fork", name=NAMES[len(space.process_of)])
        if "exit" in chosen and len(space.alive) > 1:
            yield ScenarioStep(process=process, action="exit")
        for action, pages in product(("write", "munmap"), spans):
            if action in chosen:
                yield ScenarioStep(process=process, action=action, pages=pages)

    seed = Scenario(name="start", regions=(region,), items=(ScenarioStep(process="A", action="exit"),))
    for number, steps in enumerate(grow((), Space(seed))):
        yield Scenario(name=f"exhaustive-{depth}-{number}", regions=(region,), items=steps)


def _without(scenario: Scenario, first: int, nr: int) -> Scenario:
    return replace(scenario, items=scenario.items[:first] + scenario.items[first + nr :])


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with as many steps, on simpler regions or with a simpler step."""
    for region in scenario.regions:
        for smaller in _smaller_regions(region):
            yield replace(scenario, regions=tuple(smaller if r is region else r for r in scenario.regions))
    if len({*scenario.process_of.values()}) < len(scenario.process_of):
        yield _without_threads(scenario)
    for number, step in enumerate(scenario.items):
        for simpler in _simpler_steps(step):
            yield replace(scenario, items=(*scenario.items[:number], simpler, *scenario.items[number + 1 :]))


def _without_threads(scenario: Scenario) -> Scenario:
    """The scenario in which each process has one thread, which does all."""
    who = scenario.process_of
    kept = (
        step
        for step in scenario.steps
        if step.action != "thread" and (step.action != "exit" or who[step.process] == step.process)
    )
    return replace(scenario, items=tuple(replace(step, process=who[step.process]) for step in kept))


def _smaller_regions(region: Region) -> Iterator[Region]:
    if region.room:
        yield replace(region, room=0)
        yield replace(region, room=region.room // 2)
    if region.folios > 1:
        yield replace(region, folios=1)
    if region.pmd:
        yield replace(region, pmd=False)
    if region.order > 2:
        yield replace(region, order=2, pmd=False)
        yield replace(region, order=region.order - 1, pmd=False)


def _simpler_steps(step: Item) -> Iterator[Item]:
    if not isinstance(step, ScenarioStep) or step.pages is None:
        return
    pages = step.pages
    if step.action == "fork":
        yield replace(step, pages=None)
    if pages.nr > 1:
        for part in (replace(pages, last=pages.first), replace(pages, first=pages.last)):
            to = step.to and replace(step.to, last=step.to.first)
            yield replace(step, pages=part, to=to)
        if not step.to:
            yield replace(step, pages=replace(pages, last=pages.first + pages.nr // 2 - 1))
    if pages.first and not step.to:
        yield replace(step, pages=replace(pages, first=0, last=pages.nr - 1))


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool], limit: int = 400) -> Scenario:
    """A smaller scenario that still fails: steps are left out, and the others simplified.

    Args:
        scenario: fails.
        fails: whether a scenario shows the same fault.
        limit: how many are tried at most.
    """
    tried = 0

    def still_fails(smaller: Scenario) -> Scenario | None:
        nonlocal tried
        if tried >= limit or smaller == scenario or not possible(smaller):
            return None
        tried += 1
        return smaller if fails(smaller) else None

    for smaller in delta_debugging.shrink(scenario, lambda one: len(one.items), _without, _simpler, still_fails):
        scenario = smaller
    return scenario


def possible(scenario: Scenario) -> bool:
    """Whether a scenario has steps, and each of them is possible."""
    if not scenario.items:
        return False
    try:
        check(scenario)
    except Refused:
        return False
    return True
