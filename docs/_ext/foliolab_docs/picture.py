"""A graph of states as inline SVG; colours are the theme's, so it is readable on light and dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from foliolab_docs.layered import Layering
from foliolab_docs.states import NAMES, Graph, State

FONT: Final = 11
CHARACTER: Final = 6.65
LINE: Final = 15
PAD: Final = 9
SQUARE: Final = 9
BETWEEN: Final = 74
"""Room between rows, for the edges and their words."""
MARGIN: Final = 12
LONGEST: Final = 30
"""Characters of a line of text."""
BEND: Final = 0.45
ALONG: Final = (0.36, 0.5, 0.26, 0.62, 0.74)
"""Where on a piece of an edge its words may stand, the best first."""
COLOURS: Final = {
    "": "var(--color-foreground-muted, #6b6f76)",
    "exclusive": "var(--foliolab-exclusive, #2a9d4a)",
    "shared": "var(--foliolab-shared, #2f7fd1)",
    "false shared": "var(--foliolab-false, #d07a00)",
    "unsafe: exclusive": "var(--foliolab-unsafe, #d1242f)",
}
TEXT: Final = "var(--color-foreground-primary, #1f2328)"
MUTED: Final = "var(--color-foreground-secondary, #5a5c63)"
GROUND: Final = "var(--color-background-primary, #fff)"
PANEL: Final = "var(--color-background-secondary, #f6f7f9)"


Point = tuple[float, float]
Area = tuple[float, float, float, float]
"""Centre, width and height."""


def _on_curve(start: Point, end: Point, t: float) -> Point:
    """A point of an edge's piece."""
    bend = (end[1] - start[1]) * BEND
    ways = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    xs, ys = (start[0], start[0], end[0], end[0]), (start[1], start[1] + bend, end[1] - bend, end[1])
    return sum(w * x for w, x in zip(ways, xs, strict=True)), sum(w * y for w, y in zip(ways, ys, strict=True))


def _common(one: Area, other: Area) -> float:
    """What two areas have in common."""
    wide = (one[2] + other[2]) / 2 - abs(one[0] - other[0])
    high = (one[3] + other[3]) / 2 - abs(one[1] - other[1])
    return max(wide, 0.0) * max(high, 0.0)


@dataclass(frozen=True)
class _Box:
    """A state's box: its lines of text, and how much room it takes."""

    state: State
    lines: tuple[str, ...]

    @property
    def width(self) -> float:
        longest = max([len(self.verdict), *map(len, self.lines)])
        squares = len(self.state.living) * 58
        return max(longest * CHARACTER, squares) + 2 * PAD + 4

    @property
    def height(self) -> float:
        return LINE * (1 + len(self.lines)) + 2 * PAD + (LINE if self.state.living else 0)

    @property
    def verdict(self) -> str:
        return self.state.verdict or "not mapped"


def _box(state: State) -> _Box:
    lines: list[str] = []
    for name, text in state.fields:
        line = f"{name} {text}"
        while len(line) > LONGEST and " " in line[:LONGEST].strip():
            cut = line.rindex(" ", 0, LONGEST)
            lines.append(line[:cut])
            line = f"  {line[cut + 1 :]}"
        lines.append(line)
    return _Box(state, tuple(lines))


