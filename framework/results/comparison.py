"""Compare the policies of a result with one of them: ratios, intervals, tests, and a verdict in words.

The rules for a verdict are tried in this order; the first that applies decides:

not measured   the policy or the baseline has no samples for this workload and size.
baseline       this is the baseline itself.
too few        fewer than MIN_ROUNDS rounds in which both were measured.
too noisy      half of the rounds or more are flagged: the median ratio may be that of a flagged round.
faster, slower the U test is significant (p below ALPHA after Holm's correction over all rows), the interval
               of the ratio excludes 1, and the ratio differs from 1 by more than FLOOR.
same           the interval lies within ±EQUIVALENT of 1; but not if the interval excludes 1 and the rounds are
               too few for faster or slower ever to be significant.
too few        the rounds are so few that no difference could be significant among so many rows, even if every
               sample of one side were above every sample of the other.
too noisy      otherwise: whether there is a difference is not known.

Flagged samples are kept: a policy that spins longer is flagged more often, and leaving those rounds out would
favour it. As long as fewer than half are flagged, the others bound the median. Counted metrics are exact and are
compared without a test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import isfinite
from typing import Final, Literal, get_args

from foliolab.framework.errors import ExitCode, FolioLabError, NothingMeasured, PluginError, UsageError
from foliolab.framework.plugins.published import Published, Resolve, identity
from foliolab.framework.results import statistics
from foliolab.framework.results.beside_columns import columns
from foliolab.framework.results.result import Cell, Result

MIN_ROUNDS: Final = 5
ALPHA: Final = 0.05
FLOOR: Final = 0.01
EQUIVALENT: Final = 0.05

Verdict = Literal["faster", "slower", "same", "too noisy", "too few", "not measured", "baseline"]


class ComparisonFailed(FolioLabError):
    """A comparison that was asked for was not measured."""

    exit_code = ExitCode.COMPARISON_FAILED


@dataclass(frozen=True, kw_only=True)
class Row:
    """One policy against the baseline, under one workload at one size.

    Args:
        workload, size_kib, policy: the case.
        ns_per_page: the median of all samples; None, like all that follow, if the case was not measured.
        ratio, ratio_low, ratio_high: `ns_per_page` over the baseline's, and its 95 % interval, which contains it;
            below 1 is faster. All 1 in the baseline's own rows.
        p, p_adjusted: of the U test, before and after Holm's correction; None if no test was made.
        verdict: see the module.
        rounds: rounds in which both were measured.
        flagged: how many of these rounds are suspect on either side.
        counted, counted_baseline: exact metrics of the policy and of the baseline.
        published: published figures of this policy against this baseline, for this workload and size.
        imported: figures of benchmarks on kernels, in the same form; see `results.beside`.
        reason: why the case was not measured.
        skipped: whether it was not measured because the workload does not apply.
    """

    workload: str
    size_kib: int
    policy: str
    ns_per_page: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    verdict: Verdict = "not measured"
    rounds: int = 0
    flagged: int = 0
    counted: Mapping[str, float] = field(default_factory=dict)
    counted_baseline: Mapping[str, float] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    imported: tuple[Published, ...] = ()
    reason: str = ""
    skipped: bool = False

    @property
    def beside(self) -> tuple[Published, ...]:
        """The figures of others that stand beside what was measured."""
        return *self.published, *self.imported

    @property
    def counted_difference(self) -> dict[str, float]:
        """Counted metrics minus the baseline's, for every metric that both have."""
        return {
            name: value - self.counted_baseline[name]
            for name, value in self.counted.items()
            if name in self.counted_baseline
        }


def compare(
    result: Result,
    baseline: str | None = None,
    published: Sequence[Published] = (),
    resolve: Resolve | None = None,
) -> list[Row]:
    """A row for every workload, size and policy that the result's configuration asked for, in that order.

    Args:
        baseline: one of its policies; None for the one that the result names.
        published: figures to show beside the measured ones.
        resolve: policy text -> all its parameters, so that `rmap-id` and `rmap-id:stage=all` count as the same;
            without it, policies are compared as they are written.

    Raises:
        UsageError: the baseline is not one of the result's policies, or nearly nothing of a very large request is
            there.
    """
    against = _baseline(result, baseline)
    cells = {cell.key: cell for cell in result.cells}
    figures = _Figures(result, against, published, resolve)
    imported = _Figures(result, against, columns(result.beside, against, resolve), resolve)
    rows = []
    for workload, size_kib, policy in result.asked():
        cell, base = (cells.get((workload, size_kib, one)) for one in (policy, against))
        row = Row(workload=workload, size_kib=size_kib, policy=policy)
        row = _measured(row, cell, base, against, result.config.seed)
        rows.append(replace(row, published=figures.of(row), imported=imported.of(row)))
    return _judged(rows)


