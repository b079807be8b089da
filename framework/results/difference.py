"""Compare two results of the same kind, case by case, and judge whether a difference is more than noise.

Times of two runs come from different rounds and are not paired: the ratio is that of the medians, and its interval a
bootstrap over both sides. The verdict follows the rules of `comparison`, with Holm's correction over all cases. The
figures of precision and consequences are exact and are compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final, Literal

import numpy as np

from foliolab.framework.errors import UsageError
from foliolab.framework.results import comparison as rules
from foliolab.framework.results import statistics
from foliolab.framework.results.result import Cell, Result
from foliolab.framework.results.run_result import RunResult

Word = Literal["faster", "slower", "higher", "lower", "same", "undecided", "only in the first", "only in the second"]
Z: Final = 1.959963984540054
"""Standard normal quantile of a 95 % interval."""


@dataclass(frozen=True)
class Case:
    """One figure of two results.

    Args:
        key: of the figure, such as (workload, size, policy).
        first, second: the values; None if only the other result has the figure.
        ratio, low, high: second over first with its 95 % interval; None if not defined. Exact values have no interval.
        word: the verdict.
    """

    key: tuple[str, ...]
    first: float | None
    second: float | None
    ratio: float | None
    low: float | None
    high: float | None
    word: Word


@dataclass(frozen=True)
class Difference:
    """All cases of two results.

    Args:
        kind: of both results.
        headings: of the parts of a case's key.
        unit: of the values.
        cases: in the order of the first result, then those that only the second has.
        notes: sentences that a reader should know, such as that the hosts differ.
        counted: the counted metrics of results with times; the last part of their key is the metric.
    """

    kind: str
    headings: tuple[str, ...]
    unit: str
    cases: tuple[Case, ...]
    notes: tuple[str, ...]
    counted: tuple[Case, ...] = ()

    @property
    def exact(self) -> tuple[Case, ...]:
        """The cases without noise: counted metrics, precision, errors."""
        return self.counted if self.kind == "compare" else self.cases

    @property
    def worse(self) -> tuple[Case, ...]:
        """The exact cases that have become worse. Times of two runs are never certain and do not count."""
        return tuple(case for case in self.exact if case.word == "higher")

    def count(self, word: Word) -> int:
        return sum(case.word == word for case in self.cases)


@dataclass(frozen=True)
class Pooled:
    """The geometric mean of several ratios, which count as independent, with its 95 % interval."""

    ratio: float
    low: float
    high: float

    @property
    def word(self) -> Word:
        if not self.low <= 1 <= self.high and abs(self.ratio - 1) > rules.FLOOR:
            return "faster" if self.ratio < 1 else "slower"
        within = self.low >= 1 - rules.EQUIVALENT and self.high <= 1 + rules.EQUIVALENT
        return "same" if within else "undecided"


def pooled(rows: Iterable[rules.Row]) -> Pooled | None:
    """The geometric mean of the rows' ratios to the baseline; None if no row has one."""
    found = [(row.ratio, row.ratio_low, row.ratio_high) for row in rows]
    logs, spread = [], 0.0
    for ratio, low, high in found:
        if ratio is not None and low is not None and high is not None:
            logs.append(log(ratio))
            spread += (log(high / low) / (2 * Z)) ** 2
    if not logs:
        return None
    mean, error = sum(logs) / len(logs), Z * sqrt(spread) / len(logs)
    return Pooled(exp(mean), exp(mean - error), exp(mean + error))


