"""Predictions on a processor beside the raw comparison: a table for each workload, and their score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foliolab.framework.costmodel.formula import Span, Unpredicted
from foliolab.framework.costmodel.prediction import Check, Key, ProcessorForecast, score
from foliolab.framework.costmodel.processors import TERMS, Processor
from foliolab.framework.report.pages.page import Column, Page
from foliolab.framework.report.words import broken, change_text, figure_text, signed, size_text
from foliolab.framework.results.comparison import Row


def beside(page: Page, forecast: ProcessorForecast, workload: str, rows: Sequence[Row]) -> None:
    """Write a workload's predictions beside the measured and the published changes.

    Args:
        rows: of the workload, without those of the baseline.
    """
    keys: list[Key] = [(row.workload, row.size_kib, row.policy) for row in rows]
    held = [(row, key) for row, key in zip(rows, keys, strict=True) if key in forecast.modelled]
    if any(isinstance(_best(forecast, key), Span) for _, key in held):
        sizes = list(dict.fromkeys(row.size_kib for row, _ in held))
        first = [Column("size", [page.text(size_text(size)) for size in sizes], right=True)]
        groups = [
            _columns(page, forecast, [row for row, _ in held if row.policy == policy])
            for policy in dict.fromkeys(row.policy for row, _ in held)
        ]
        page.tables(f"{workload}: predicted on {forecast.processor.described}", first, groups)
    for line in _missing(forecast, held):
        page.line(f"  {line}", "quiet")
    if held:
        page.line()


def _best(forecast: ProcessorForecast, key: Key) -> Span | Unpredicted:
    """The prediction with the kernel if there is one, else that of the modelled work."""
    whole = forecast.whole.get(key)
    return whole if isinstance(whole, Span) else forecast.modelled[key]


def _columns(page: Page, forecast: ProcessorForecast, rows: Sequence[Row]) -> list[Column]:
    keys: list[Key] = [(row.workload, row.size_kib, row.policy) for row in rows]
    columns = [
        Column(f"{broken(rows[0].policy)}\nraw", [page.text(_raw(row)) for row in rows], right=True),
        Column("predicted\nraw", [page.text(_span(forecast.modelled[key])) for key in keys], right=True),
    ]
    if forecast.kernels:
        spans = [forecast.whole[key] for key in keys]
        columns.append(Column("predicted\nwith the kernel", [page.text(_span(one)) for one in spans], right=True))
    if any(row.published for row in rows):
        texts = [", ".join(map(figure_text, row.published)) for row in rows]
        columns.append(Column("published", [page.text(text) for text in texts], right=True))
    return columns


def _raw(row: Row) -> str:
    return "–" if row.ratio is None else f"{change_text(row.ratio)} %"


def _span(span: Span | Unpredicted) -> str:
    if isinstance(span, Unpredicted):
        return "–"
    return f"{change_text(span.middle)} % ({change_text(span.low)} … {change_text(span.high)})"


def _missing(forecast: ProcessorForecast, held: Sequence[tuple[Row, Key]]) -> Iterator[str]:
    """The cells without a prediction, by reason."""
    bases = [("raw", forecast.modelled)] + ([("with the kernel", forecast.whole)] if forecast.kernels else [])
    for basis, spans in bases:
        missing: dict[str, list[str]] = {}
        for row, key in held:
            span = spans[key]
            if isinstance(span, Unpredicted):
                missing.setdefault(span.reason, []).append(f"{row.policy} at {size_text(row.size_kib)}")
        for reason, names in missing.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"{basis}: no prediction for {names[0]}{more}: {reason}"


def summary(page: Page, forecast: ProcessorForecast) -> None:
    """Write the constants, and the score against measured and against published changes."""
    processor = forecast.processor
    page.line(
        f"Predicted on {processor.described}, from counts and published constants (version {forecast.version})",
        "strong",
    )
    for term, constant in processor.constants.items():
        low, high = constant.range
        stand_in = f"; stand-in: {constant.stand_in}" if constant.stand_in else ""
        page.line(f"  {TERMS[term]}: {low:g} to {high:g} {constant.unit} [{constant.source}{stand_in}]", "quiet")
    for kernel in forecast.kernels:
        page.line(f"  the rest: counted in Linux {kernel.release}, which {kernel.policy} models")
    if not forecast.kernels:
        page.line("  without the rest of a kernel: no counts of one (`foliolab kernel count`)")
    _scored(page, processor, "measured here (raw)", forecast.measured)
    _scored(page, processor, "published (with the kernel)", forecast.published)
    page.line("  Nothing was fitted. A change is predicted at the middle of each constant's range.", "quiet")
    page.line()


def _scored(page: Page, processor: Processor, against: str, checks: Sequence[Check]) -> None:
    found = score(checks)
    if found is None:
        return
    page.line(
        f"  {against}: {found.inside} of {found.cells} inside the interval, mean error {found.error:.1f} points, "
        f"mean width {found.width:.1f}, widest {found.widest:.1f}"
    )
    for check in checks:
        if told := explanation(check, processor):
            row, where = (
                check.row,
                "inside, wide" if check.inside else f"outside by {signed(check.error, '.1f')} points",
            )
            page.line(f"    {row.policy} under {row.workload} at {size_text(row.size_kib)}, {where}: {told}")


def explanation(check: Check, processor: Processor) -> str:
    """What would explain a change outside of its interval, and what makes a wide interval wide; empty if neither."""
    parts = []
    if not check.inside:
        lacking = f"{signed(check.lacking, '.1f')} cycles a page that are no term"
        parts = [f"no cost of any one term, but {lacking}"]
        for term, cost in check.needed.items():
            low, high = processor.constants[term].range
            known = f"where {low:g} to {high:g} are published"
            parts = [f"{cost:.3g} cycles for each of the {TERMS[term]}, {known}; or {lacking}"]
            break
    if check.widths:
        term, width = next(iter(check.widths.items()))
        whole = f"{width:.1f} of the {check.span.width:.1f} points"
        parts.append(f"the range of the cost of {TERMS[term]} alone makes {whole}")
    return "; ".join(parts)
