"""The prediction "with the rest of the kernel": modelled times plus the kernel's time that is not modelled.

    predicted = raw + a + b / pages of a folio

The two constants are those of a calibration, which was measured under the one policy that this kernel has. The
prediction assumes that the rest is the same under every policy that does the same work, and that a policy that copies
where the kernel reuses has the rest of the copy. For the kernel's own policy the prediction equals the measurement by
construction, up to the residuals of the fit and the noise of two runs, so it tests nothing. For other policies it is a
prediction, which the published figures can refute, since no constant was fitted to them.

The interval of a change contains 95 % of joint draws of the rounds and of the rest (see `rest.Rest`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.calibration import Calibration, Rest, Unknown, column_of, differs, rest_of
from foliolab.framework.calibration.file import PAGE_KIB
from foliolab.framework.plugins.published import Published
from foliolab.framework.results import statistics
from foliolab.framework.results.comparison import Row
from foliolab.framework.results.result import Result


@dataclass(frozen=True)
class Standing:
    """The distance of a prediction from a published figure, in points (per cent of the baseline's time).

    Args:
        figure: the published figure.
        raw: the raw change minus the published one.
        predicted: the predicted change minus the published one.
        inside: whether the prediction's interval contains a value that rounds to the published figure.
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
        ns_per_page: the predicted time; None if there is no prediction, as for the following fields.
        ratio, ratio_low, ratio_high: to the baseline's prediction, with the interval.
        operation: the calibrated operation whose rest was added.
        standings: one for every published change of run time.
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
class FigureTally:
    """A summary of the standings of one policy and workload, without folios of one page.

    Schemes do no work on a folio of one page, so its predictions show nothing.

    Args:
        policy, workload: of the standings.
        figures: number of published figures.
        inside: number of figures inside of the interval.
        width: median width of the intervals in points: a wide interval contains a figure easily.
        nearer: number of figures to which the predicted change is nearer than the raw change.
        raw, predicted: mean distance of the raw and of the predicted changes in points.
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
class OwnCheck:
    """The prediction for the kernel's own policy, and the measured time of the kernel.

    Args:
        workload, size_kib: the benchmark and the folio size.
        predicted, measured: nanoseconds per page.
    """

    workload: str
    size_kib: int
    predicted: float
    measured: float

    @property
    def deviation(self) -> float:
        """Predicted time divided by measured time, minus 1."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Prediction:
    """All forecasts of a result.

    Args:
        calibration: of the constants.
        forecasts: by workload, size in KiB and policy.
        tallies: one for each policy and workload with published figures.
        checks: for the kernel's own policy; empty if the result does not have it.
        notes: limits of the prediction, a sentence each.
    """

    calibration: Calibration
    forecasts: Mapping[tuple[str, int, str], Forecast]
    tallies: Sequence[FigureTally] = ()
    checks: Sequence[OwnCheck] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def typical_deviation(self) -> float:
        """The median absolute deviation of the checks."""
        return statistics.median([abs(check.deviation) for check in self.checks])

    def of(self, row: Row) -> Forecast:
        return self.forecasts[row.workload, row.size_kib, row.policy]


def predict(result: Result, rows: Sequence[Row], calibration: Calibration, reuses: Callable[[str], bool]) -> Prediction:
    """Predict every row of a comparison.

    Args:
        result: the measurements.
        rows: the comparison of the result.
        calibration: of the kernel.
        reuses: whether a policy, by its name in the result, may write to a large folio in place.
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
        base_rest = rest_of(calibration, row.workload, row.size_kib, reuses(base.policy), seed)
        forecasts[key] = _forecast(row, samples[key], rest, samples[(*key[:2], base.policy)], base_rest, seed)
    own = column_of(result, calibration.policy, calibration.parameters)
    checks = _checks(forecasts, calibration, own)
    return Prediction(calibration, forecasts, _tallies(forecasts), checks, _notes(result, calibration))


def _forecast(
    row: Row,
    ours: NDArray[np.float64],
    rest: Rest | Unknown,
    base: NDArray[np.float64],
    base_rest: Rest | Unknown,
    seed: int,
) -> Forecast:
    if isinstance(rest, Unknown):
        return Forecast(row=row, reason=rest.reason)
    if isinstance(base_rest, Unknown):
        return Forecast(row=row, reason=f"the baseline: {base_rest.reason}")
    time = statistics.median(ours.tolist()) + rest.value
    found = Forecast(row=row, operation=rest.operation, ns_per_page=time)
    base_median, rounds = statistics.median(base.tolist()), min(ours.size, base.size)
    ours, base = ours[:rounds], base[:rounds]
    # A ratio needs positive times. A very negative rest makes them negative, and such constants predict nothing.
    possible = (base.min() + base_rest.draws > 0) & (ours.min() + rest.draws > 0)
    outside = (base + base_rest.value <= 0).any() or (ours + rest.value <= 0).any()
    if outside or 1 - possible.mean() > statistics.INTERVAL[0]:
        return Forecast(row=row, reason="the predicted time is not distinguishable from 0 or less")
    if row.verdict == "baseline":
        return replace(found, ratio=1.0, ratio_low=1.0, ratio_high=1.0)
    drawn = np.random.default_rng(seed).integers(0, rounds, (rest.draws.size, rounds))[possible]
    over, under = (statistics.medians(side, drawn) for side in (ours, base))
    ratios = (over + rest.draws[possible]) / (under + base_rest.draws[possible])
    low, high = (float(value) for value in statistics.interval(ratios))
    ratio = time / (base_median + base_rest.value)
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
            inside=low - figure.rounding <= figure.change_percent <= high + figure.rounding,
        )
        for figure in row.published
        if figure.change_percent is not None
    )


def _tallies(forecasts: Mapping[tuple[str, int, str], Forecast]) -> list[FigureTally]:
    held: dict[tuple[str, str], list[Forecast]] = {}
    for (workload, size_kib, policy), forecast in forecasts.items():
        if forecast.standings and size_kib > PAGE_KIB:
            held.setdefault((policy, workload), []).append(forecast)
    return [_tally(policy, workload, found) for (policy, workload), found in held.items()]


def _tally(policy: str, workload: str, forecasts: Sequence[Forecast]) -> FigureTally:
    standings = [standing for forecast in forecasts for standing in forecast.standings]
    widths = [(forecast.ratio_high or 0) - (forecast.ratio_low or 0) for forecast in forecasts]
    return FigureTally(
        policy=policy,
        workload=workload,
        figures=len(standings),
        inside=sum(standing.inside for standing in standings),
        width=statistics.median(widths) * 100,
        nearer=sum(abs(standing.predicted) < abs(standing.raw) for standing in standings),
        raw=float(np.mean([abs(standing.raw) for standing in standings])),
        predicted=float(np.mean([abs(standing.predicted) for standing in standings])),
    )


def _checks(forecasts: Mapping[tuple[str, int, str], Forecast], calibration: Calibration, own: str) -> list[OwnCheck]:
    """The checks of the kernel's own policy `own`, at the sizes that are calibrated."""
    found = []
    for (workload, size_kib, policy), forecast in forecasts.items():
        operation = calibration.operation(workload)
        point = operation.point(size_kib) if operation else None
        if policy == own and point is not None and forecast.ns_per_page is not None:
            found.append(OwnCheck(workload, size_kib, forecast.ns_per_page, point.kernel))
    return found


def _notes(result: Result, calibration: Calibration) -> list[str]:
    notes = []
    if why := differs(calibration, result.machine, result.kernel):
        notes.append(f"the calibration is not of this host and kernel: {why}")
    sizes = {measured.memory for measured in (calibration.bench, calibration.model)} - {result.config.memory}
    if sizes:
        text = ", ".join(f"{size >> 20} MiB" for size in sorted(sizes))
        notes.append(
            f"the calibration was made on {text}, this result on {result.config.memory >> 20} MiB: the share that is "
            f"cached differs"
        )
    return notes
