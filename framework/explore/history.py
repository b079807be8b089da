"""The history of a session, in arrays of fixed size: series over positions, and the steps that made answers wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SERIES: Final = (
    "false_share", "false_shared", "unsafe", "page_operations", "right", "wrong_copies", "wrong_reuses", "became_wrong",
)  # fmt: skip
"""Of each lane: fraction of exclusive folios that the policy calls shared, their number, number of shared folios that
it calls exclusive, page operations so far, fraction of the mapped folios that it is right about, and so far wrong
copies, wrong reuses, and answers that became wrong."""
MOST_POINTS: Final = 4096
MOST_MARKS: Final = 2048


class History:
    """Series of all lanes over positions. If there are too many points, pairs are merged; minimum and maximum stay.

    Args:
        lanes: number of lanes.
        most: the most points, even.

    Attributes:
        nr: number of points so far.
    """

    def __init__(self, lanes: int, most: int = MOST_POINTS) -> None:
        self.nr = 0
        self._positions = np.zeros(most, np.int64)
        self._high = np.zeros((lanes, len(SERIES), most))
        self._low = np.zeros((lanes, len(SERIES), most))
        self._least = 0  # the fewest steps that a point spans

    @property
    def positions(self) -> NDArray[np.int64]:
        """The last position of each point, shape (nr,)."""
        return self._positions[: self.nr].copy()

    def high(self, lane: int, series: str) -> NDArray[np.float64]:
        """The maximum of a series between each point and the one before, shape (nr,)."""
        return self._high[lane, SERIES.index(series), : self.nr].copy()

    def low(self, lane: int, series: str) -> NDArray[np.float64]:
        """The minimum of a series, as `high`."""
        return self._low[lane, SERIES.index(series), : self.nr].copy()

    @property
    def last(self) -> int:
        """Position of the last point; -1 without one."""
        return int(self._positions[self.nr - 1]) if self.nr else -1

    def add(self, position: int, values: Sequence[Sequence[float]]) -> None:
        """Add a point, unless `position` is at or before the last one.

        Args:
            position: steps done.
            values: one row per lane, in the order of SERIES.
        """
        if position <= self.last:
            return
        now = np.array(values).reshape(self._high.shape[:2])
        if self.nr > 1 and position - int(self._positions[self.nr - 2]) <= self._least:
            at = self.nr - 1
            self._high[:, :, at] = np.maximum(self._high[:, :, at], now)
            self._low[:, :, at] = np.minimum(self._low[:, :, at], now)
        else:
            if self.nr == len(self._positions):
                self._halve()
            at = self.nr
            self._high[:, :, at] = self._low[:, :, at] = now
            self.nr += 1
        self._positions[at] = position

    def _halve(self) -> None:
        nr = self.nr // 2
        self._positions[:nr] = self._positions[1 : 2 * nr : 2]
        for values, keep in ((self._high, np.maximum), (self._low, np.minimum)):
            values[:, :, :nr] = keep(values[:, :, : 2 * nr : 2], values[:, :, 1 : 2 * nr : 2])
        self.nr = nr
        self._least = max(1, (int(self._positions[nr - 1]) - int(self._positions[0])) // nr)


class Marks:
    """The steps that made answers wrong, by lane.

    The run is divided into at most MOST_MARKS bins of equal width. A bin keeps its first and last such step; a search
    for one between these two must run the bin again.

    Args:
        lanes: number of lanes.
        nr_steps: number of steps of the source.
    """

    def __init__(self, lanes: int, nr_steps: int) -> None:
        self.width = max(1, -(-nr_steps // MOST_MARKS))
        self.nr = -(-max(nr_steps, 1) // self.width)
        self._first = np.full((lanes, self.nr), -1, np.int64)
        self._last = np.full((lanes, self.nr), -1, np.int64)
        self._apart_first = np.full(self.nr, -1, np.int64)
        self._apart = np.zeros(self.nr, np.int64)

    def add(self, found: Sequence[NDArray[np.int64]], begin: int, end: int, running: Sequence[bool]) -> None:
        """Add what the lanes found in steps begin…end-1, which follow all earlier ones.

        Args:
            found: for each lane (step, kinds), ascending.
            begin, end: the steps.
            running: for each lane whether it has no error.
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
        """(positions, counts): where some policies became wrong and others did not.

        Each position follows the first such step of a bin; the count is the number of such steps in the bin.
        """
        at = np.flatnonzero(self._apart)
        return self._apart_first[at] + 1, self._apart[at].copy()

    def wrongs(self) -> NDArray[np.int64]:
        """Positions where some policy became wrong: each follows the first such step of a bin."""
        never = np.iinfo(np.int64).max
        first: NDArray[np.int64] = np.where(self._first < 0, never, self._first).min(axis=0)
        return first[first < never] + 1

    def of_steps(self, begin: int, end: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """What is known of steps begin to end-1.

        Returns:
            a bit for each lane that became wrong at the step; and whether another lane may have, which is not kept.
        """
        steps = np.arange(begin, end)
        bins = steps // self.width
        wrong, unsure = np.zeros(steps.size, np.uint8), np.zeros(steps.size, np.bool_)
        for lane, (firsts, lasts) in enumerate(zip(self._first, self._last, strict=True)):
            first, last = firsts[bins], lasts[bins]
            wrong |= ((steps == first) | (steps == last)).astype(np.uint8) << np.uint8(lane)
            unsure |= (first < steps) & (steps < last)
        return wrong, unsure

    def before(self, step: int, lane: int | None) -> tuple[int, int] | None:
        """The last step before `step` that made an answer wrong, as far as it is known.

        Args:
            step: search before this step.
            lane: search only this lane.

        Returns:
            (lowest, highest) step that it can be, equal if it is known exactly; None if there is no such step.
        """
        return self._nearest(step, lane, -1)

    def after(self, step: int, lane: int | None) -> tuple[int, int] | None:
        """The first step from `step` on that made an answer wrong; otherwise as `before`."""
        return self._nearest(step, lane, 1)

    def _nearest(self, step: int, lane: int | None, direction: int) -> tuple[int, int] | None:
        lanes = range(len(self._first)) if lane is None else [lane]
        found = [one for one in (self._of_lane(step, number, direction) for number in lanes) if one is not None]
        if not found:
            return None
        if direction > 0:
            return min(low for low, _ in found), min(high for _, high in found)
        return max(low for low, _ in found), max(high for _, high in found)

    def _of_lane(self, step: int, lane: int, direction: int) -> tuple[int, int] | None:
        first, last = self._first[lane], self._last[lane]
        here = min(max(step, 0) // self.width, self.nr - 1)
        if first[here] >= 0:
            low, high = int(first[here]), int(last[here])
            if direction > 0 and high >= step:
                return (low, low) if low >= step else (step, high)
            if direction < 0 and low < step:
                return (high, high) if high < step else (low, step - 1)
        filled = np.flatnonzero(first >= 0)
        if direction > 0:
            filled = filled[filled > here]
            return (int(first[filled[0]]),) * 2 if filled.size else None
        filled = filled[filled < here]
        return (int(last[filled[-1]]),) * 2 if filled.size else None
