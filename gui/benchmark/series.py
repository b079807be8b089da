"""Makes curves of a result: one workload, raw or with the rest of the kernel, beside published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import TYPE_CHECKING, Final, TypeVar

from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.calibration.prediction import Forecast
    from foliolab.framework.costmodel.prediction import ProcessorForecast
    from foliolab.framework.results.comparison import Row
    from foliolab.framework.results.result import Result
    from foliolab.gui.window.library import Library

T = TypeVar("T")
SIGNS: Final = {"faster": "▼", "slower": "▲", "same": "="}


@dataclass(frozen=True)
class Curve:
    """One curve.

    Args:
        name: unique; shown at the end of the curve.
        x, y: its points.
        low, high: the ends of the error bars; empty for none.
        number: decides the colour and the symbol.
        dashed: whether the values were not measured on this host, such as published figures.
        band: whether `low` and `high` bound an area about the curve, as a prediction's do, instead of bars.
        texts: a sentence for each point, shown when the mouse is on it.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    number: int = 0
    dashed: bool = False
    texts: Sequence[str] = ()
    band: bool = False

    def between(self, low: float, high: float) -> Curve:
        """The part of the curve from one x to another; without points, if it has none there."""
        kept = [at for at, x in enumerate(self.x) if low <= x <= high]

        def part(values: Sequence[T]) -> Sequence[T]:
            return [values[at] for at in kept] if values else ()

        return replace(
            self, x=part(self.x), y=part(self.y), low=part(self.low), high=part(self.high), texts=part(self.texts)
        )


@dataclass(frozen=True)
class Selection:
    """What of a result is shown.

    Args:
        workload: its name.
        ratio: show ratios to the baseline instead of nanoseconds per page.
        rest: include the rest of the kernel.
        published: show published figures, too.
        cpu: the processor whose predictions are shown, too; empty for none.
    """

    workload: str
    ratio: bool = True
    rest: bool = False
    published: bool = True
    cpu: str = ""


def size_name(kib: int) -> str:
    """A folio size as a text, such as 64K or 2M."""
    return f"{kib >> 10}M" if kib >= 1024 else f"{kib}K"


def curves(
    result: Result, rows: Sequence[Row], baseline: str, selection: Selection,
    forecasts: Mapping[tuple[str, int, str], Forecast], on: ProcessorForecast | None = None,
) -> list[Curve]:  # fmt: skip
    """Make a curve for each policy, one with a band of its prediction, and a dashed one for each source of figures.

    Args:
        result: the measurements.
        rows: its rows by `results.comparison.compare`.
        baseline: the policy to which ratios refer.
        selection: what to show.
        forecasts: times with the rest of the kernel, by workload, size in KiB and policy; empty without a calibration.
        on: predictions on a processor; None for none.
    """
    found = []
    for number, policy in enumerate(dict.fromkeys(result.config.policies)):
        own = [row for row in rows if (row.workload, row.policy) == (selection.workload, policy)]
        if not (policy == baseline and selection.ratio):
            found.append(_measured(policy, number, own, selection, forecasts))
        if selection.ratio and selection.published:
            found += _published(policy, number, own)
        if selection.ratio and on is not None:
            found.append(_predicted(policy, number, own, selection, on))
    return [curve for curve in found if curve.x]


def _measured(
    policy: str,
    number: int,
    rows: Sequence[Row],
    selection: Selection,
    forecasts: Mapping[tuple[str, int, str], Forecast],
) -> Curve:
    x, y, low, high, texts = [], [], [], [], []
    for row in rows:
        from_rest = forecasts.get((row.workload, row.size_kib, row.policy)) if selection.rest else None
        source = from_rest if selection.rest else row
        if source is None:
            continue
        value = source.ratio if selection.ratio else source.ns_per_page
        if value is None:
            continue
        x.append(log2(row.size_kib))
        y.append(value)
        if selection.ratio and source.ratio_low is not None and source.ratio_high is not None:
            low.append(source.ratio_low)
            high.append(source.ratio_high)
        texts.append(sentence(row, from_rest))
    bars = len(low) == len(y)
    return Curve(policy, x, y, low if bars else (), high if bars else (), number, False, texts)


