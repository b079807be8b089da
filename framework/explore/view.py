"""A view: a session's state at one moment, for the window that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.history import SERIES
from foliolab.framework.explore.lane import Totals

COUNTED: Final = ("page_operations", "wrong_copies", "wrong_reuses", "became_wrong")
"""Series that only grow."""


@dataclass(frozen=True)
class LaneView:
    """A lane at a moment.

    Args:
        name: the policy.
        totals: its counters.
        names: the process that has each map, "" if none has it.
        error: why the lane has stopped; None while it runs.
    """

    name: str
    totals: Totals
    names: tuple[str, ...]
    error: FolioLabError | None


@dataclass(frozen=True)
class HistoryView:
    """A copy of a session's history.

    Args:
        positions: positions of the points, int64, shape (n,).
        high, low: maximum and minimum of each series (`history.SERIES`), shape (lanes, series, n).
        marks: positions where policies disagree, int64 (see `history.Marks.disagreements`).
        mark_counts: how many disagreements each mark stands for.
        wrongs: positions where a policy became wrong, alone or with all others, int64.
    """

    positions: NDArray[np.int64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    marks: NDArray[np.int64]
    mark_counts: NDArray[np.int64]
    wrongs: NDArray[np.int64]

    def between(self, low: int, high: int) -> RangeTotals | None:
        """What the lanes did between two positions; None if no point is known there yet.

        In a run with more steps than the history has points, the ends are those of the points around them.
        """
        if not self.positions.size or low > self.positions[-1]:
            return None
        last = self.positions.size - 1
        first, end = (min(int(np.searchsorted(self.positions, one)), last) for one in (low, high))
        values: NDArray[np.float64] = self.high[:, :, first : end + 1].max(axis=2)
        counted = [SERIES.index(name) for name in COUNTED]
        values[:, counted] = self.high[:, counted, end] - self.high[:, counted, first]
        right = SERIES.index("right")
        values[:, right] = self.low[:, right, first : end + 1].min(axis=1)
        return RangeTotals(int(self.positions[first]), int(self.positions[end]), values)


@dataclass(frozen=True)
class RangeTotals:
    """What the lanes did between two positions.

    Args:
        low, high: the positions.
        values: of each lane and series (`history.SERIES`), shape (lanes, series): of `right` the least, of the COUNTED
            the increase, of the others the most.
    """

    low: int
    high: int
    values: NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A session at one moment; all parts belong to the same position.

    Args:
        number: consecutive number of the view.
        position: steps done.
        farthest: the greatest position so far.
        nr_steps: steps of the source.
        playing: whether the session plays.
        at_end: whether no step is left.
        description: the last step in one sentence; empty at the start.
        lanes: in the session's order.
        maps: the maps that `show` chose, by (lane, map): a byte a page (bits of `explore.cells`). Valid until the next
            call of `view`.
        dots: if `show` got weights: for each map a byte for each four pages, the greatest of their weights.
        history: the newest copy; the same object while nothing was added.
        page_operations_per_second: the recent rate, of all lanes together.
        busy: what the session does that takes long; empty otherwise.
        error: the error of the last command; None if it succeeded.
    """

    number: int
    position: int
    farthest: int
    nr_steps: int
    playing: bool
    at_end: bool
    description: str
    lanes: tuple[LaneView, ...]
    maps: dict[tuple[int, int], NDArray[np.uint8]]
    dots: dict[tuple[int, int], NDArray[np.uint8]]
    history: HistoryView
    page_operations_per_second: float = 0.0
    busy: str = ""
    error: FolioLabError | None = None
