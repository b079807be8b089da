"""From a result to curves: one workload, raw or with the rest of the kernel, and what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Final

from foliolab.gui.widgets.curves import Curve

if TYPE_CHECKING:
    from foliolab.framework.calibration.prediction import Forecast
    from foliolab.framework.results.comparison import Row
    from foliolab.framework.results.result import Result

SIGNS: Final = {"faster": "▼", "slower": "▲", "same": "="}


@dataclass(frozen=True)
class Sight:
    """How a result is looked at.

    Args:
        workload: of which.
        ratio: to the baseline; else nanoseconds a page.
        rest: with the rest of the kernel.
        published: beside what was published.
    """

    workload: str
    ratio: bool = True
    rest: bool = False
    published: bool = True


def size_name(kib: int) -> str:
    """64K, 2M."""
    return f"{kib >> 10}M" if kib >= 1024 else f"{kib}K"


def curves(
    result: Result, rows: Sequence[Row], baseline: str, sight: Sight,
    forecasts: Mapping[tuple[str, int, str], Forecast],
) -> list[Curve]:  # fmt: skip
    """A curve a policy, and a dashed one for each source of published figures about it.

    Args:
        result: what was measured.
        rows: `compare.compare` of it.
        baseline: what ratios are against.
        sight: what is looked at.
        forecasts: with the rest of the kernel; empty without a calibration.
    """
    found = []
    for number, policy in enumerate(dict.fromkeys(result.config.policies)):
        mine = [row for row in rows if (row.workload, row.policy) == (sight.workload, policy)]
        if not (policy == baseline and sight.ratio):
            found.append(_measured(policy, number, mine, sight, forecasts))
        if sight.ratio and sight.published:
            found += _published(policy, number, mine)
    return [one for one in found if one.x]


def _measured(
    policy: str, number: int, rows: Sequence[Row], sight: Sight, forecasts: Mapping[tuple[str, int, str], Forecast]
) -> Curve:
    x, y, low, high, told = [], [], [], [], []
    for row in rows:
        from_rest = forecasts.get((row.workload, row.size_kib, row.policy)) if sight.rest else None
        source = from_rest if sight.rest else row
        if source is None:
            continue
        value = source.ratio if sight.ratio else source.ns_per_page
        if value is None:
            continue
        x.append(log2(row.size_kib))
        y.append(value)
        if sight.ratio and source.ratio_low is not None and source.ratio_high is not None:
            low.append(source.ratio_low)
            high.append(source.ratio_high)
        told.append(sentence(row, from_rest))
    bars = len(low) == len(y)
    return Curve(policy, x, y, low if bars else (), high if bars else (), number, False, told)


def sentence(row: Row, forecast: Forecast | None = None) -> str:
    """A point in words."""
    source = forecast or row
    ns = f"{source.ns_per_page:.2f} ns a page" if source.ns_per_page is not None else "not measured"
    if source.ratio is None or source.ratio_low is None or source.ratio_high is None or row.verdict == "baseline":
        return f"{row.policy}, {row.workload}, folios of {size_name(row.size_kib)}: {ns}"
    change = 100 * (source.ratio - 1)
    span = f"{100 * (source.ratio_low - 1):+.1f} to {100 * (source.ratio_high - 1):+.1f} %"
    where = f"{row.policy}, {row.workload}, folios of {size_name(row.size_kib)}"
    return f"{where}: {ns}, {change:+.1f} % ({span}), {row.verdict}"


def _published(policy: str, number: int, rows: Sequence[Row]) -> list[Curve]:
    """Dashed: a curve for each source and machine."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    for row in rows:
        for figure in row.published:
            change = figure.change_percent
            if change is not None:
                name = f"{policy}, {figure.machine or figure.source}"
                told = f"published of {policy}: {change:+g} % ({figure.source}, {figure.machine})"
                points.setdefault(name, []).append((log2(row.size_kib), 1 + change / 100, told))
    found = []
    for name, values in points.items():
        values.sort()
        x, y, words = ([point[at] for point in values] for at in range(3))
        found.append(Curve(name, x, y, number=number, dashed=True, told=words))  # type: ignore[arg-type]
    return found


def described(result: Result, found: Sequence[Curve], sight: Sight, baseline: str) -> str:
    """The picture in sentences, for those who do not see it."""
    what = f"ratio of time to {baseline}" if sight.ratio else "nanoseconds a page"
    said = [f"{sight.workload}: {what} over folio size"]
    for curve in found:
        ends = f"{curve.y[0]:.3g} at {size_name(round(2 ** curve.x[0]))}"
        if len(curve.y) > 1:
            ends += f", {curve.y[-1]:.3g} at {size_name(round(2 ** curve.x[-1]))}"
        said.append(f"{curve.name}{' (published)' if curve.dashed else ''}: {ends}")
    return ". ".join(said)
