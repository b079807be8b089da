"""What a session was at one moment, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.lane import Totals


@dataclass(frozen=True)
class LaneView:
    """A lane at a moment.

    Args:
        name: of the policy.
        totals: its counters.
        names: who has each map, "" for nobody.
        error: why it has stopped; None while it runs.
    """

    name: str
    totals: Totals
    names: tuple[str, ...]
    error: FolioLabError | None


@dataclass(frozen=True)
class HistoryView:
    """A copy of the history and of the marks.

    Args:
        positions: of the points, int64, shape (n,).
        low, high: by lane and series (`history.SERIES`): least and greatest value, shape (lanes, series, n).
        marks: positions where policies disagree, int64.
        mark_counts: how many such positions each of them stands for.
    """

    positions: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    marks: NDArray[np.int64]
    mark_counts: NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """What a session was at one moment; all of it belongs together.

    Args:
        number: counts the views.
        position, farthest, nr_steps: steps done, done at most so far, and in all.
        playing: whether it goes on by itself.
        at_end: whether there is no step left.
        told: the step that was done last, in one sentence; empty at the start.
        lanes: in the session's order.
        maps: what was asked for with `show`: bytes a page (bits of `explore.cells`) by (lane, map). Valid until the
            next call of `view`.
        dots: likewise, if weights were given to `show`: a byte for each four pages, the greatest of their weights.
        history: the newest copy; the same object as long as it is the same copy.
        steps_per_second, page_operations_per_second: lately; the latter of all lanes together.
        busy: what takes long just now; empty if nothing does.
        error: what went wrong with the latest command; None if nothing did.
    """

    number: int
    position: int
    farthest: int
    nr_steps: int
    playing: bool
    at_end: bool
    told: str
    lanes: tuple[LaneView, ...]
    maps: dict[tuple[int, int], NDArray[np.uint8]]
    dots: dict[tuple[int, int], NDArray[np.uint8]]
    history: HistoryView
    steps_per_second: float = 0.0
    page_operations_per_second: float = 0.0
    busy: str = ""
    error: FolioLabError | None = None