def sentence(row: Row, forecast: Forecast | None = None) -> str:
    """A sentence about a point."""
    source = forecast or row
    ns = f"{source.ns_per_page:.2f} ns per page" if source.ns_per_page is not None else "not measured"
    if source.ratio is None or source.ratio_low is None or source.ratio_high is None or row.verdict == "baseline":
        return f"{row.policy}, {row.workload}, folios of {size_name(row.size_kib)}: {ns}"
    change = 100 * (source.ratio - 1)
    span = f"{100 * (source.ratio_low - 1):+.1f} to {100 * (source.ratio_high - 1):+.1f} %"
    where = f"{row.policy}, {row.workload}, folios of {size_name(row.size_kib)}"
    return f"{where}: {ns}, {change:+.1f} % ({span}), {row.verdict}"


def _published(policy: str, number: int, rows: Sequence[Row]) -> list[Curve]:
    """Make a dashed curve for each source and host of published or imported figures."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    for row in rows:
        for figure in row.beside:
            change = figure.change_percent
            if change is not None:
                name = f"{policy}, {figure.machine or figure.source}{', imported' * figure.imported}"
                text = f"{figure.word} of {policy}: {change:+g} % ({figure.source}, {figure.machine})"
                points.setdefault(name, []).append((log2(row.size_kib), 1 + change / 100, text))
    found = []
    for name, values in points.items():
        values.sort()
        x, y, words = ([point[at] for point in values] for at in range(3))
        found.append(Curve(name, x, y, number=number, dashed=True, texts=words))  # type: ignore[arg-type]
    return found


def _predicted(policy: str, number: int, rows: Sequence[Row], selection: Selection, on: ProcessorForecast) -> Curve:
    """The changes that are predicted on a processor: of the modelled work, or with the rest of a kernel."""
    from foliolab.framework.costmodel.formula import Span

    spans = on.whole if selection.rest else on.modelled
    x, y, low, high, texts = [], [], [], [], []
    for row in rows:
        span = spans.get((row.workload, row.size_kib, row.policy))
        if isinstance(span, Span):
            x.append(log2(row.size_kib))
            y.append(span.middle)
            low.append(span.low)
            high.append(span.high)
            change, least, most = (f"{100 * (ratio - 1):+.1f}" for ratio in (span.middle, span.low, span.high))
            texts.append(
                f"predicted on {on.processor.described} of {policy}, {row.workload}, folios of "
                f"{size_name(row.size_kib)}: {change} % ({least} to {most} %)"
            )
    return Curve(f"{policy}, predicted on {on.processor.name}", x, y, low, high, number, True, texts, True)


def described(result: Result, found: Sequence[Curve], selection: Selection, baseline: str) -> str:
    """A description of the curves for screen readers."""
    what = f"ratio of time to {baseline}" if selection.ratio else "nanoseconds per page"
    parts = [f"{selection.workload}: {what} over folio size"]
    for curve in found:
        ends = f"{curve.y[0]:.3g} at {size_name(round(2 ** curve.x[0]))}"
        if len(curve.y) > 1:
            ends += f", {curve.y[-1]:.3g} at {size_name(round(2 ** curve.x[-1]))}"
        parts.append(f"{curve.name}{' (published)' if curve.dashed and not curve.band else ''}: {ends}")
    return ". ".join(parts)


def predictions(result: Result, rows: Sequence[Row], cpu: str, library: Library) -> ProcessorForecast:
    """Predict the changes on a processor.

    Raises:
        UsageError: no instruction of the result was counted.
        FolioLabError: there is no such processor, or counts cannot be read.
    """
    from foliolab.framework.costmodel import choice

    if not any("instructions" in cell.counted for cell in result.cells):
        raise UsageError("the instructions of this result were not counted", "measure again while a CPU is chosen")
    chosen = choice.choose(cpu, None)
    assert chosen is not None
    return chosen.predict(result, rows, lambda policy: "reuse" in library.scheme(policy).capabilities)


def forecasts(result: Result, rows: Sequence[Row], library: Library) -> Mapping[tuple[str, int, str], Forecast]:
    """Predict the times by workload, size in KiB and policy.

    Raises:
        FolioLabError: this kernel is not calibrated, or its calibration cannot be read or does not fit.
    """
    from foliolab.framework import calibration, host
    from foliolab.framework.calibration import prediction

    path = calibration.default_path(host.kernel())
    if not path.is_file():
        raise UsageError("this kernel is not calibrated", "run foliolab kernel calibrate as root first")
    predicted = prediction.predict(
        result, rows, calibration.Calibration.load(path), lambda policy: "reuse" in library.scheme(policy).capabilities
    )
    return predicted.forecasts
