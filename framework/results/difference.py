"""Compare two results of the same kind, case by case, and judge whether a difference is more than noise.

Times of two runs come from different rounds and are not paired: the ratio is that of the medians, and its interval a
bootstrap over both sides. The verdict follows the rules of `comparison`, with Holm's correction over all cases. The
figures of precision, consequences and replays are exact and are compared exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean
from typing import Literal

import numpy as np

from foliolab.framework.errors import UsageError
from foliolab.framework.results import comparison as rules
from foliolab.framework.results import statistics
from foliolab.framework.results.result import Cell, Result
from foliolab.framework.results.run_result import RunResult

Word = Literal["faster", "slower", "higher", "lower", "same", "undecided", "only in the first", "only in the second"]


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
        lost: what was asked for and not measured, in one of the results or in both; a sentence each.
        commands: what repeats the two.
    """

    kind: str
    headings: tuple[str, ...]
    unit: str
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()
    counted: tuple[Case, ...] = ()
    lost: tuple[str, ...] = ()
    commands: tuple[str, str] = ("", "")

    @property
    def exact(self) -> tuple[Case, ...]:
        """The cases without noise: counted metrics, precision, errors."""
        return self.counted if self.kind == "compare" else self.cases

    @property
    def worse(self) -> tuple[Case, ...]:
        """The exact cases that have become worse. Times of two runs are never certain and do not count."""
        return tuple(case for case in self.exact if case.word == "higher")

    @property
    def mean(self) -> tuple[float, int] | None:
        """The geometric mean of the ratios of all cases, and their number; None if no case has a ratio."""
        ratios = [case.ratio for case in self.cases if case.ratio]
        return (geometric_mean(ratios), len(ratios)) if ratios else None

    @property
    def failed(self) -> bool:
        """Whether something exact is worse, or was not measured."""
        return bool(self.worse or self.lost)

    def count(self, word: Word) -> int:
        return sum(case.word == word for case in self.cases)


# -- differences -----------------------------------------------------------------------------------------
def difference(first: RunResult, second: RunResult) -> Difference:
    """The difference of two results.

    Raises:
        UsageError: the results are of different kinds, or of a kind that is not compared.
    """
    if isinstance(first, Result) and isinstance(second, Result):
        return _found(first, second, _of_times(first, second))
    if type(first) is not type(second):
        hint = "open two results of the same command"
        raise UsageError(f"a result of {first.verb} and one of {second.verb} have nothing to compare", hint)
    ours, theirs = first.figures, second.figures
    if ours is None or theirs is None:
        raise UsageError(
            f"results of {first.verb} are not compared", "compare results of compare, precision, consequences or replay"
        )
    keys = dict.fromkeys([*ours.values, *theirs.values])
    cases = tuple(_exact(key, ours.values.get(key), theirs.values.get(key)) for key in keys)
    notes = (f"the first is of {ours.of}, the second of {theirs.of}",) if ours.of != theirs.of else ()
    return _found(first, second, Difference(first.verb, ours.headings, ours.unit, cases, notes))


def _found(first: RunResult, second: RunResult, bare: Difference) -> Difference:
    """The difference with what holds for results of every kind."""
    sides = ("first", first), ("second", second)
    lost = [f"{sentence} (in the {word})" for word, one in sides for sentence in one.lost]
    if isinstance(second, Result):
        there = {(cell.workload, str(cell.size_kib), cell.policy) for cell in second.cells}
        gone = [case.key for case in bare.counted if case.word == "only in the first" and case.key[:3] in there]
        lost += [f"{', '.join(key)}: is counted in the first only" for key in gone]
    if not any(case.first is not None and case.second is not None for case in (*bare.cases, *bare.counted)):
        lost.append("the two have no case in common")
    notes = (*_notes(first, second, bool(bare.counted) or first.kind == "compare"), *bare.notes)
    return replace(bare, notes=notes, lost=tuple(lost), commands=(first.command, second.command))


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
    counted = _of_counts(first, second)
    drift = _drift(first, second, cases, counted)
    return Difference("compare", headings, "ns per page", tuple(cases), drift, counted)


def _drift(first: Result, second: Result, cases: Sequence[Case], counted: Sequence[Case]) -> tuple[str, ...]:
    """A sentence if the baseline of both results took another time although it did the same."""
    name = first.config.baseline
    own = [case for case in cases if case.key[2] == name and case.ratio]
    moved = [case for case in own if case.word in ("faster", "slower")]
    words = {case.word for case in counted if case.key[2] == name}
    if name != second.config.baseline or not moved or words != {"same"}:
        return ()
    change = (geometric_mean(case.ratio for case in own if case.ratio) - 1) * 100
    return (
        f"the machine drifted: the baseline {name} does the same as before, and its time changed by "
        f"{'−' if change < 0 else '+'}{abs(change):.1f} % (geometric mean of {len(own)} cases); foliolab report shows "
        "the ratios to it",
    )


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
    differs = rules.direction(middle, low, high)
    if differs:
        return differs if p < rules.ALPHA else "undecided"
    return "same" if rules.equivalent(low, high) else "undecided"


def _exact(key: tuple[str, ...], first: float | None, second: float | None) -> Case:
    if first is None or second is None:
        word: Word = "only in the second" if first is None else "only in the first"
        return Case(key, first, second, None, None, None, word)
    ratio = second / first if first > 0 <= second else None
    word = "same" if first == second else "higher" if second > first else "lower"
    return Case(key, first, second, ratio, None, None, word)
