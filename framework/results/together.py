"""Several rows of a comparison together: one figure and one verdict that do not contradict those of the rows.

The figure is the geometric mean of the ratios, which count as independent. The verdict needs a row that says the same:

faster, slower  the interval of the mean excludes 1, the mean differs from 1 by more than `comparison.FLOOR`, some row
                has this verdict, and none has the opposite one.
same            the interval lies within ±`comparison.EQUIVALENT` of 1, some row has this verdict, and none is faster or
                slower.
mixed           rows are both faster and slower, or the mean is the same and a row is not.
undecided       otherwise. If all rows have one verdict, such as too noisy, it is the verdict of all.

All that shows rows together, such as a matrix, a heading or a window, takes it from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import geometric_mean
from typing import Literal

from foliolab.framework.results.comparison import Row, Verdict, direction, equivalent

Word = Verdict | Literal["mixed", "undecided"]


@dataclass(frozen=True)
class Together:
    """The geometric mean of several ratios with its 95 % interval, and the verdict."""

    ratio: float
    low: float
    high: float
    word: Word


def together(rows: Iterable[Row]) -> Together | None:
    """The figure and the verdict of the rows that have a ratio to the baseline; None if no row has one."""
    found = [
        (row.ratio, row.ratio_low, row.ratio_high, row.verdict)
        for row in rows
        if row.ratio is not None and row.ratio_low is not None and row.ratio_high is not None
    ]
    if not found:
        return None
    ratio = geometric_mean(middle for middle, *_ in found)
    # Each side of the intervals has its own spread, so that one row keeps its own interval.
    down = sqrt(sum(log(middle / low) ** 2 for middle, low, _, _ in found)) / len(found)
    up = sqrt(sum(log(high / middle) ** 2 for middle, _, high, _ in found)) / len(found)
    low, high = ratio / exp(down), ratio * exp(up)
    return Together(ratio, low, high, _word(ratio, low, high, {verdict for *_, verdict in found}))


def _word(ratio: float, low: float, high: float, verdicts: set[Verdict]) -> Word:
    if len(verdicts) == 1:
        return next(iter(verdicts))
    differ = verdicts & {"faster", "slower"}
    if len(differ) == 2:
        return "mixed"
    word = direction(ratio, low, high)
    if word is not None:
        return word if differ == {word} else "undecided"
    if equivalent(low, high):
        return "mixed" if differ else "same" if "same" in verdicts else "undecided"
    return "undecided"
