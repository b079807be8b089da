"""A comparison as a picture for a mail or a paper: the ratio over folio size, a panel for each workload."""

from __future__ import annotations

from io import BytesIO
from math import ceil
from typing import Final

from foliolab.framework.errors import UsageError
from foliolab.framework.escaping import visible
from foliolab.framework.isolation.safepath import elsewhere
from foliolab.framework.report.comparison.matrix import Matrix
from foliolab.framework.report.pages.curves import HUES
from foliolab.framework.report.words import size_text

MARKERS: Final = "osD^vPX*"
STYLES: Final = ("-", "--", ":", "-.")
COLUMNS: Final = 3
DPI: Final = 200
MOST_CURVES: Final = 300
"""More curves, policies × workloads, make no picture that anybody can look at."""
LONGEST: Final = 60
"""A picture cuts names that have more characters."""


def draw(found: Matrix, form: str) -> bytes:
    """A result as a picture.

    Args:
        form: png or svg.

    Raises:
        UsageError: matplotlib is not installed, or there is no curve.
    """
    try:
        with elsewhere():  # matplotlib evaluates parts of a `matplotlibrc` there
            import matplotlib
            from matplotlib.figure import Figure
    except ImportError as fault:
        raise UsageError(
            f"pictures need matplotlib: {fault}", "pip install 'foliolab[report]', or --format html"
        ) from fault

    baseline = found.baseline
    drawn = [one for one in found.workloads if any(found.cells[p, one].curve for p in found.policies if p != baseline)]
    if not drawn:
        raise UsageError("there is nothing to draw: no policy was measured beside the baseline", "see --format md")
    if len(drawn) * len(found.policies) > MOST_CURVES:
        raise UsageError(f"a picture has room for {MOST_CURVES} curves, policies × workloads", "see --format html")
    columns = min(COLUMNS, len(drawn))
    lines = ceil(len(drawn) / columns)
    usual = {"svg.hashsalt": "foliolab", "svg.fonttype": "none", "font.size": 8, "text.parse_math": False}
    with matplotlib.rc_context(usual):  # type: ignore[arg-type]  # its keys are literals
        figure = Figure(figsize=(2.6 * columns + 0.4, 2.1 * lines + 0.5), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).flat
        for panel, workload in zip(panels, drawn, strict=False):
            _panel(panel, found, workload)
        for panel in list(figure.axes)[len(drawn) :]:
            panel.set_visible(False)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
        figure.supylabel(f"time, relative to {_label(baseline)}", fontsize="medium")
        data = BytesIO()
        figure.savefig(data, format=form, dpi=DPI, metadata={"Date": None} if form == "svg" else {"Software": None})
    return data.getvalue()


def _panel(panel: object, found: Matrix, workload: str) -> None:
    axes: object = panel
    sizes = sorted({size for policy in found.policies for size, *_ in found.cells[policy, workload].curve})
    axes.axhline(1.0, color="0.5", linewidth=0.8, linestyle=(0, (3, 3)))  # type: ignore[attr-defined]
    others = [policy for policy in found.policies if policy != found.baseline]
    for number, policy in enumerate(others):
        curve = found.cells[policy, workload].curve
        middle = [ratio for _, ratio, _, _ in curve]
        below = [ratio - low for _, ratio, low, _ in curve]
        above = [high - ratio for _, ratio, _, high in curve]
        axes.errorbar(  # type: ignore[attr-defined]
            [size for size, *_ in curve], middle, yerr=[below, above], label=_label(policy),
            color=HUES[number % len(HUES)], marker=MARKERS[number % len(MARKERS)],
            linestyle=STYLES[number % len(STYLES)], markersize=3.5, linewidth=1.2, elinewidth=0.8, capsize=1.5,
        )  # fmt: skip
    axes.set_xscale("log", base=2)  # type: ignore[attr-defined]
    axes.set_xticks(sizes, [size_text(size) for size in sizes], rotation=45, ha="right")  # type: ignore[attr-defined]
    axes.minorticks_off()  # type: ignore[attr-defined]
    axes.set_title(_label(workload))  # type: ignore[attr-defined]
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)  # type: ignore[attr-defined]


def _label(name: str) -> str:
    """A name for the legend, which would leave out one that begins with an underscore."""
    text = visible(name if len(name) <= LONGEST else f"{name[:LONGEST]}…")
    return f" {text}" if text.startswith("_") else text
