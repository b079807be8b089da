"""The formula, and the interval of a change.

    T = instructions · CPI + locked · L + lines · latency + lines from memory · latency + copies + faults

Counts are exact, and each constant is a range. Two policies run on the same processor, so both sides of a ratio have
the same constants. The ratio of two such sums is monotonic in each constant, so its least and greatest value over all
constants within their ranges are at corners: all corners are computed, and the interval is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import log

from msgspec.structs import replace

from foliolab.framework.costmodel.processors import TERMS, Processor

Counts = Mapping[str, float]
"""Counts per page, by term."""


@dataclass(frozen=True)
class Span:
    """A ratio of two times, as an interval.

    Args:
        low, high: over all constants within their ranges.
        middle: with each constant at the middle of its range.
    """

    low: float
    middle: float
    high: float

    @property
    def width(self) -> float:
        """In points: per cent of the baseline's time."""
        return (self.high - self.low) * 100


@dataclass(frozen=True)
class Unpredicted:
    """Why there is no prediction."""

    reason: str


def ratio(ours: Counts, base: Counts, processor: Processor) -> Span | Unpredicted:
    """The time by some counts over the time by others, on a processor.

    Args:
        ours, base: counts per page; a term that is missing counts 0.
    """
    terms = [term for term in TERMS if ours.get(term, 0.0) or base.get(term, 0.0)]
    if missing := [term for term in terms if term not in processor.constants]:
        needed = ", ".join(TERMS[term] for term in missing)
        return Unpredicted(f"no published constant of {processor.described} for {needed}")
    if not terms:
        return Unpredicted("nothing was counted")
    constants = [processor.constants[term] for term in terms]
    upper, lower = ([counts.get(term, 0.0) for term in terms] for counts in (ours, base))
    corners = [(_sum(upper, at), _sum(lower, at)) for at in product(*(one.range for one in constants))]
    if min(min(corner) for corner in corners) <= 0:
        return Unpredicted("the counted time is 0 or less")
    ratios = [over / under for over, under in corners]
    middle = [one.middle for one in constants]
    return Span(min(ratios), _sum(upper, middle) / _sum(lower, middle), max(ratios))


def needed(ours: Counts, base: Counts, processor: Processor, found: float) -> dict[str, float]:
    """The cost of each term at which the ratio would be the found one, with the other constants at their middles.

    A term that cannot do that alone is left out. The one whose cost is nearest to its constant comes first.

    Args:
        ours, base: counts per page, whose terms have constants.
        found: a ratio.
    """
    middles = {term: one.middle for term, one in processor.constants.items()}
    terms = [term for term in TERMS if ours.get(term, 0.0) or base.get(term, 0.0)]
    costs: dict[str, float] = {}
    for term in terms:
        others = [one for one in terms if one != term]
        upper, lower = (sum(counts.get(one, 0.0) * middles[one] for one in others) for counts in (ours, base))
        slope = ours.get(term, 0.0) - found * base.get(term, 0.0)
        if slope and (cost := (found * lower - upper) / slope) > 0:
            costs[term] = cost
    return dict(sorted(costs.items(), key=lambda one: abs(log(one[1] / middles[one[0]]))))


def lacking(ours: Counts, base: Counts, processor: Processor, found: float) -> float:
    """The cycles a page that the first time lacks for the ratio to be the found one, each constant at its middle.

    Args:
        ours, base: counts per page, whose terms have constants.
        found: a ratio.
    """
    upper, lower = (
        sum(count * processor.constants[term].middle for term, count in counts.items() if count)
        for counts in (ours, base)
    )
    return found * lower - upper


def widths(ours: Counts, base: Counts, processor: Processor) -> dict[str, float]:
    """The width in points that the range of each constant makes alone, with the others at their middles.

    The widest comes first.

    Args:
        ours, base: counts per page, whose terms have constants.
    """
    found = {}
    for term in processor.constants:
        fixed = {
            name: one if name == term else replace(one, range=(one.middle, one.middle))
            for name, one in processor.constants.items()
        }
        span = ratio(ours, base, replace(processor, constants=fixed))
        if isinstance(span, Span):
            found[term] = span.width
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _sum(counts: list[float], constants: tuple[float, ...] | list[float]) -> float:
    return sum(count * constant for count, constant in zip(counts, constants, strict=True))


def plus(one: Counts, other: Counts, sign: int = 1) -> dict[str, float]:
    """The sum of two counts, or their difference with sign -1."""
    return {term: one.get(term, 0.0) + sign * other.get(term, 0.0) for term in TERMS}