class _Picture:
    def __init__(self, graph: Graph, title: str) -> None:
        self.graph = graph
        self.title = title
        self.boxes = [_box(state) for state in graph.states]
        heights = sorted({state.mappings for state in graph.states})
        layers = [heights.index(state.mappings) for state in graph.states]
        self.words: dict[tuple[int, int], list[str]] = {}
        for one in graph.transitions:
            self.words.setdefault((one.source, one.target), []).append(one.operation)
        self.edges = list(self.words)
        self.layout = Layering(layers, [box.width for box in self.boxes], self.edges)
        self.tops: list[float] = []
        at = float(MARGIN)
        for layer in range(len(heights)):
            self.tops.append(at)
            at += self._row(layer) + BETWEEN
        self.height = at - BETWEEN + MARGIN
        self.shift = MARGIN - self.layout.left
        self.width = self.layout.right - self.layout.left + 2 * MARGIN
        self._ports = self._ends()
        spots = zip(self.boxes, self.layout.spots, strict=False)
        self._taken = [(s.x + self.shift, self._middle(s.layer), box.width, box.height) for box, s in spots]

    def _row(self, layer: int) -> float:
        """The height of the highest box of a row."""
        return max(box.height for box, spot in zip(self.boxes, self.layout.spots, strict=False) if spot.layer == layer)

    def _x(self, spot: int) -> float:
        return self.layout.spots[spot].x + self.shift

    def _middle(self, layer: int) -> float:
        return self.tops[layer] + self._row(layer) / 2

    def _ends(self) -> dict[tuple[int, int], float]:
        """Where each edge leaves or enters a box: (edge, 0 for its first end or 1) -> x; spread by direction."""
        sides: dict[tuple[int, bool], list[tuple[float, int, int]]] = {}
        for number, route in enumerate(self.layout.routes):
            for end, (spot, towards) in enumerate(((route[0], route[1]), (route[-1], route[-2]))):
                below = self.layout.spots[towards].layer > self.layout.spots[spot].layer
                sides.setdefault((spot, below), []).append((self._x(towards), number, end))
        found = {}
        for (spot, _), ends in sides.items():
            room = self.boxes[spot].width - 24
            # of two edges between the same boxes the one that goes down lies to the left, at both ends
            ends.sort(key=lambda one: (one[0], self._rises(one[1])))
            for place, (_, number, end) in enumerate(ends):
                found[number, end] = self._x(spot) + ((place + 1) / (len(ends) + 1) - 0.5) * room
        return found

    def _rises(self, number: int) -> bool:
        route = self.layout.routes[number]
        return self.layout.spots[route[1]].layer < self.layout.spots[route[0]].layer

    def svg(self) -> str:
        """All of it."""
        parts = [self._edge(number) for number in range(len(self.edges))]
        parts += [self._node(number) for number in range(len(self.boxes))]
        parts += [self._label(number) for number in range(len(self.edges))]
        told = escape(self.title)
        return (
            f'<svg class="foliolab-states" role="img" aria-label="{told}" xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" width="{self.width:.0f}" '
            f'font-family="var(--font-stack--monospace, monospace)" font-size="{FONT}">'
            f'<defs><marker id="foliolab-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0 8 4 0 8z" fill="{MUTED}"/></marker></defs>{"".join(parts)}</svg>'
        )

    # -- parts -----------------------------------------------------------------------------------------
    def _points(self, number: int) -> list[Point]:
        """From the edge's source to its target, a point at each box, and two where it passes a row."""
        route = self.layout.routes[number]
        spots = self.layout.spots
        rises = self._rises(number)
        points = []
        for place, spot in enumerate(route):
            layer = spots[spot].layer
            if 0 < place < len(route) - 1:
                half = self._row(layer) / 2 * (-1 if rises else 1)
                points += [(self._x(spot), self._middle(layer) - half), (self._x(spot), self._middle(layer) + half)]
                continue
            inner = self.boxes[spot].height / 2
            up = rises if place == 0 else not rises
            points.append((self._ports[number, int(place > 0)], self._middle(layer) + (-inner if up else inner)))
        return points

    def _edge(self, number: int) -> str:
        points = self._points(number)
        path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
        for (x, y), (to_x, to_y) in pairwise(points):
            bend = (to_y - y) * BEND
            path.append(f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}")
        return f'<path d="{"".join(path)}" fill="none" stroke="{MUTED}" marker-end="url(#foliolab-arrow)"/>'

    def _label(self, number: int) -> str:
        """The words of an edge, on it, where they cover neither a box nor other words."""
        words = ", ".join(self.words[self.edges[number]])
        wide = len(words) * CHARACTER * (FONT - 1) / FONT + 4
        points = self._points(number)
        best, least = points[0], float("inf")
        for piece in pairwise(points):
            for t in ALONG:
                x, y = _on_curve(*piece, t)
                overlap = sum(_common(place, (x, y, wide, FONT + 3)) for place in self._taken)
                if overlap < least:
                    best, least = (x, y), overlap
        x, y = best
        self._taken.append((x, y, wide, FONT + 3))
        return (
            f'<rect x="{x - wide / 2:.1f}" y="{y - FONT / 2 - 1:.1f}" width="{wide:.1f}" height="{FONT + 2}" '
            f'fill="{GROUND}"/><text x="{x:.1f}" y="{y + FONT / 3:.1f}" text-anchor="middle" fill="{TEXT}" '
            f'font-size="{FONT - 1}">{escape(words)}</text>'
        )

    def _node(self, number: int) -> str:
        box = self.boxes[number]
        state = box.state
        left = self._x(number) - box.width / 2
        top = self._middle(self.layout.spots[number].layer) - box.height / 2
        colour = COLOURS[state.verdict]
        parts = [
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5" '
            f'fill="{PANEL}" stroke="{colour}" stroke-width="1.6"/>'
        ]
        x, y = left + PAD, top + PAD + FONT
        for mm in state.living:
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{TEXT}" font-weight="bold">{NAMES[mm]}</text>')
            for n, there in enumerate(state.mapped[mm]):
                parts.append(
                    f'<rect x="{x + 10 + n * (SQUARE + 1):.1f}" y="{y - SQUARE + 0.5:.1f}" width="{SQUARE}" '
                    f'height="{SQUARE}" fill="{MUTED if there else "none"}" stroke="{MUTED}"/>'
                )
            x += 58
        y += LINE if state.living else 0
        parts.append(
            f'<text x="{left + PAD:.1f}" y="{y:.1f}" fill="{colour}" font-weight="bold">{escape(box.verdict)}</text>'
        )
        for line in box.lines:
            y += LINE
            parts.append(
                f'<text x="{left + PAD:.1f}" y="{y:.1f}" fill="{TEXT}" xml:space="preserve">{escape(line)}</text>'
            )
        return "".join(parts)


def svg(graph: Graph, title: str) -> str:
    """A graph as SVG, rows by the number of mappings.

    Args:
        graph: the states.
        title: what it shows, for those who cannot see it.
    """
    return _Picture(graph, title).svg()
