"""Schedules in which one thread stops once: what is tried first of programs whose threads have many steps.

A thread runs up to one of its steps; then each other thread runs to its end; then the thread goes on. That takes as
many runs as the threads have steps, where the number of all interleavings is beyond any search. Threads with few steps
are cut first and at each step, others at a number of steps in equal distances.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Final

import numpy as np

from foliolab.framework.verify.explored.exploration import Explorer
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.symmetry import thread_classes
from foliolab.framework.verify.explored.walker import LONGEST, Walker
from foliolab.framework.verify.explored.world import World

LONG: Final = 200
"""Steps of all threads together up to which an exhaustive search is tried at once."""
LAST: Final = -2
"""The priority of what is done only if nothing else can be."""
MOST: Final = 32
"""Steps of a thread at which it is cut."""


class Cuts(Walker):
    """Runs the schedules in which one thread stops once.

    Attributes:
        steps: of each thread, where each runs as a whole; empty before that.
    """

    def __init__(self, world: World, options: Options, before: Explorer | None = None) -> None:
        super().__init__(world, options, 0, 0, before)
        self.steps: list[int] = []

    @property
    def is_long(self) -> bool:
        """Whether the threads have many steps."""
        return sum(self.steps) > LONG

    @property
    def is_symmetric(self) -> bool:
        """Whether an exhaustive search may take threads for one another, which needs tries of its own."""
        return len(thread_classes(self.world, True)) < len(self.world.programs)

    def _schedules(self) -> Iterator[tuple[int, int]]:
        threads = list(range(len(self.same)))
        self._order(threads)
        yield 0, LONGEST
        turns = self.walked[: int(self.out[1]), 0] % len(threads)
        self.steps = np.bincount(turns, minlength=len(threads)).tolist()
        if not self.is_long:
            return
        for cut in sorted(threads, key=lambda thread: self.steps[thread]):
            others = [thread for thread in threads if thread != cut]
            for at in _spread(self.steps[cut]):
                for order in permutations(others):
                    self._order([cut, *order])
                    yield 0, at

    def _order(self, threads: list[int]) -> None:
        """Let the first thread run as long as it can, then the second, and so on.

        Store buffers are flushed at once, and no load is early.
        """
        self.priority[:] = 2 * len(threads)
        self.priority[len(threads) * (1 + self.depth) :] = LAST
        for place, thread in enumerate(threads):
            self.priority[thread] = len(threads) - place


def _spread(steps: int) -> list[int]:
    """The steps at which a thread is cut."""
    return sorted({1 + number * (steps - 1) // MOST for number in range(MOST)}) if steps > 1 else []
