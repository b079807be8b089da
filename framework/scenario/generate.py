"""Scenarios by chance, all short ones in turn, and smaller ones of one that shows something."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from foliolab.framework.engine import shrinking
from foliolab.framework.engine.pagetable import PMD_ORDER
from foliolab.framework.scenario.space import Refused, Space, check
from foliolab.framework.scenario.syntax import Item, Pages, Region, Scenario, Step

NAMES: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WEIGHTS: Final = {
    "write": 34, "fork": 18, "exit": 14, "munmap": 8, "dontneed": 6, "mremap": 6, "mprotect": 4, "vmsplice": 4,
    "close": 5, "pin": 3, "unpin": 5, "exec": 1, "read": 1, "pageout": 5,
}  # fmt: skip
"""How often each action is tried; what cannot be is tried again as something else."""
TRIES: Final = 40
LEAVE: Final = 0.03
"""How often all processes but one leave, one after the other."""
SHED: Final = 0.05
"""How often a process unmaps all of a folio but its first or last page, and goes on with that."""


@dataclass(frozen=True)
class Mix:
    """What random scenarios are made of.

    Args:
        orders: of the folios.
        steps: at most so many a scenario.
        processes: alive at the same time, at most.
        actions: allowed ones, out of `syntax.ACTIONS`; pageout only where it is asked for, since it takes swap.
    """

    orders: tuple[int, ...] = (0, *range(2, PMD_ORDER + 1))
    steps: int = 24
    processes: int = 5
    actions: frozenset[str] = frozenset({*WEIGHTS, "cold"}) - {"pageout"}


class _Author:
    """Writes one scenario."""

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
            room=self.chance.choice((0, 1 << order, folios << order)) if order else 4,
        )
        start = Step(process="A", action="read", pages=Pages("heap", 0, 0))
        self.scenario = Scenario(name=f"random-{seed}", regions=(self.region,), items=(start,))
        self.space = Space(self.scenario)

    def write(self) -> Scenario:
        steps: list[Step] = []
        weights = {name: weight for name, weight in WEIGHTS.items() if name in self.mix.actions}
        for number in range(self.chance.randint(self.mix.steps // 2, self.mix.steps)):
            for _ in range(TRIES):
                action = self.chance.choices([*weights], [*weights.values()])[0]
                if wanted := [step for step in self.move(action, number) if self.take(step)]:
                    steps += wanted
                    break
        if "cold" in self.mix.actions and self.region.order:
            steps += [step for step in self.finale() if self.take(step)]
        return replace(self.scenario, items=tuple(steps))

    def take(self, step: Step) -> bool:
        before = deepcopy(self.space)
        try:
            self.space.apply(step)
        except Refused:
            self.space = before
            return False
        return True

    def finale(self) -> list[Step]:
        """At last a look at the shared bit by MADV_COLD, often of what a single process is left with."""
        moves: list[Step] = []
        if self.chance.random() < 0.5:
            moves += self.leaving()
        left = [name for name in self.space.alive if all(step.process != name for step in moves)]
        who = self.chance.choice(left)
        if self.chance.random() < 0.5:
            moves += self.shedding(who)
        gone = [step.pages for step in moves if step.pages is not None]
        there = [int(page) for page in self.space.alive[who].present.nonzero()[0]]
        there = [page for page in there if not any(part.first <= page <= part.last for part in gone)]
        page = self.chance.choice(there or [0])
        return [*moves, Step(process=who, action="cold", pages=Pages("heap", page, page))]

    def leaving(self) -> list[Step]:
        """All processes but one exit."""
        names = [*self.space.alive]
        self.chance.shuffle(names)
        return [Step(process=name, action="exit") for name in names[1:]]

    def shedding(self, process: str) -> list[Step]:
        """A process unmaps a folio but for its first or last page, and may write that."""
        size = 1 << self.region.order
        head = self.chance.randrange(max(1, self.region.folios)) * size
        first, kept = self.chance.choice(((head + 1, head), (head, head + size - 1)))
        steps = [Step(process=process, action="munmap", pages=Pages("heap", first, first + size - 2))]
        if self.chance.random() < 0.3:
            steps.append(Step(process=process, action="write", pages=Pages("heap", kept, kept)))
        return steps

    def move(self, action: str, number: int) -> list[Step]:
        """One step of that kind, or a few that belong together; any may be impossible."""
        chance = self.chance.random()
        if action == "exit" and chance < LEAVE / self.share("exit"):
            return self.leaving()
        if action == "munmap" and self.region.order and chance < SHED / self.share("munmap"):
            return self.shedding(self.chance.choice([*self.space.alive]))
        step = self.step(action, number)
        return [] if step is None else [step]

    def share(self, action: str) -> float:
        """The part of all steps that are of that kind."""
        return WEIGHTS[action] / sum(weight for name, weight in WEIGHTS.items() if name in self.mix.actions)

    def step(self, action: str, number: int) -> Step | None:
        """One step of that kind; it may be impossible."""
        made = Step(process=self.chance.choice([*self.space.alive]), action=action)
        if action in ("exec", "exit"):
            return made if len(self.space.alive) > 1 else None
        if action == "fork":
            return self.fork(made)
        if action in ("unpin", "close"):
            return self.let_go(made)
        if action in ("pin", "vmsplice"):
            return replace(made, pages=self.pages(True), name=f"{action[0]}{number}")
        pages = self.pages(action == "read")
        return replace(made, pages=pages, to=self.target(pages) if action == "mremap" else None)

    def fork(self, made: Step) -> Step | None:
        """A child, sometimes without a part."""
        if len(self.space.alive) >= self.mix.processes or len(self.space.names) == len(NAMES):
            return None
        part = self.pages(False) if self.chance.random() < 0.15 else None
        return replace(made, name=NAMES[len(self.space.names)], pages=part)

    def let_go(self, made: Step) -> Step | None:
        """Undo a pin or close a pipe that there is."""
        wanted = "pin" if made.action == "unpin" else "vmsplice"
        held = [(name, owner) for name, (owner, how) in self.space.held.items() if how == wanted]
        if not held:
            return None
        name, owner = self.chance.choice(held)
        return replace(made, process=owner, name=name)

    def target(self, pages: Pages) -> Pages:
        """Where to move some pages: half of the time congruent within a folio, so that a PMD can move whole."""
        size = 1 << self.region.order
        to = self.chance.randrange(0, max(1, self.region.nr_pages - pages.nr + 1))
        if self.chance.random() < 0.5:
            to = min(to - to % size + pages.first % size, to)
        return Pages("heap", to, to + pages.nr - 1)

    def pages(self, single: bool) -> Pages:
        """A page, a part of a folio, a whole one, or anything."""
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
    """The scenario of a seed: always the same one for the same mix."""
    return _Author(seed, mix or Mix()).write()


def all_scenarios(
    depth: int, order: int, pmd: bool = False, actions: Iterable[str] | None = None
) -> Iterator[Scenario]:
    """Every sequence of `depth` steps over one folio, up to the names of children.

    A step is: any living process forks, exits, writes the first page, writes all, unmaps the first page,
    unmaps all but the first, or unmaps all. Sequences that cannot be are left out; so are those of which a
    shorter one is a beginning that ended the last process.

    Args:
        depth: steps.
        order: of the folio.
        pmd: mapped by a PMD.
        actions: of those above, by `fork`, `exit`, `write`, `munmap`; default all.
    """
    last = (1 << order) - 1
    region = Region(name="heap", folios=1, order=order, pmd=pmd)
    chosen = {"fork", "exit", "write", "munmap"} if actions is None else set(actions)
    spans = [Pages("heap", 0, 0), *([Pages("heap", 0, last), Pages("heap", 1, last)] if last else [])]

    def grow(steps: tuple[Step, ...], space: Space) -> Iterator[tuple[Step, ...]]:
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

    def moves(process: str, space: Space) -> Iterator[Step]:
        if "fork" in chosen:
            yield Step(process=process, action="fork", name=NAMES[len(space.names)])
        if "exit" in chosen and len(space.alive) > 1:
            yield Step(process=process, action="exit")
        for action, pages in product(("write", "munmap"), spans):
            if action in chosen:
                yield Step(process=process, action=action, pages=pages)

    seed = Scenario(name="start", regions=(region,), items=(Step(process="A", action="exit"),))
    for number, steps in enumerate(grow((), Space(seed))):
        yield Scenario(name=f"exhaustive-{depth}-{number}", regions=(region,), items=steps)


def _without(scenario: Scenario, first: int, nr: int) -> Scenario:
    return replace(scenario, items=scenario.items[:first] + scenario.items[first + nr :])


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with as many steps, on simpler regions or with a simpler step."""
    for region in scenario.regions:
        for smaller in _smaller_regions(region):
            yield replace(scenario, regions=tuple(smaller if r is region else r for r in scenario.regions))
    for number, step in enumerate(scenario.items):
        for simpler in _simpler_steps(step):
            yield replace(scenario, items=(*scenario.items[:number], simpler, *scenario.items[number + 1 :]))


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
    if not isinstance(step, Step) or step.pages is None:
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
    """The smallest scenario found that still fails, by leaving out steps and simplifying what is left.

    Args:
        fails: whether a scenario shows what the first one did.
        limit: how many are tried at most.
    """
    tried = 0

    def still_fails(smaller: Scenario) -> Scenario | None:
        nonlocal tried
        if tried >= limit or smaller == scenario or not possible(smaller):
            return None
        tried += 1
        return smaller if fails(smaller) else None

    for smaller in shrinking.shrink(scenario, lambda one: len(one.items), _without, _simpler, still_fails):
        scenario = smaller
    return scenario


def possible(scenario: Scenario) -> bool:
    """Whether each of its steps can be."""
    if not scenario.items:
        return False
    try:
        check(scenario)
    except Refused:
        return False
    return True
