"""The prediction "with the rest of the kernel": raw times plus what the running kernel does besides, for any policy.

    predicted = raw + a + b / pages of a folio

with the two constants of a calibration, which were measured under the one policy that this kernel has. Two
assumptions carry it. The rest is the same under every policy that does the same work, and a policy that copies where
the kernel reuses has the rest of the copy. For the kernel's own policy the prediction gives back what was measured, up
to the residuals of the fit and to how two runs of the model differ, by construction: there it tests nothing. For the
others it is a prediction, and the published figures, which no constant has ever seen, can refute it.

The interval of a change holds 95 % of draws of the rounds and of the rest together: the constants from their
covariance, and the fit's residual at that size with either sign, since a fit is not known better than it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.calibration import Calibration, Rest, Unknown, column_of, differs, rest_of
from foliolab.framework.plugins.published import Published
from foliolab.framework.results import statistics
from foliolab.framework.results.comparison import Row
from foliolab.framework.results.result import Result

SMALL_KIB: Final = 4
"""Folios of one page: no scheme does anything there, so they say nothing about a prediction."""


@dataclass(frozen=True)
class Standing:
    """How a prediction stands to a published figure, in points (per cent of the baseline's time).

    Args:
        figure: what was published.
        raw: the raw change minus the published one.
        predicted: the predicted change minus the published one.
        inside: whether the prediction's interval reaches what rounds to the published figure.
    """

    figure: Published
    raw: float
    predicted: float
    inside: bool


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """One row of a comparison with the rest of the kernel.

    Args:
        row: the raw comparison.
        ns_per_page: predicted; None where there is no prediction, as with all that follow.
        ratio, ratio_low, ratio_high: to the baseline's prediction, with the interval.
        operation: whose rest was added.
        standings: to every published change of run time.
        reason: why there is no prediction.
    """

    row: Row
    ns_per_page: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    operation: str = ""
    standings: tuple[Standing, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Tally:
    """How a policy's predictions under one workload stand to the published figures; small folios left out.

    Args:
        policy, workload: which.
        figures: how many there are.
        inside: how many lie in the interval.
        width: how wide the interval is, the median, in points: into a wide one much falls.
        nearer: for how many the prediction is nearer than the raw change.
        raw, predicted: mean distance of the raw and of the predicted changes, in points.
    """

    policy: str
    workload: str
    figures: int
    inside: int
    width: float
    nearer: int
    raw: float
    predicted: float


@dataclass(frozen=True)
class Check:
    """The prediction of the kernel's own policy against the kernel.

    Args:
        workload, size_kib: where.
        predicted, measured: nanoseconds per page.
    """

    workload: str
    size_kib: int
    predicted: float
    measured: float

    @property
    def deviation(self) -> float:
        """Predicted by measured, minus 1."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Prediction:
    """All forecasts of a result.

    Args:
        calibration: whose constants.
        forecasts: by workload, size and policy.
        tallies: for each policy and workload that something was published of.
        checks: the kernel's own policy; empty where the result does not have it.
        notes: what limits the prediction, a sentence each.
    """

    calibration: Calibration
    forecasts: Mapping[tuple[str, int, str], Forecast]
    tallies: Sequence[Tally] = ()
    checks: Sequence[Check] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def typical_deviation(self) -> float:
        """The median deviation of the kernel's own policy, without sign."""
        return statistics.median([abs(check.deviation) for check in self.checks])

    def of(self, row: Row) -> Forecast:
        """The forecast of a row of the same comparison."""
        return self.forecasts[row.workload, row.size_kib, row.policy]


def predict(result: Result, rows: Sequence[Row], calibration: Calibration, reuses: Callable[[str], bool]) -> Prediction:
    """The prediction for every row of a comparison.

    Args:
        result: what was measured.
        rows: its comparison.
        calibration: the rest of the kernel.
        reuses: whether a policy may write to a large folio in place.
    """
    samples = {cell.key: np.asarray(cell.samples, np.float64) for cell in result.cells if cell.samples}
    seed = result.config.seed
    bases = {(row.workload, row.size_kib): row for row in rows if row.verdict == "baseline"}
    forecasts: dict[tuple[str, int, str], Forecast] = {}
    for row in rows:
        key = (row.workload, row.size_kib, row.policy)
        base = bases.get(key[:2])
        if row.ns_per_page is None or base is None:
            forecasts[key] = Forecast(row=row, reason=row.reason or "the baseline was not measured")
            continue
        rest = rest_of(calibration, row.workload, row.size_kib, reuses(row.policy), seed)
        under = rest_of(calibration, row.workload, row.size_kib, reuses(base.policy), seed)
        forecasts[key] = _forecast(row, samples[key], rest, samples[(*key[:2], base.policy)], under, seed)
    own = column_of(result, calibration.policy, calibration.parameters)
    checks = _checks(forecasts, calibration, own)
    return Prediction(calibration, forecasts, _tallies(forecasts), checks, _notes(result, calibration))


def _forecast(
    row: Row,
    ours: NDArray[np.float64],
    rest: Rest | Unknown,
    base: NDArray[np.float64],
    under: Rest | Unknown,
    seed: int,
) -> Forecast:
    if isinstance(rest, Unknown):
        return Forecast(row=row, reason=rest.reason)
    if isinstance(under, Unknown):
        return Forecast(row=row, reason=f"the baseline: {under.reason}")
    found = Forecast(row=row, operation=rest.operation, ns_per_page=statistics.median(ours.tolist()) + rest.value)
    rounds = min(ours.size, base.size)
    ours, base = ours[:rounds], base[:rounds]
    # A rest below minus the raw time leaves nothing to divide: such constants predict nothing.
    possible = (base.min() + under.draws > 0) & (ours.min() + rest.draws > 0)
    outside = (base + under.value <= 0).any() or (ours + rest.value <= 0).any()
    if outside or 1 - possible.mean() > statistics.INTERVAL[0]:
        return Forecast(row=row, reason="the calibrated rest is not told from less than nothing")
    if row.verdict == "baseline":
        return replace(found, ratio=1.0, ratio_low=1.0, ratio_high=1.0)
    drawn = np.random.default_rng(seed).integers(0, rounds, (rest.draws.size, rounds))[possible]
    over = ours[drawn] + rest.draws[possible, None]
    ratios = np.median(over / (base[drawn] + under.draws[possible, None]), axis=1)
    low, high = (float(value) for value in statistics.interval(ratios))
    ratio = statistics.median(((ours + rest.value) / (base + under.value)).tolist())
    found = replace(found, ratio=ratio, ratio_low=min(low, ratio), ratio_high=max(high, ratio))
    return replace(found, standings=_standings(found))


def _standings(forecast: Forecast) -> tuple[Standing, ...]:
    row = forecast.row
    assert forecast.ratio is not None and forecast.ratio_low is not None and forecast.ratio_high is not None
    assert row.ratio is not None
    low, high = (forecast.ratio_low - 1) * 100, (forecast.ratio_high - 1) * 100
    return tuple(
        Standing(
            figure=figure,
            raw=(row.ratio - 1) * 100 - figure.change_percent,
            predicted=(forecast.ratio - 1) * 100 - figure.change_percent,
            inside=low - _rounding(figure) <= figure.change_percent <= high + _rounding(figure),
        )
        for figure in row.published
        if figure.change_percent is not None
    )


def _rounding(figure: Published) -> float:
    """Half of a published figure's last digit, in points: they come in whole points or in tenths."""
    return 0.5 if float(figure.percent).is_integer() else 0.05


def _tallies(forecasts: Mapping[tuple[str, int, str], Forecast]) -> list[Tally]:
    held: dict[tuple[str, str], list[Forecast]] = {}
    for (workload, size_kib, policy), forecast in forecasts.items():
        if forecast.standings and size_kib > SMALL_KIB:
            held.setdefault((policy, workload), []).append(forecast)
    return [_tally(policy, workload, found) for (policy, workload), found in held.items()]


def _tally(policy: str, workload: str, forecasts: Sequence[Forecast]) -> Tally:
    standings = [standing for one in forecasts for standing in one.standings]
    widths = [(one.ratio_high or 0) - (one.ratio_low or 0) for one in forecasts]
    return Tally(
        policy=policy,
        workload=workload,
        figures=len(standings),
        inside=sum(one.inside for one in standings),
        width=statistics.median(widths) * 100,
        nearer=sum(abs(one.predicted) < abs(one.raw) for one in standings),
        raw=float(np.mean([abs(one.raw) for one in standings])),
        predicted=float(np.mean([abs(one.predicted) for one in standings])),
    )


def _checks(forecasts: Mapping[tuple[str, int, str], Forecast], calibration: Calibration, own: str) -> list[Check]:
    """The kernel's own policy where it is calibrated and in the result."""
    found = []
    for (workload, size_kib, policy), forecast in forecasts.items():
        operation = calibration.operation(workload)
        point = operation.point(size_kib) if operation else None
        if policy == own and point is not None and forecast.ns_per_page is not None:
            found.append(Check(workload, size_kib, forecast.ns_per_page, point.kernel))
    return found


def _notes(result: Result, calibration: Calibration) -> list[str]:
    notes = []
    if why := differs(calibration, result.machine, result.kernel):
        notes.append(f"the calibration is not of this machine and kernel: {why}")
    sizes = {source.memory for source in (calibration.bench, calibration.model)} - {result.config.memory}
    if sizes:
        text = ", ".join(f"{size >> 20} MiB" for size in sorted(sizes))
        notes.append(
            f"the calibration was made on {text}, this result on {result.config.memory >> 20} MiB: more or less of it "
            f"is cached"
        )
    return notes
