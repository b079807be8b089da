"""How many steps one call does, so that each takes about as long: a fork can cost what ten thousand writes do."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.explore.events import CHUNK
from foliolab.framework.explore.pace import Pace
from foliolab.framework.explore.source import EventsSource, Source
from foliolab.framework.trace import events as ev

MOST: Final = 1 << 16
"""Steps of one call, at most."""
STRETCHES: Final = 16
"""Of one call, at most."""
LONG: Final = 0.001
"""Seconds from which on a heavy step is worth a call of its own."""
AGAIN: Final = 64
"""Every so many calls heavy steps are timed alone: they may have become long."""
_IS_HEAVY: Final = np.isin(np.arange(256), (ev.FORK, ev.EXEC, ev.EXIT, ev.GONE))
_MANY: Final = 4096
"""Pages from which on any event is heavy."""


class Stretches:
    """Divides steps into calls of native code.

    Steps that may act on a whole address space (heavy ones) are timed apart from the others: one after ten thousand
    light ones would otherwise make their estimate worthless.

    Args:
        source: of the steps.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._light = Pace()
        self._heavy = Pace(1e-7)
        self._calls = 0
        self._timing = True
        """Whether the next heavy steps are timed in any case."""
        self._number = -1
        self._found: NDArray[np.int64] = np.zeros(0, np.int64)

    def plan(self, begin: int, end: int, seconds: float) -> list[tuple[int, bool]]:
        """What to do in a time, stretch by stretch: the position after each, and whether its steps are all heavy.

        Args:
            begin, end: the steps that are to be done.
            seconds: that it should take; there is one stretch at least.
        """
        found: list[tuple[int, bool]] = []
        while begin < end and len(found) < STRETCHES:
            stop, heavy = self.end(begin, end, max(seconds, 0.0))
            expected = self.expected(stop - begin, heavy)
            if found and expected > 2 * seconds:  # more of it would be too late than in time
                break
            found.append((stop, heavy))
            seconds -= expected
            begin = stop
        return found

    def end(self, begin: int, end: int, seconds: float) -> tuple[int, bool]:
        """How far a stretch goes from `begin` on.

        Args:
            begin, end: the steps that are to be done.
            seconds: that it should take.

        Returns:
            the position after it; whether all of its steps are heavy, and none of them is behind one that is not.
        """
        self._calls += 1
        self._timing |= self._calls % AGAIN == 0
        if (self._timing or self._heavy.step >= LONG) and isinstance(self._source, EventsSource):
            found = self._near(self._source, begin)
            at = int(np.searchsorted(found, begin))
            if at < len(found) and found[at] == begin:
                most = self._heavy.steps(seconds)
                run = found[at : at + most]
                alike = int(np.argmin(np.append(run == np.arange(begin, begin + len(run)), False)))
                return min(end, begin + alike), True
            block = (begin // CHUNK + 1) * CHUNK
            end = min(end, int(found[at]) if at < len(found) else block)
        return min(end, begin + min(MOST, self._light.steps(seconds))), False

    def add(self, steps: int, seconds: float, heavy: bool) -> None:
        """So many steps took so long."""
        (self._heavy if heavy else self._light).add(steps, seconds)
        self._timing &= not heavy

    def expected(self, steps: int, heavy: bool) -> float:
        """Seconds that steps will take."""
        return steps * (self._heavy if heavy else self._light).step

    def _near(self, source: EventsSource, step: int) -> NDArray[np.int64]:
        """The heavy steps of the block that a step is in, ascending."""
        number = step // CHUNK
        if number != self._number:
            block = source.blocks.block(number)
            heavy = _IS_HEAVY[block.kind] | ((block.nr >= _MANY) & (block.kind != ev.WRITE))
            self._found = np.flatnonzero(heavy) + number * CHUNK
            self._number = number
        return self._found