def _baseline(result: Result, wanted: str | None) -> str:
    policies = result.config.policies
    if wanted is None:
        return result.config.baseline
    if wanted not in policies:
        near = get_close_matches(wanted, policies, 3, 0.4) or policies
        raise UsageError(f"the baseline {wanted} was not measured in this result", f"choose {', '.join(near)}")
    return wanted


class _Figures:
    """The published figures that concern a result's policies against one baseline."""

    def __init__(self, result: Result, baseline: str, published: Sequence[Published], resolve: Resolve | None) -> None:
        self.own = {policy: identity(policy, _values(result, policy, resolve)) for policy in result.config.policies}
        self.found: dict[tuple[object, ...], list[Published]] = {}
        for figure in published:
            policy, other = (
                identity(text, resolve(text) if resolve else None) for text in (figure.policy, figure.baseline)
            )
            if other == self.own[baseline]:
                self.found.setdefault((figure.workload, figure.size_kib, policy), []).append(figure)

    def of(self, row: Row) -> tuple[Published, ...]:
        return tuple(self.found.get((row.workload, row.size_kib, self.own[row.policy]), ()))


def _values(result: Result, policy: str, resolve: Resolve | None) -> Mapping[str, int] | None:
    """A policy's parameters when it was measured, without those that it no longer has; None where they are unknown."""
    values = result.config.policy_parameters.get(policy)
    if resolve is None or values is None:
        return None
    present = resolve(policy)
    return values if present is None else {name: value for name, value in values.items() if name in present}


def _why(cell: Cell | None) -> str:
    """Why a cell has nothing to compare; empty if it has samples."""
    if cell is None or (cell.status == "skipped" and not cell.reason):
        return "the run did not get to it"
    if cell.status != "measured" or not cell.samples:
        return cell.reason or f"{cell.status}, without a reason given"
    return ""


def _skipped(cell: Cell | None) -> bool:
    """Whether the workload does not apply; a cell that is skipped for that reason names it."""
    return cell is not None and cell.status == "skipped" and bool(cell.reason)


def _measured(row: Row, cell: Cell | None, base: Cell | None, baseline: str, seed: int) -> Row:
    """The row with its figures. If a test was made (p is set), the verdict needs Holm's correction over all rows."""
    if base is not None:
        row = replace(row, counted_baseline=base.counted)
    if cell is not None:
        row = replace(row, counted=cell.counted)
    if why := _why(cell):
        return replace(row, reason=why, skipped=_skipped(cell))
    assert cell is not None
    time = statistics.median(cell.samples)
    row = replace(row, ns_per_page=time)
    if why := _why(base):
        return replace(row, reason=f"the baseline {baseline}: {why}", skipped=_skipped(base))
    assert base is not None
    rounds = min(len(cell.samples), len(base.samples))
    suspect = {index for index in (*cell.flagged, *base.flagged) if index < rounds}
    row = replace(row, rounds=rounds, flagged=len(suspect))
    if row.policy == baseline:
        return replace(row, ratio=1.0, ratio_low=1.0, ratio_high=1.0, verdict="baseline")
    ours, theirs = cell.samples[:rounds], base.samples[:rounds]
    _, low, high = statistics.bootstrap_ratio(ours, theirs, seed)
    # A run that ended early may have more rounds of one side. The ratio is that of the times that are shown.
    ratio = time / statistics.median(base.samples)
    if not (isfinite(ratio) and isfinite(high) and min(low, ratio) > 0):
        return replace(row, reason=f"its times have no ratio to those of the baseline {baseline}")
    row = replace(row, ratio=ratio, ratio_low=min(low, ratio), ratio_high=max(high, ratio), verdict="too few")
    return row if rounds < MIN_ROUNDS else replace(row, p=statistics.mann_whitney_u(ours, theirs))


