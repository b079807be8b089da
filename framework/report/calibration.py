"""`foliolab kernel calibrate`: the constants of each operation, the residuals at each size, and doubts about them."""

from __future__ import annotations

from collections.abc import Sequence

from foliolab.framework.calibration import CalibratedOperation, Calibration, Point, remarks
from foliolab.framework.report.pages.page import Column, Page
from foliolab.framework.report.words import signed, size_text, time_text


def render(calibration: Calibration, page: Page) -> None:
    """Print a calibration."""
    _constants(page, calibration)
    _points(page, calibration)
    for operation in calibration.operations:
        for remark in remarks(operation):
            page.line(f"  {operation.name}: {remark}", "doubtful")
    left_out: dict[str, list[str]] = {}
    for name, reason in calibration.left_out.items():
        left_out.setdefault(reason, []).append(name)
    for reason, names in left_out.items():
        page.line(f"  {', '.join(names)}: without constants: {reason}", "quiet")
    page.line()
    made = calibration
    page.line(f"{made.machine.cpu}, {made.machine.cores} cores, {made.machine.os}, Linux {made.kernel}")
    for what, source in (("kernel", made.bench), ("model", made.model)):
        page.line(f"{what}: {source.memory / 2**20:g} MiB, {source.started}: {source.command}")


def _constants(page: Page, calibration: Calibration) -> None:
    held = calibration.operations
    texts = [_constant_texts(operation) for operation in held]
    columns = [
        Column("operation", [page.text(operation.name) for operation in held]),
        *(
            Column(heading, [page.text(text[index]) for text in texts], right=True)
            for index, heading in enumerate(("a\nns/page", "95 % interval", "b\nns/folio", "95 % interval"))
        ),
        Column("largest\nresidual", [page.text(_largest(operation)) for operation in held], right=True),
    ]
    page.tables(f"kernel − {calibration.policy} = a + b / pages of a folio", columns, [])
    page.line("  a, b: weighted least squares over the sizes of large folios; intervals: rounds resampled.", "quiet")
    page.line("  Residuals in per cent of the kernel's time. No published figure was used.", "quiet")
    page.line()


def _constant_texts(operation: CalibratedOperation) -> tuple[str, str, str, str]:
    found = operation.constants
    if found is None:
        return "–", "", "–", ""
    return (
        time_text(found.per_page),
        _interval(found.per_page_interval),
        time_text(found.per_folio),
        _interval(found.per_folio_interval),
    )


def _interval(interval: tuple[float, float]) -> str:
    return " … ".join(map(time_text, interval))


def _largest(operation: CalibratedOperation) -> str:
    found = [point for point in operation.points if point.fitted]
    if not found:
        return "–"
    worst = max(found, key=lambda point: abs(_share(point)))
    return f"{_percent(worst)} at {size_text(worst.size_kib)}"


def _share(point: Point) -> float:
    return (point.residual or 0.0) / point.kernel


def _percent(point: Point) -> str:
    return f"{signed(_share(point) * 100, '.0f')} %"


def _points(page: Page, calibration: Calibration) -> None:
    """The measurement and the residual at each size."""
    sizes = sorted({point.size_kib for operation in calibration.operations for point in operation.points})
    lines: list[tuple[str, str, Sequence[str]]] = []
    ends = []
    for operation in calibration.operations:
        points = [operation.point(size) for size in sizes]
        rows = {
            "kernel": [time_text(point.kernel) if point else "" for point in points],
            calibration.policy: [time_text(point.model) if point else "" for point in points],
            "residual": [_residual(point) for point in points],
            "of kernel": [_percent(point) if point and point.fitted else "" for point in points],
        }
        lines += [(operation.name if row == "kernel" else "", row, cells) for row, cells in rows.items()]
        ends.append(len(lines) - 1)
    first = [
        Column("operation", [page.text(name) for name, _, _ in lines]),
        Column("ns/page", [page.text(row) for _, row, _ in lines]),
    ]
    groups = [
        [Column(size_text(size), [page.text(cells[index]) for _, _, cells in lines], right=True)]
        for index, size in enumerate(sizes)
    ]
    page.tables("Medians and residuals", first, groups, ends)
    reasons: dict[str, list[str]] = {}
    for operation in calibration.operations:
        for point in operation.points:
            if not point.fitted:
                reasons.setdefault(point.reason, []).append(f"{operation.name} at {size_text(point.size_kib)}")
    for reason, names in reasons.items():
        page.line(f"  not fitted: {names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}: {reason}", "quiet")


def _residual(point: Point | None) -> str:
    if point is None or point.residual is None:
        return ""
    return signed(point.residual, ".1f") if point.fitted else f"({signed(point.residual, '.1f')})"
