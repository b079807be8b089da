"""How many steps one call of native code does, so that each call takes about the same time.

A fork of a large process can cost as much as ten thousand writes. The session needs calls of even length: between two
calls it looks for commands, makes views and adds a point to its history.
"""

from __future__ import annotations

from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.explore.events import CHUNK
from foliolab.framework.explore.source import EventsSource, Source
from foliolab.framework.trace import events as ev

MEMORY_OF_PACE: Final = 0.1
"""Seconds of running after which the weight of older steps has fallen to 1/e."""
FIRST_ESTIMATE: Final = 2e-6
"""Seconds a step, before any was timed."""
MOST: Final = 1 << 16
"""Most steps of one stretch."""
STRETCHES: Final = 16
"""Most stretches of one call."""
LONG: Final = 0.001
"""Heavy steps that take at least this many seconds get a stretch of their own."""
AGAIN: Final = 64
"""Every 64th stretch times heavy steps alone, because they may have become long."""
_IS_HEAVY: Final = np.isin(np.arange(256), (ev.FORK, ev.EXEC, ev.EXIT, ev.GONE))
_MANY: Final = 4096
"""An event that acts on at least this many pages is heavy, whatever its kind."""


class Pace:
    """Seconds a step, as a weighted average that forgets older steps.

    The durations of steps differ by a factor of 100,000. The average therefore sums time and steps separately: one
    long step counts as one step.

    Args:
        seconds: weight of the initial estimate (FIRST_ESTIMATE), in seconds of running.
    """

    def __init__(self, seconds: float = 1e-3) -> None:
        self._seconds = seconds
        self._steps = seconds / FIRST_ESTIMATE

    @property
    def step(self) -> float:
        """Seconds a step."""
        return max(self._seconds / self._steps, 1e-9)

    def steps(self, seconds: float) -> int:
        """How many steps fit into a time; at least one."""
        return max(1, int(seconds / self.step))

    def add(self, steps: int, seconds: float) -> None:
        """Take the duration of some steps into the average."""
        kept = exp(-seconds / MEMORY_OF_PACE)
        self._seconds = self._seconds * kept + seconds
        self._steps = self._steps * kept + steps


class Stretches:
    """Divides steps into stretches: each is done by every lane before the next begins.

    Heavy steps, which may act on a whole address space, are timed apart from light ones. One heavy step after ten
    thousand light ones would otherwise make the estimate of both useless.

    Args:
        source: gives the kinds of the steps; only an `EventsSource` has heavy ones.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._light = Pace()
        self._heavy = Pace(1e-7)
        self._calls = 0
        self._timing = True  # the next heavy steps get a stretch of their own even if they seem short
        self._block = -1
        self._heavy_steps: NDArray[np.int64] = np.zeros(0, np.int64)

    def plan(self, begin: int, end: int, seconds: float) -> list[tuple[int, bool]]:
        """Fill a time with stretches; there is at least one.

        Args:
            begin, end: the steps to do.
            seconds: the time.

        Returns:
            for each stretch the position after it, and whether all of its steps are heavy.
        """
        found: list[tuple[int, bool]] = []
        while begin < end and len(found) < STRETCHES:
            stop, heavy = self.end(begin, end, max(seconds, 0.0))
            expected = self.expected(stop - begin, heavy)
            if found and expected > 2 * seconds:  # the call would end too late by more than it now ends too early
                break
            found.append((stop, heavy))
            seconds -= expected
            begin = stop
        return found

    def end(self, begin: int, end: int, seconds: float) -> tuple[int, bool]:
        """Where a stretch ends.

        Args:
            begin, end: the steps to do.
            seconds: the time that the stretch should take.

        Returns:
            the position after it, and whether all of its steps are heavy. A stretch never mixes the two kinds once
            heavy steps are long.
        """
        self._calls += 1
        self._timing |= self._calls % AGAIN == 0
        if (self._timing or self._heavy.step >= LONG) and isinstance(self._source, EventsSource):
            found = self._heavy_near(self._source, begin)
            at = int(np.searchsorted(found, begin))
            if at < len(found) and found[at] == begin:
                run = found[at : at + self._heavy.steps(seconds)]
                consecutive = int(np.argmin(np.append(run == np.arange(begin, begin + len(run)), False)))
                return min(end, begin + consecutive), True
            end_of_block = (begin // CHUNK + 1) * CHUNK
            end = min(end, int(found[at]) if at < len(found) else end_of_block)
        return min(end, begin + min(MOST, self._light.steps(seconds))), False

    def add(self, steps: int, seconds: float, heavy: bool) -> None:
        """Take the duration of a stretch into the estimates."""
        (self._heavy if heavy else self._light).add(steps, seconds)
        self._timing &= not heavy

    def expected(self, steps: int, heavy: bool) -> float:
        """Seconds that so many steps will take."""
        return steps * (self._heavy if heavy else self._light).step

    def _heavy_near(self, source: EventsSource, step: int) -> NDArray[np.int64]:
        """The heavy steps of the block that a step belongs to, ascending."""
        number = step // CHUNK
        if number != self._block:
            block = source.blocks.block(number)
            heavy = _IS_HEAVY[block.kind] | ((block.nr >= _MANY) & (block.kind != ev.WRITE))
            self._heavy_steps = np.flatnonzero(heavy) + number * CHUNK
            self._block = number
        return self._heavy_steps