def _judged(rows: list[Row]) -> list[Row]:
    """The rows, those with a test with their final verdicts."""
    tested = [index for index, row in enumerate(rows) if row.p is not None]
    pvalues = [row.p for row in rows if row.p is not None]
    for number, (index, adjusted) in enumerate(zip(tested, statistics.holm(pvalues), strict=True)):
        row = replace(rows[index], p_adjusted=adjusted)
        best = statistics.least_p(row.rounds, row.rounds)
        attainable = statistics.holm([*pvalues[:number], best, *pvalues[number + 1 :]])[number] < ALPHA
        rows[index] = replace(row, verdict=_verdict(row, attainable))
    return rows


def _verdict(row: Row, attainable: bool) -> Verdict:
    """The verdict of a tested row.

    Args:
        attainable: whether any difference could be significant with so many rounds.
    """
    assert row.ratio is not None and row.ratio_low is not None and row.ratio_high is not None
    assert row.p_adjusted is not None
    if 2 * row.flagged >= row.rounds:
        return "too noisy"
    differs = direction(row.ratio, row.ratio_low, row.ratio_high)
    if differs and row.p_adjusted < ALPHA:
        return differs
    if equivalent(row.ratio_low, row.ratio_high) and (attainable or not differs):
        return "same"
    return "too noisy" if attainable else "too few"


def direction(ratio: float, low: float, high: float) -> Literal["faster", "slower"] | None:
    """Where a ratio lies whose interval excludes 1 and that differs from 1 by more than FLOOR; None for another."""
    if low <= 1 <= high or abs(ratio - 1) <= FLOOR:
        return None
    return "faster" if ratio < 1 else "slower"


def equivalent(low: float, high: float) -> bool:
    """Whether an interval lies within ±EQUIVALENT of 1."""
    return low >= 1 - EQUIVALENT and high <= 1 + EQUIVALENT


def rounds_needed(tests: int) -> int:
    """The rounds that a run of so many comparisons needs, so that each can end as faster or slower."""
    return max(MIN_ROUNDS, statistics.rounds_needed(tests, ALPHA))


def summarise(rows: Sequence[Row], baseline: str) -> tuple[dict[str, dict[Verdict, int]], int]:
    """How often each verdict was given, by policy, and the number of tests that the correction is for.

    The baseline is left out, and so are rows whose workload does not apply.
    """
    verdicts: dict[str, dict[Verdict, int]] = {}
    for policy in dict.fromkeys(row.policy for row in rows if row.policy != baseline):
        given = Counter(row.verdict for row in rows if row.policy == policy and not row.skipped)
        verdicts[policy] = {verdict: given[verdict] for verdict in get_args(Verdict) if given[verdict]}
    return verdicts, sum(row.p is not None for row in rows)


def failed(rows: Sequence[Row], result: Result) -> FolioLabError | None:
    """The error of a failed comparison, with its exit code; None if the comparison did not fail.

    The order is: nothing was measured, a plugin failed, a row was not measured. A row that is skipped because its
    workload does not apply is no failure, unless the policy then has no comparison at all.
    """
    reasons = [failure.message for failure in result.failures] or [row.reason for row in rows if row.reason]
    first = f"the first reason: {reasons[0]}" if reasons else "the run ended before the first measurement"
    if all(row.ns_per_page is None for row in rows):
        return NothingMeasured("nothing was measured", first)
    for failure in result.failures:
        if failure.exit_code == ExitCode.PLUGIN_FAILED:
            where = ", ".join(part for part in (failure.policy, failure.workload) if part)
            return PluginError(f"a plugin failed{f' ({where})' if where else ''}", failure.message)
    missing = [row for row in rows if row.verdict == "not measured" and not row.skipped]
    compared = {row.policy for row in rows if row.verdict != "not measured"}
    missing = missing or [row for row in rows if row.policy not in compared]
    if missing:
        row = missing[0]
        return ComparisonFailed(
            f"{len(missing)} of {len(rows)} comparisons were not measured, the first of them "
            f"{row.workload}, {row.size_kib} KiB, {row.policy}",
            row.reason,
        )
    if result.failures:
        return ComparisonFailed("the run had a failure", result.failures[0].message)
    return None
