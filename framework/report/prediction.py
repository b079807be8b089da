"""Predictions "with the rest of the kernel" beside the raw comparison: a table for each workload, and their quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from foliolab.framework.calibration import CalibratedOperation, remarks
from foliolab.framework.calibration.prediction import FigureTally, Forecast, Prediction, Standing
from foliolab.framework.report.pages.page import Column, Page
from foliolab.framework.report.words import broken, change_text, figure_text, signed, size_text, time_text


def beside(page: Page, prediction: Prediction, workload: str, policies: Sequence[str]) -> None:
    """Write a workload's predictions: time, raw and predicted change, and the distance to each published figure.

    Args:
        policies: the baseline, then the others.
    """
    held = [one for (name, _, _), one in prediction.forecasts.items() if name == workload]
    shown = [one for one in held if one.ns_per_page is not None]
    if not shown:
        reasons = dict.fromkeys(one.reason for one in held if one.reason and not one.row.skipped)
        for reason in reasons:
            page.line(f"  {workload}, with the rest of the kernel: no prediction: {reason}", "quiet")
        if reasons:
            page.line()
        return
    sizes = list(dict.fromkeys(one.row.size_kib for one in shown))
    cells = {(one.row.size_kib, one.row.policy): one for one in held}
    first = [
        Column("size", [page.text(size_text(size)) for size in sizes], right=True),
        _times(page, policies[0], [cells[size, policies[0]] for size in sizes]),
    ]
    groups = [_columns(page, policy, [cells[size, policy] for size in sizes]) for policy in policies[1:]]
    page.tables(f"{workload}: with the rest of the kernel, against {policies[0]}", first, groups)
    for line in _below(prediction, workload, shown, held):
        page.line(f"  {line}", "quiet")
    page.line()


def _times(page: Page, policy: str, forecasts: Sequence[Forecast]) -> Column:
    cells = ["–" if one.ns_per_page is None else time_text(one.ns_per_page) for one in forecasts]
    return Column(f"{broken(policy)}\nns/page", [page.text(cell) for cell in cells], right=True)


def _columns(page: Page, policy: str, forecasts: Sequence[Forecast]) -> list[Column]:
    """A policy's predictions, and a column for each source of published figures."""
    lines = [("ns/page", "raw", "change", "95 % interval"), *(_figures(one) for one in forecasts)]
    wide = [max(len(line[index]) for line in lines) for index in range(4)]
    heading, *cells = ("  ".join(part.rjust(width) for part, width in zip(line, wide, strict=True)) for line in lines)
    columns = [Column(f"{broken(policy)}\n{heading}", [page.text(cell) for cell in cells])]
    sources = dict.fromkeys((s.figure.source, s.figure.machine) for one in forecasts for s in one.standings)
    for source, machine in sources:
        found = [
            [s for s in one.standings if (s.figure.source, s.figure.machine) == (source, machine)] for one in forecasts
        ]
        heading = "\n".join(["published", *wrap(machine or source.partition(" ")[0], 18)])
        columns.append(Column(heading, [page.text(", ".join(map(_standing, each))) for each in found], right=True))
    return columns


def _figures(one: Forecast) -> tuple[str, str, str, str]:
    raw = "" if one.row.ratio is None else f"{change_text(one.row.ratio)} %"
    if one.ns_per_page is None or one.ratio is None or one.ratio_low is None or one.ratio_high is None:
        return "–", raw, "", ""
    interval = f"{change_text(one.ratio_low):>5} … {change_text(one.ratio_high):>5}"
    return time_text(one.ns_per_page), raw, f"{change_text(one.ratio)} %", interval


def _standing(one: Standing) -> str:
    where = "inside" if one.inside else f"{signed(one.predicted, '.1f')} off"
    return f"{figure_text(one.figure)} {where:>9}"


def _below(prediction: Prediction, workload: str, shown: Sequence[Forecast], held: Sequence[Forecast]) -> Iterator[str]:
    """The constants that were used, those of another operation that replace them, and missing predictions."""
    for name in dict.fromkeys(one.operation for one in shown):
        operation = prediction.calibration.operation(name)
        assert operation is not None
        who = dict.fromkeys(one.row.policy for one in shown if one.operation == name != workload and one.operation)
        stand_in = f" of {name}, for {', '.join(who)}: it copies where this kernel reuses" if who else ""
        yield f"rest{stand_in}: {constants_text(operation)}"
    missing: dict[str, list[str]] = {}
    for one in held:
        if one.ns_per_page is None and not one.row.skipped:
            missing.setdefault(one.reason, []).append(f"{one.row.policy} at {size_text(one.row.size_kib)}")
    for reason, names in missing.items():
        yield f"no prediction for {names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}: {reason}"


def constants_text(operation: CalibratedOperation) -> str:
    """An operation's two constants, with doubts about them."""
    constants, doubts = operation.constants, remarks(operation)
    if constants is None:
        return "; ".join(doubts)
    text = f"{signed(constants.per_page, '.1f')} ns/page {signed(constants.per_folio, '.0f')} ns/folio"
    return "; ".join([text, *doubts])


def summary(page: Page, prediction: Prediction) -> None:
    """Write the quality of the predictions: against the kernel itself, then against published figures."""
    made = prediction.calibration
    page.line("With the rest of the kernel", "strong")
    page.line(
        f"  raw + a + b / pages of a folio; calibrated {made.made} against {made.policy}, the policy of "
        f"Linux {made.kernel}"
    )
    _own(page, prediction)
    if prediction.tallies:
        _published(page, prediction.tallies)
    for note in prediction.notes:
        page.line(f"  Note: {note}.")
    for line in (
        "The predictions are for this machine; what was published was measured on others.",
        "The interval holds the rounds, the constants' uncertainty and the fit's residual at that size; at 4 KiB the "
        "rest is as measured.",
        "Inside: the interval reaches a value that rounds to the published figure. No published figure was used.",
    ):
        page.line(f"  {line}", "quiet")
    page.line()


def _own(page: Page, prediction: Prediction) -> None:
    """The kernel's own policy: agreement is by construction, so only disagreement says something."""
    if not prediction.checks:
        return
    worst = max(prediction.checks, key=lambda one: abs(one.deviation))
    page.line(
        f"  {prediction.calibration.policy} is what this kernel has: predicted within "
        f"{prediction.typical_deviation * 100:.1f} % of the kernel's time (median of {len(prediction.checks)}; "
        f"farthest: {worst.workload} at {size_text(worst.size_kib)}, {signed(worst.deviation * 100, '.0f')} %). "
        "This is no test: by construction the two differ by the residuals of the fit and by the noise of two runs."
    )


def _published(page: Page, tallies: Sequence[FigureTally]) -> None:
    """For each policy and workload: is the prediction nearer to the published figures than the raw change?"""
    first = [
        Column("policy", [page.text(one.policy) for one in tallies]),
        Column("workload", [page.text(one.workload) for one in tallies]),
        Column("raw:\ndistance", [page.text(f"{one.raw:.1f}") for one in tallies], right=True),
        Column("with the rest:\ndistance", [page.text(f"{one.predicted:.1f}") for one in tallies], right=True),
        Column("nearer\nthan raw", [page.text(f"{one.nearer} of {one.figures}") for one in tallies], right=True),
        Column("interval:\nwidth", [page.text(f"{one.width:.1f}") for one in tallies], right=True),
        Column("published\ninside", [page.text(f"{one.inside} of {one.figures}") for one in tallies], right=True),
    ]
    page.tables("  Mean distance to the published changes, in points; large folios", first, [])
