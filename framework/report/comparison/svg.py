"""Small pictures inside the HTML page: the curve of one cell, and the curves of one workload.

They are written as SVG elements by hand, since they take their colours from the page (light, dark, paper), and since a
page of a few hundred of them must be small and made in a second. `pictures` draws files with matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2
from typing import Final

from foliolab.framework.escaping import visible
from foliolab.framework.report.comparison.matrix import Cell, Matrix
from foliolab.framework.report.pages.curves import DASHES, HUES, path
from foliolab.framework.report.words import size_text

WIDTH: Final = 130
HEIGHT: Final = 34
LARGE: Final = (640, 240)


def _scale(values: Sequence[float], low: float, high: float) -> list[float]:
    """Values scaled into low…high; equal values lie in the middle."""
    least, most = min(values), max(values)
    if most - least < 1e-12:
        return [(low + high) / 2 for _ in values]
    return [low + (value - least) / (most - least) * (high - low) for value in values]


def sparkline(cell: Cell) -> str:
    """The ratio of one cell over folio size, with its interval and a line at 1; empty for fewer than two sizes."""
    if len(cell.curve) < 2 or cell.word == "baseline":
        return ""
    xs = _scale([log2(size) for size, *_ in cell.curve], 4, WIDTH - 4)
    flat = [value for _, *values in cell.curve for value in values] + [1.0]
    ys = _scale([-value for value in flat], 4, HEIGHT - 4)
    triples = [ys[3 * i : 3 * i + 3] for i in range(len(cell.curve))]
    middle = [(x, three[0]) for x, three in zip(xs, triples, strict=True)]
    band = [(x, three[1]) for x, three in zip(xs, triples, strict=True)]
    band += [(x, three[2]) for x, three in reversed(list(zip(xs, triples, strict=True)))]
    text = ", ".join(f"{size_text(size)}: {ratio:.3f}" for size, ratio, *_ in cell.curve)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.8"/>' for x, y in middle)
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(text)}">'
        f"<title>{escape(text)}</title>"
        f'<line class="one" x1="0" x2="{WIDTH}" y1="{ys[-1]:.1f}" y2="{ys[-1]:.1f}"/>'
        f'<path class="band" d="{path(band)}Z"/><path class="line" d="{path(middle)}"/>{dots}</svg>'
    )


def curves(found: Matrix, workload: str) -> str:
    """The ratios of all policies under a workload over folio size; empty without a curve."""
    cells = [found.cells[policy, workload] for policy in found.policies]
    cells = [cell for cell in cells if len(cell.curve) >= 2 and cell.word != "baseline"]
    if not cells:
        return ""
    width, height = LARGE
    left, right, top, bottom = 46, width - 170, 10, height - 26
    sizes = sorted({size for cell in cells for size, *_ in cell.curve})
    across = dict(zip(sizes, _scale([log2(size) for size in sizes], left, right), strict=True))
    values = [value for cell in cells for _, *three in cell.curve for value in three] + [1.0]
    least, most = min(values), max(values)
    span = most - least or 1.0

    def down(value: float) -> float:
        return bottom - (value - least) / span * (bottom - top)

    parts = [
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Ratio to the baseline over folio size under {escape(visible(workload))}">',
        f'<line class="one" x1="{left}" x2="{right}" y1="{down(1):.1f}" y2="{down(1):.1f}"/>',
    ]
    for value in dict.fromkeys((least, 1.0, most)):
        parts.append(f'<text x="{left - 6}" y="{down(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for size in sizes:
        parts.append(f'<text x="{across[size]:.1f}" y="{height - 8}" text-anchor="middle">{size_text(size)}</text>')
    for number, cell in enumerate(cells):
        hue, dash = HUES[number % len(HUES)], DASHES[number % len(DASHES)]
        points = [(across[size], down(ratio)) for size, ratio, *_ in cell.curve]
        parts.append(
            f'<path d="{path(points)}" fill="none" stroke="{hue}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        for size, _, low, high in cell.curve:
            x = across[size]
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{down(low):.1f}" y2="{down(high):.1f}" stroke="{hue}"/>')
        y = top + 10 + 18 * number
        parts.append(
            f'<line x1="{right + 14}" x2="{right + 40}" y1="{y - 4}" y2="{y - 4}" stroke="{hue}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/><text x="{right + 46}" y="{y}">{escape(visible(cell.policy))}</text>'
        )
    return "".join([*parts, "</svg>"])
