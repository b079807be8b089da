"""The times of a trace's steps, so that a chart can have time as its axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def _nothing() -> NDArray[np.float64]:
    return np.zeros(0)


@dataclass(frozen=True)
class StepTimes:
    """When a run was at some of its positions; between these, time is taken to pass evenly from step to step.

    Args:
        positions: ascending, from 0 to the last step of the run; empty if the run has no times.
        seconds: since the first step, of each position.
    """

    positions: NDArray[np.float64] = field(default_factory=_nothing)
    seconds: NDArray[np.float64] = field(default_factory=_nothing)

    @property
    def known(self) -> bool:
        """Whether there are times: at least two that differ."""
        return bool(self.seconds.size) and bool(self.seconds[-1] > self.seconds[0])

    def at(self, positions: NDArray[np.int64] | float) -> NDArray[np.float64]:
        """When steps at these positions happened, in seconds."""
        return np.asarray(np.interp(positions, self.positions, self.seconds))

    def position(self, seconds: float) -> float:
        """The position, with a fraction, that a trace had reached at a time in seconds."""
        return float(np.interp(seconds, self.seconds, self.positions))

    def text(self, position: int) -> str:
        """The time at a position, such as "12.3 ms"; empty without times."""
        return seconds_text(float(self.at(position))) if self.known else ""


def seconds_text(seconds: float, step: float = 0.0) -> str:
    """Seconds with a unit, such as "12.3 ms".

    Args:
        seconds: the time.
        step: what must be told apart, in seconds; 0: four digits are enough.
    """
    smallest = UNITS[-1] if seconds else UNITS[0]
    unit, name = next(((size, name) for size, name in UNITS if abs(seconds) >= size), smallest)
    if not step:
        return f"{seconds / unit:.4g} {name}"
    decimals = max(-math.floor(math.log10(step / unit) + 1e-9), 0)
    return f"{seconds / unit:,.{decimals}f} {name}"
