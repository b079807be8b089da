"""The statistics of a comparison: medians, bootstrap intervals, a rank test, and Holm's correction.

The functions need numpy only, so that a comparison needs no scipy; the tests check every function against scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb, erfc, sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT_LIMIT: Final = 20
"""Up to so many values on each side the rank test is exact; beyond, the normal approximation is as good."""

RESAMPLES: Final = 2000
MOST_DRAWN: Final = 6_000_000
"""The most indices that one bootstrap draws: memory and time of a file with very many rounds stay bounded."""
LEAST_RATIO: Final = 1e-100
INTERVAL: Final = (0.025, 0.975)
"""The quantiles at the ends of a 95 % interval."""


def median(values: Sequence[float]) -> float:
    """The middle value, the mean of the two middle ones where their number is even.

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("the median of no values is not defined")
    return float(np.median(np.asarray(values, np.float64)))


# -- bootstrap -------------------------------------------------------------------------------------
def draw(rng: np.random.Generator, rounds: int, resamples: int = RESAMPLES) -> NDArray[np.intp]:
    """Rounds drawn with replacement: (resamples, rounds) indices; of very many rounds fewer are drawn."""
    return rng.integers(0, rounds, (min(resamples, max(1, MOST_DRAWN // rounds)), rounds))


def medians(values: NDArray[np.float64], drawn: NDArray[np.intp]) -> NDArray[np.float64]:
    """The median of each draw of the values."""
    return np.asarray(np.median(values[drawn], axis=1))


def interval(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 95 % percentile interval of a resampled statistic: its low and high end, for each column if there are any."""
    return np.asarray(np.quantile(resampled, INTERVAL, axis=0))


def bootstrap_ratio(
    sample: Sequence[float], baseline: Sequence[float], seed: int, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """The ratio of the two medians, and its 95 % interval, which contains it.

    It is the quotient of the two times that a table shows, so that the two cannot point in different directions. Rounds
    are resampled, not the two sides apart: what disturbed a whole round disturbs both medians of a draw.

    Args:
        sample: one value a round.
        baseline: the baseline's value of the same rounds, in the same order; all above 0.
        seed: the same seed gives the same interval.
        resamples: how many times the rounds are drawn anew.

    Returns:
        ratio, low, high.

    Raises:
        ValueError: no rounds, sides of different length, or a baseline of 0.
    """
    over = np.asarray(sample, np.float64)
    under = np.asarray(baseline, np.float64)
    if over.size == 0 or over.shape != under.shape:
        raise ValueError(f"paired rounds are needed, not {over.size} against {under.size}")
    if not (under > 0).all():
        raise ValueError("a ratio to a baseline of 0 is not defined")
    drawn = draw(np.random.default_rng(seed), over.size, resamples)
    low, high = interval(_ratio(medians(over, drawn), medians(under, drawn)))
    ratio = float(_ratio(np.median(over), np.median(under)))
    return ratio, min(float(low), ratio), max(float(high), ratio)


def ratio_of_medians(
    sample: Sequence[float], baseline: Sequence[float], rng: np.random.Generator
) -> tuple[float, float, float]:
    """The ratio of two medians, and its 95 % interval; the two sides come from different rounds and are not paired.

    Args:
        sample, baseline: values above 0, at least one each.
        rng: the random numbers of the resampling.

    Returns:
        ratio, low, high.
    """
    over, under = np.asarray(sample, np.float64), np.asarray(baseline, np.float64)
    drawn = [medians(side, draw(rng, side.size)) for side in (over, under)]
    low, high = interval(_ratio(drawn[0], drawn[1]))
    return float(_ratio(np.median(over), np.median(under))), float(low), float(high)


def _ratio(over: ArrayLike, under: ArrayLike) -> NDArray[np.float64]:
    """Ratios of values above 0, from LEAST_RATIO to its inverse: their logarithms and products are finite."""
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(np.divide(over, under), LEAST_RATIO, 1 / LEAST_RATIO)


# -- tests -----------------------------------------------------------------------------------------
@lru_cache(maxsize=64)
def _orderings(n: int, m: int) -> NDArray[np.float64]:
    """How many of the orderings of n and m distinct values have each value of U, 0 to n·m."""
    # ways[j] counts for the first i values of one side: value i beats 0…m values of the other side.
    ways = [np.zeros(n * m + 1) for _ in range(m + 1)]
    for counts in ways:
        counts[0] = 1
    for _ in range(n):
        for j in range(1, m + 1):
            # The largest value so far is on the first side and beats j values, or on the second side.
            shifted = np.zeros_like(ways[j])
            shifted[j:] = ways[j][: n * m + 1 - j]
            ways[j] = shifted + ways[j - 1]
    return ways[m]


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean ranks from 1, and the sizes of the groups of equal values."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return ((last - sizes + 1 + last) / 2)[group], sizes.astype(np.int64)


def mann_whitney_u(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sided p of the Mann-Whitney U test.

    The test is exact if neither side has more than EXACT_LIMIT values and no two values are equal. Otherwise it is the
    normal approximation with corrections for ties and continuity.

    Raises:
        ValueError: a side without values.
    """
    n, m = len(a), len(b)
    if not n or not m:
        raise ValueError(f"both samples need values, not {n} and {m}")
    ranks, groups = _ranks(np.concatenate([np.asarray(a, np.float64), np.asarray(b, np.float64)]))
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    extreme = max(u, n * m - u)
    if n <= EXACT_LIMIT and m <= EXACT_LIMIT and groups.max() == 1:
        tail = float(_orderings(n, m)[round(extreme) :].sum()) / comb(n + m, n)
        return min(1.0, 2 * tail)
    total = n + m
    ties = float((groups**3 - groups).sum()) / (total * (total - 1))
    spread = sqrt(n * m / 12 * (total + 1 - ties))
    if spread == 0:
        return 1.0  # every value is the same
    return min(1.0, erfc((extreme - n * m / 2 - 0.5) / spread / sqrt(2)))


def least_p(n: int, m: int) -> float:
    """The smallest p of `mann_whitney_u` for n and m values: every value of one side is larger."""
    return min(1.0, 2 / comb(n + m, n))


def holm(pvalues: Sequence[float]) -> list[float]:
    """The p-values of several tests, adjusted by Holm's method for the chance of any false alarm among them.

    Returns:
        adjusted values in the order given; the k-th smallest never below the one before it.
    """
    raw = np.asarray(pvalues, np.float64)
    order = np.argsort(raw, kind="stable")
    steps = raw[order] * np.arange(raw.size, 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def rounds_needed(tests: int, alpha: float = 0.05) -> int:
    """The fewest rounds with which each of so many tests can be significant after `holm`."""
    rounds = 1
    while least_p(rounds, rounds) * max(tests, 1) >= alpha:
        rounds += 1
    return rounds
