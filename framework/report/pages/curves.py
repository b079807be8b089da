"""Curves over one axis, which a page that can draws beside the table that has the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from foliolab.framework.escaping import visible

SIZE: Final = (760, 240)
MOST: Final = 12
"""A picture with more curves shows nothing; the rest is left to the table."""
DASHES: Final = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 2")
"""The dashes of the curves; colour is never the only difference."""
HUES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which colour-blind readers tell apart."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curves:
    """Curves over a common axis.

    Args:
        title: what is drawn.
        unit: of the values at the bottom.
        at: these values, ascending, at least two.
        values: by curve, as many as `at`, not below 0.
    """

    title: str
    unit: str
    at: Sequence[float]
    values: Mapping[str, Sequence[float]]


def path(points: Sequence[Point]) -> str:
    """Points as the path of an SVG element."""
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def svg(found: Curves) -> str:
    """The curves as an SVG element that takes its text's colours from the page."""
    width, height = SIZE
    left, right, top, bottom = 60, width - 210, 12, height - 34
    first, last = found.at[0], found.at[-1]
    most = max((max(values) for values in found.values.values()), default=0) or 1

    def place(at: float, value: float) -> Point:
        return left + (at - first) / ((last - first) or 1) * (right - left), bottom - value / most * (bottom - top)

    parts = [
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(visible(found.title))}">',
        f'<line class="one" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>',
        f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{most:,.0f}</text>',
        f'<text x="{left - 6}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text x="{left}" y="{height - 14}" text-anchor="middle">{first:,.3g}</text>',
        f'<text x="{right}" y="{height - 14}" text-anchor="end">{last:,.3g} {escape(visible(found.unit))}</text>',
    ]
    for number, (name, values) in enumerate(list(found.values.items())[:MOST]):
        hue, dash = HUES[number % len(HUES)], DASHES[number % len(DASHES)]
        look = f'fill="none" stroke="{hue}" stroke-width="2" stroke-dasharray="{dash}"'
        y = top + 10 + 17 * number
        parts += [
            f'<path d="{path([place(*pair) for pair in zip(found.at, values, strict=True)])}" {look}/>',
            f'<path d="M{right + 14},{y - 4} L{right + 40},{y - 4}" {look}/>',
            f'<text x="{right + 46}" y="{y}">{escape(visible(name))}</text>',
        ]
    return "".join([*parts, "</svg>"])
