"""How long steps take lately: what decides how many to do at a time."""

from __future__ import annotations

from math import exp
from typing import Final

LATELY: Final = 0.1
"""Seconds of running after which what was before counts little more than a third."""
FIRST: Final = 2e-6


class Pace:
    """Seconds a step, over the latest tenth of a second of running.

    Steps differ by a factor of 100,000: time and steps are summed up apart, so that a single long one counts once.

    Args:
        seconds: of steps of FIRST each that count as if they had been done: how slowly it lets itself be taught.
    """

    def __init__(self, seconds: float = 1e-3) -> None:
        self._seconds = seconds
        self._steps = seconds / FIRST

    @property
    def step(self) -> float:
        """Seconds a step."""
        return max(self._seconds / self._steps, 1e-9)

    def steps(self, seconds: float) -> int:
        """How many steps fit into a time; one at least."""
        return max(1, int(seconds / self.step))

    def add(self, steps: int, seconds: float) -> None:
        """So many steps took so long."""
        kept = exp(-seconds / LATELY)
        self._seconds = self._seconds * kept + seconds
        self._steps = self._steps * kept + steps
