"""Which step of a part of the run stands in which row: in the order of time, by kind, or by who became wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from foliolab.gui.explore.queries import Outline

COLUMNS: Final = ("Step", "Time", "Kind", "Wrong", "What it does")
WIDTHS: Final = (52, 76, 64, 78)
"""Of the columns in pixels, until the user sets others; the last one takes what is left."""
STEP, TIME, KIND, WRONG, TEXT = range(len(COLUMNS))
MOST_ROWS: Final = 100_000
"""Rows of the table; of a longer part there are its first steps, or its last ones if these come first."""


class StepOrder:
    """An order.

    What steps do has no order: it is known only of those in sight. Nor have kinds and wrong answers as long as their
    outline is not known.

    Args:
        low, high: the part has steps low to high-1, numbered from 0.
        column: by which they are sorted; -1 for none.
        descending: whether the last ones come first; steps that are alike stay in the order of time.
        outline: what is known of them; None for nothing.

    Attributes:
        nr: number of rows.
        first: the first step that has a row; the others follow it in the order of time, not of the rows.
    """

    def __init__(self, low: int, high: int, column: int, descending: bool, outline: Outline | None) -> None:
        self.nr = min(max(high - low, 0), MOST_ROWS)
        self._turned = descending and column in (STEP, TIME)
        self.first = high - self.nr if self._turned else low
        self._steps: NDArray[np.int64] | None = None
        if outline is not None and column in (KIND, WRONG) and outline.covers(self.first, self.first + self.nr):
            ranks = (outline.ranks_of_kinds if column == KIND else outline.ranks_of_wrong)(self.first, self.nr)
            self._steps = np.argsort(-ranks if descending else ranks, kind="stable")
        self._rows = None if self._steps is None else np.argsort(self._steps)

    def step(self, row: int) -> int:
        """The step of a row."""
        if self._steps is not None:
            return self.first + int(self._steps[row])
        return self.first + (self.nr - 1 - row if self._turned else row)

    def row(self, step: int) -> int:
        """The row of a step; -1 if it has none."""
        at = step - self.first
        if not 0 <= at < self.nr:
            return -1
        if self._rows is not None:
            return int(self._rows[at])
        return self.nr - 1 - at if self._turned else at

    @property
    def in_time(self) -> bool:
        """Whether neighbours in the table are neighbours in time."""
        return self._steps is None

    def same_as(self, other: StepOrder) -> bool:
        """Whether each row has the step that it has in another order."""
        if (self.nr, self.first, self._turned) != (other.nr, other.first, other._turned):
            return False
        if self._steps is None or other._steps is None:
            return self._steps is other._steps
        return np.array_equal(self._steps, other._steps)
