"""Episodes of random scenarios: steps that lead to an operation on several PTEs that are unlike each other.

Steps that are chosen one by one hardly ever lead there. An episode makes the PTEs of a folio unlike each other, runs
one operation on them, and writes the pages, which shows the bits that the operation left. `situations` has the states
that it aims at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.scenario.syntax import Pages, ScenarioStep

if TYPE_CHECKING:
    from foliolab.framework.scenario.generate import Author

SMALL: Final = 8
"""Pages of an episode on folios of order 0."""
OPERATIONS: Final = {
    "fork": 5, "mremap": 4, "mprotect": 4, "pageout": 3, "munmap": 2, "dontneed": 1, "exit": 1, "write": 2,
}  # fmt: skip
"""Relative frequency of the operation of an episode."""
TARGETS: Final = 6
"""Tries to find a place for an mremap."""


class Episode:
    """One episode of a random scenario.

    Args:
        author: of the scenario. Its steps may be refused, so that each is made up after the one before was tried.
    """

    def __init__(self, author: Author) -> None:
        self.author = author
        self.chance = author.chance
        self.who = self.chance.choice([*author.space.alive])
        self.pages = self._folio()
        self.child = ""

    def steps(self) -> Iterator[ScenarioStep]:
        """The steps, in order; some may be impossible."""
        if self.pages.nr < 2:
            return
        if self.chance.random() < 0.25:
            yield from self._alone()
        if self.chance.random() < 0.7:
            yield from self._move_over_tables()
        cut = self.chance.randrange(1, self.pages.nr)
        first, rest = self._part(0, cut), self._part(cut, self.pages.nr)
        part = self.chance.choice((first, rest))
        ways = [self._written_again, self._not_forked, self._untouched]
        if "pageout" in self.author.mix.actions:
            ways += [self._paged_out, self._entries_shared]
        yield from self.chance.choice(ways)(part)
        if self.chance.random() < 0.4:
            yield from self._held(part)
        yield from self._operation()
        yield from self._looks()

    def _step(
        self, action: str, pages: Pages | None = None, process: str = "", to: Pages | None = None
    ) -> ScenarioStep:
        return ScenarioStep(process=process or self.who, action=action, pages=pages, to=to)

    def _folio(self) -> Pages:
        """The pages of a folio that the process has, if none was moved."""
        size = 1 << self.author.region.order if self.author.region.order else SMALL
        present = self.author.space.alive[self.who].present.nonzero()[0].tolist()
        page = int(self.chance.choice(present or [0]))
        head = page - page % size
        return Pages("heap", head, min(head + size, self.author.region.nr_pages) - 1)

    def _part(self, start: int, stop: int) -> Pages:
        return Pages("heap", self.pages.first + start, self.pages.first + stop - 1)

    # -- what makes the PTEs unlike each other
    def _alone(self) -> Iterator[ScenarioStep]:
        """All other processes exit."""
        for process in [*self.author.space.alive]:
            if process != self.who:
                yield self._step("exit", process=process)

    def _move_over_tables(self) -> Iterator[ScenarioStep]:
        """All pages, or all but the last, move to where their PTEs lie in two page tables."""
        nr = self.pages.nr - self.chance.choice((0, 0, 1))
        ends = range(PTRS_PER_PTE, self.author.region.nr_pages, PTRS_PER_PTE)
        if not ends or nr < 2:
            return
        to = self.chance.choice(ends) - self.chance.randrange(1, nr)
        moved = Pages("heap", to, to + nr - 1)
        step = self._step("mremap", self._part(0, nr), to=moved)
        if to >= 0 and moved.last < self.author.region.nr_pages and self.author.can(step):
            yield step
            self.pages = moved

    def _written_again(self, part: Pages) -> Iterator[ScenarioStep]:
        """A child has come, and mostly gone; a part is written: reused, or replaced by copies if the child stays."""
        yield from self._fork(None)
        if self.child and self.chance.random() < 0.8:
            yield self._step("exit", process=self.child)
            self.child = ""
        yield self._step("write", part)

    def _not_forked(self, part: Pages) -> Iterator[ScenarioStep]:
        """A child shares all but a part."""
        yield from self._fork(part)

    def _paged_out(self, part: Pages) -> Iterator[ScenarioStep]:
        """A part is swapped out."""
        yield self._step("pageout", part)

    def _entries_shared(self, part: Pages) -> Iterator[ScenarioStep]:
        """All pages are swapped out, and a child has swap entries of all but a part."""
        yield self._step("pageout", self.pages)
        yield from self._fork(part)

    def _untouched(self, part: Pages) -> Iterator[ScenarioStep]:
        """The operation alone is on a part, which splits a PMD."""
        self.pages = part
        return iter(())

    def _fork(self, without: Pages | None) -> Iterator[ScenarioStep]:
        step = self.author.fork(self._step("fork"))
        if step is not None:
            step = replace(step, pages=without)
            if self.author.can(step):
                self.child = step.name
                yield step

    def _held(self, part: Pages) -> Iterator[ScenarioStep]:
        """One page is pinned, or in a pipe."""
        page = self.chance.randint(part.first, part.last)
        yield self.author.held(self._step(self.chance.choice(("pin", "vmsplice"))), Pages("heap", page, page))

    # -- the operation, and what it left
    def _operation(self) -> Iterator[ScenarioStep]:
        weights = {name: weight for name, weight in OPERATIONS.items() if name in self.author.mix.actions}
        if not weights:
            return
        action = self.chance.choices([*weights], [*weights.values()])[0]
        pages = self.pages
        if self.chance.random() < (0.6 if action == "pageout" else 0.2):
            pages = replace(pages, last=self.chance.randint(pages.first, pages.last))
        if action == "fork":
            yield from self._fork(None)
        elif action == "mremap":
            targets = (self._step("mremap", pages, to=self.author.target(pages)) for _ in range(TARGETS))
            if step := next(filter(self.author.can, targets), None):
                yield step
                self.pages = step.to or pages
        elif action == "exit":
            if len(self.author.space.alive) > 1:
                yield self._step("exit")
        else:
            yield self._step(action, pages)

    def _looks(self) -> Iterator[ScenarioStep]:
        """The process writes its pages, and then the child may write or read what it has of them."""
        if self.who in self.author.space.alive and self.chance.random() < 0.9:
            yield self._step("write", self.pages)
        if self.child in self.author.space.alive and self.chance.random() < 0.6:
            yield self._step(self.chance.choice(("write", "read")), self.pages, self.child)