# -- differences -----------------------------------------------------------------------------------------
def difference(first: RunResult, second: RunResult) -> Difference:
    """The difference of two results.

    Raises:
        UsageError: the results are of different kinds, or of a kind that is not compared.
    """
    if isinstance(first, Result) and isinstance(second, Result):
        return _of_times(first, second)
    if type(first) is not type(second):
        hint = "open two results of the same command"
        raise UsageError(f"a result of {first.kind} and one of {second.kind} have nothing to compare", hint)
    ours, theirs = first.figures, second.figures
    if ours is None or theirs is None:
        raise UsageError(
            f"results of {first.kind} are not compared", "compare results of compare, precision or consequences"
        )
    keys = dict.fromkeys([*ours.values, *theirs.values])
    cases = tuple(_exact(key, ours.values.get(key), theirs.values.get(key)) for key in keys)
    return Difference(first.kind, ours.headings, ours.unit, cases, _notes(first, second, timed=False))


def _notes(first: RunResult, second: RunResult, timed: bool) -> tuple[str, ...]:
    notes = []
    if timed and first.machine != second.machine:
        notes.append("the two were measured on different machines, or with different settings of one")
    if timed and first.kernel != second.kernel:
        notes.append(f"kernels differ: {first.kernel}; {second.kernel}")
    if first.git != second.git:
        notes.append(f"checkouts differ: {first.git or 'none'}; {second.git or 'none'}")
    if first.versions != second.versions:
        names = sorted(
            name
            for name in {*first.versions, *second.versions}
            if first.versions.get(name) != second.versions.get(name)
        )
        notes.append(f"versions differ: {', '.join(names)}")
    notes += [f"the {word} is incomplete" for word, one in (("first", first), ("second", second)) if not one.complete]
    return tuple(notes)


def _of_times(first: Result, second: Result) -> Difference:
    ours, theirs = ({cell.key: cell for cell in one.cells if cell.samples} for one in (first, second))
    keys = list(dict.fromkeys([*ours, *theirs]))
    both = [key for key in keys if key in ours and key in theirs]
    seed = first.config.seed
    rng = np.random.default_rng(seed)
    pvalues = [statistics.mann_whitney_u(theirs[key].samples, ours[key].samples) for key in both]
    adjusted = dict(zip(both, statistics.holm(pvalues), strict=True))
    cases = []
    for key in keys:
        name = (key[0], str(key[1]), key[2])
        if key not in adjusted:
            cases.append(_exact(name, _median(ours.get(key)), _median(theirs.get(key))))
            continue
        one, other = ours[key], theirs[key]
        ratio, low, high = statistics.ratio_of_medians(other.samples, one.samples, rng)
        word = _verdict(one, other, (ratio, low, high), adjusted[key])
        cases.append(Case(name, _median(one), _median(other), ratio, low, high, word))
    headings = ("workload", "size, KiB", "policy")
    notes = _notes(first, second, timed=True)
    return Difference("compare", headings, "ns per page", tuple(cases), notes, _of_counts(first, second))


def _of_counts(first: Result, second: Result) -> tuple[Case, ...]:
    ours, theirs = (
        {
            (cell.workload, str(cell.size_kib), cell.policy, metric): value
            for cell in one.cells
            for metric, value in cell.counted.items()
        }
        for one in (first, second)
    )
    return tuple(_exact(key, ours.get(key), theirs.get(key)) for key in dict.fromkeys([*ours, *theirs]))


def _median(cell: Cell | None) -> float | None:
    return None if cell is None else statistics.median(cell.samples)


def _verdict(one: Cell, other: Cell, ratio: tuple[float, float, float], p: float) -> Word:
    middle, low, high = ratio
    if min(len(one.samples), len(other.samples)) < rules.MIN_ROUNDS:
        return "undecided"
    if any(2 * len(side.flagged) >= len(side.samples) for side in (one, other)):
        return "undecided"
    found = Pooled(middle, low, high).word
    return "undecided" if found in ("faster", "slower") and p >= rules.ALPHA else found


def _exact(key: tuple[str, ...], first: float | None, second: float | None) -> Case:
    if first is None or second is None:
        word: Word = "only in the second" if first is None else "only in the first"
        return Case(key, first, second, None, None, None, word)
    ratio = second / first if first else None
    word = "same" if first == second else "higher" if second > first else "lower"
    return Case(key, first, second, ratio, None, None, word)
