"""A result as one HTML file that needs nothing else: matrix, evidence, how to repeat it; light, dark and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from foliolab.framework.errors import UsageError
from foliolab.framework.report import svg
from foliolab.framework.report.matrix import Cell, Matrix, cells_of, headings, repeat

TEMPLATES: Final = Path(__file__).with_name("templates")


def html(found: Matrix) -> str:
    """Write it.

    Raises:
        UsageError: jinja2 is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ImportError as fault:
        raise UsageError(f"HTML needs jinja2: {fault}", "pip install 'foliolab[report]', or --format md") from fault

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    result = found.result
    return environment.get_template("report.html.j2").render(
        title=f"FolioLab: {len(found.policies)} policies, {len(found.workloads)} workloads, {result.started[:10]}",
        matrix=found,
        notes=found.notes,
        repeat=repeat(result),
        headings=headings,
        cells_of=cells_of,
        anchor=_anchor,
        sparkline=lambda cell: Markup(svg.sparkline(cell)),
        curves=lambda workload: Markup(svg.curves(found, workload)),
    )


def _anchor(cell: Cell) -> str:
    """A name for a place in the page."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{cell.workload}--{cell.policy}")
