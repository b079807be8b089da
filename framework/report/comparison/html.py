"""A comparison as one HTML file that needs nothing else: matrix, evidence, how to repeat it."""

from __future__ import annotations

from functools import partial

from foliolab.framework.report.comparison import svg
from foliolab.framework.report.comparison.matrix import Cell, Matrix, cells_of, headings, repeat
from foliolab.framework.report.pages import templates


def html(found: Matrix) -> str:
    """A matrix as an HTML page.

    Raises:
        UsageError: jinja2 is not installed.
    """
    result = found.result
    return templates.render(
        "report.html.j2",
        title=f"FolioLab: {len(found.policies)} policies, {len(found.workloads)} workloads, {result.started[:10]}",
        matrix=found,
        notes=found.notes,
        repeat=repeat(result),
        headings=headings,
        cells_of=cells_of,
        anchor=_anchor,
        sparkline=svg.sparkline,
        curves=partial(svg.curves, found),
    )


def _anchor(cell: Cell) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{cell.workload}--{cell.policy}")
