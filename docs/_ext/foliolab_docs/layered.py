"""A layered drawing of a graph: where its nodes and edges lie. It knows nothing of what they mean.

Nodes have a layer each. Edges that cross a layer are cut there by a waypoint; the order within a layer is improved by
barycentres until fewer crossings are not found, then nodes move towards their neighbours as far as there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

SWEEPS: Final = 24
GAP: Final = 34.0
WAYPOINT: Final = 26.0


@dataclass
class Spot:
    """A node, or a waypoint of an edge.

    Attributes:
        layer: its row, from the top.
        width: how much room it takes.
        x: its centre, once placed.
        node: its number; -1 for a waypoint.
    """

    layer: int
    width: float
    x: float = 0.0
    node: int = -1


class Layering:
    """Places nodes.

    Args:
        layers: the row of each node, from 0.
        widths: of each node.
        edges: pairs of nodes of different rows, each pair once.

    Attributes:
        spots: the nodes in their order, then waypoints.
        routes: for each edge the spots that it passes, from its first node to its second.
    """

    def __init__(self, layers: Sequence[int], widths: Sequence[float], edges: Sequence[tuple[int, int]]) -> None:
        self.spots = [Spot(layer, width, node=n) for n, (layer, width) in enumerate(zip(layers, widths, strict=True))]
        self.routes = [self._route(*edge) for edge in edges]
        self.rows: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
        for number, spot in enumerate(self.spots):
            self.rows[spot.layer].append(number)
        self._near: list[list[int]] = [[] for _ in self.spots]
        for route in self.routes:
            for one, other in pairwise(route):
                self._near[one].append(other)
                self._near[other].append(one)
        self._order()
        self._place()

    @property
    def left(self) -> float:
        """The leftmost coordinate."""
        return min(spot.x - spot.width / 2 for spot in self.spots)

    @property
    def right(self) -> float:
        """The rightmost coordinate."""
        return max(spot.x + spot.width / 2 for spot in self.spots)

    def _route(self, source: int, target: int) -> list[int]:
        first, last = self.spots[source].layer, self.spots[target].layer
        step = 1 if last > first else -1
        route = [source]
        for layer in range(first + step, last, step):
            route.append(len(self.spots))
            self.spots.append(Spot(layer, WAYPOINT))
        return [*route, target]

    def _order(self) -> None:
        """The order within each row that had the fewest crossings."""
        best = [list(row) for row in self.rows]
        fewest = self._crossings()
        for sweep in range(SWEEPS):
            rows = range(1, len(self.rows)) if sweep % 2 == 0 else range(len(self.rows) - 2, -1, -1)
            for layer in rows:
                beside = layer - 1 if sweep % 2 == 0 else layer + 1
                at = {number: place for place, number in enumerate(self.rows[beside])}
                self.rows[layer].sort(key=lambda number, at=at: self._centre(number, at))  # type: ignore[misc]
            crossings = self._crossings()
            if crossings < fewest:
                fewest, best = crossings, [list(row) for row in self.rows]
        self.rows = best

    def _centre(self, number: int, at: dict[int, int]) -> float:
        near = [at[other] for other in self._near[number] if other in at]
        return sum(near) / len(near) if near else len(at) / 2

    def _crossings(self) -> int:
        at = {number: place for row in self.rows for place, number in enumerate(row)}
        found = 0
        for layer in range(len(self.rows) - 1):
            pairs = [
                (at[one], at[other])
                for one in self.rows[layer]
                for other in self._near[one]
                if self.spots[other].layer == layer + 1
            ]
            found += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(pairs) for c, d in pairs[:i])
        return found

    def _place(self) -> None:
        """Coordinates: every row packed, then drawn towards the neighbours."""
        for row in self.rows:
            at = 0.0
            for number in row:
                self.spots[number].x = at + self.spots[number].width / 2
                at += self.spots[number].width + GAP
            for number in row:
                self.spots[number].x -= (at - GAP) / 2
        for sweep in range(SWEEPS):
            for row in self.rows if sweep % 2 == 0 else self.rows[::-1]:
                self._draw(row)

    def _draw(self, row: list[int]) -> None:
        wished = []
        for number in row:
            near = [self.spots[other].x for other in self._near[number]]
            wished.append(sum(near) / len(near) if near else self.spots[number].x)
        given: list[float] = []
        for place, number in enumerate(row):
            least = wished[place]
            if given:
                before = self.spots[row[place - 1]]
                least = max(least, given[-1] + before.width / 2 + self.spots[number].width / 2 + GAP)
            given.append(least)
        shift = sum(w - g for w, g in zip(wished, given, strict=True)) / len(row)
        for number, x in zip(row, given, strict=True):
            self.spots[number].x = x + shift
