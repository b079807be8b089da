"""What happened so far, in arrays that do not grow: series over positions, and where answers became wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SERIES: Final = ("false_share", "false_shared", "unsafe", "page_operations")
"""Of each lane: the share of exclusive folios that are called shared, how many these are, how many folios are called
exclusive wrongly, page operations so far."""
MOST_POINTS: Final = 4096
MOST_MARKS: Final = 2048


class History:
    """Series of all lanes over positions; where there are too many points, two become one with both extremes.

    Args:
        lanes: how many.
        most: points at most, even.

    Attributes:
        nr: points so far.
    """

    def __init__(self, lanes: int, most: int = MOST_POINTS) -> None:
        self.nr = 0
        self._positions = np.zeros(most, np.int64)
        self._low = np.zeros((lanes, len(SERIES), most))
        self._high = np.zeros((lanes, len(SERIES), most))
        self._least = 0
        """Steps that a point spans at least."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """The last position of each point, shape (nr,); a copy."""
        return self._positions[: self.nr].copy()

    def low(self, lane: int, series: str) -> NDArray[np.float64]:
        """The least value of a series between a point and the one before, shape (nr,); a copy."""
        return self._low[lane, SERIES.index(series), : self.nr].copy()

    def high(self, lane: int, series: str) -> NDArray[np.float64]:
        """The greatest value, as `low`."""
        return self._high[lane, SERIES.index(series), : self.nr].copy()

    @property
    def last(self) -> int:
        """The last point's position, -1 without one."""
        return int(self._positions[self.nr - 1]) if self.nr else -1

    def add(self, position: int, values: Sequence[Sequence[float]]) -> None:
        """A point; nothing happens if `position` is not behind the last one.

        Args:
            position: steps done.
            values: by lane, in the order of SERIES.
        """
        if position <= self.last:
            return
        now = np.array(values).reshape(self._low.shape[:2])
        if self.nr > 1 and position - int(self._positions[self.nr - 2]) <= self._least:
            at = self.nr - 1
            self._low[:, :, at] = np.minimum(self._low[:, :, at], now)
            self._high[:, :, at] = np.maximum(self._high[:, :, at], now)
        else:
            if self.nr == len(self._positions):
                self._halve()
            at = self.nr
            self._low[:, :, at] = self._high[:, :, at] = now
            self.nr += 1
        self._positions[at] = position

    def _halve(self) -> None:
        nr = self.nr // 2
        self._positions[:nr] = self._positions[1 : 2 * nr : 2]
        for values, join in ((self._low, np.minimum), (self._high, np.maximum)):
            values[:, :, :nr] = join(values[:, :, : 2 * nr : 2], values[:, :, 1 : 2 * nr : 2])
        self.nr = nr
        self._least = max(1, (int(self._positions[nr - 1]) - int(self._positions[0])) // nr)


class Marks:
    """Steps after which an answer is wrong that was not, by lane, exact at the ends of as many stretches as fit.

    Args:
        lanes: how many.
        nr_steps: of the source.
    """

    def __init__(self, lanes: int, nr_steps: int) -> None:
        self.width = max(1, -(-nr_steps // MOST_MARKS))
        self.nr = -(-max(nr_steps, 1) // self.width)
        self._first = np.full((lanes, self.nr), -1, np.int64)
        self._last = np.full((lanes, self.nr), -1, np.int64)
        self._count = np.zeros((lanes, self.nr), np.int64)
        self._apart_first = np.full(self.nr, -1, np.int64)
        self._apart = np.zeros(self.nr, np.int64)

    def add(self, found: Sequence[NDArray[np.int64]], begin: int, end: int, running: Sequence[bool]) -> None:
        """What every lane found in steps begin…end-1, which are behind all earlier ones.

        Args:
            found: by lane: (step, kind) each, ascending.
            begin, end: steps.
            running: lanes that have no error.
        """
        chosen = []
        for lane, rows in enumerate(found):
            steps = rows[(rows[:, 0] >= begin) & (rows[:, 0] < end), 0]
            chosen.append(steps)
            if not steps.size:
                continue
            bins, at, counts = np.unique(steps // self.width, return_index=True, return_counts=True)
            fresh = self._first[lane, bins] < 0
            self._first[lane, bins[fresh]] = steps[at[fresh]]
            self._last[lane, bins] = steps[at + counts - 1]
            self._count[lane, bins] += counts
        live = [steps for steps, runs in zip(chosen, running, strict=True) if runs]
        if len(live) < 2 or not any(steps.size for steps in live):
            return
        steps, times = np.unique(np.concatenate(live), return_counts=True)
        apart = steps[times < len(live)]
        bins, at, counts = np.unique(apart // self.width, return_index=True, return_counts=True)
        fresh = self._apart_first[bins] < 0
        self._apart_first[bins[fresh]] = apart[at[fresh]]
        self._apart[bins] += counts

    def disagreements(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(positions, counts): after the step before each position an answer is wrong under some of the policies.

        A mark stands for as many steps as its count says: the first of them, and others close behind it.
        """
        at = np.flatnonzero(self._apart)
        return self._apart_first[at] + 1, self._apart[at].copy()

    def wrongs(self, lane: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(positions, counts) as `disagreements`, of one lane's wrong answers."""
        at = np.flatnonzero(self._count[lane])
        return self._first[lane, at] + 1, self._count[lane, at].copy()

    def before(self, step: int, lane: int | None) -> tuple[int, int] | None:
        """The last wrong answer that began in a step before `step`, as far as it is known.

        Returns:
            (lowest, highest) step that it may be: alike if it is known; None if there is none.
        """
        return self._nearest(step, lane, -1)

    def behind(self, step: int, lane: int | None) -> tuple[int, int] | None:
        """The first wrong answer that began in `step` or later; as `before`."""
        return self._nearest(step, lane, 1)

    def _nearest(self, step: int, lane: int | None, way: int) -> tuple[int, int] | None:
        lanes = range(len(self._first)) if lane is None else [lane]
        found = [one for one in (self._of_lane(step, number, way) for number in lanes) if one is not None]
        if not found:
            return None
        if way > 0:
            return min(low for low, _ in found), min(high for _, high in found)
        return max(low for low, _ in found), max(high for _, high in found)

    def _of_lane(self, step: int, lane: int, way: int) -> tuple[int, int] | None:
        first, last = self._first[lane], self._last[lane]
        here = min(max(step, 0) // self.width, self.nr - 1)
        if first[here] >= 0:
            low, high = int(first[here]), int(last[here])
            if way > 0 and high >= step:
                return (low, low) if low >= step else (step, high)
            if way < 0 and low < step:
                return (high, high) if high < step else (low, step - 1)
        filled = np.flatnonzero(first >= 0)
        if way > 0:
            filled = filled[filled > here]
            return (int(first[filled[0]]),) * 2 if filled.size else None
        filled = filled[filled < here]
        return (int(last[filled[-1]]),) * 2 if filled.size else None
