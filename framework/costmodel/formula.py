"""The formula, and the interval of a change.

    T = instructions · CPI + locked · L + lines · latency + copies + faults

Counts are exact, and each constant is a range. Two policies run on the same processor, so both sides of a ratio have
the same constants. The ratio of two such sums is monotonic in each constant, so its least and greatest value over all
constants within their ranges are at corners: all corners are computed, and the interval is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

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


def _sum(counts: list[float], constants: tuple[float, ...] | list[float]) -> float:
    return sum(count * constant for count, constant in zip(counts, constants, strict=True))


def plus(one: Counts, other: Counts, sign: int = 1) -> dict[str, float]:
    """The sum of two counts, or their difference with sign -1."""
    return {term: one.get(term, 0.0) + sign * other.get(term, 0.0) for term in TERMS}
