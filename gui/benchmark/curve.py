"""The data of a curve. It stands apart from the plot, because importing pyqtgraph takes a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """One curve.

    Args:
        name: unique; shown at the end of the curve.
        x, y: its points.
        low, high: the ends of the error bars; empty for none.
        number: decides the colour and the symbol.
        dashed: whether the values were not measured on this host, such as published figures.
        texts: a sentence for each point, shown when the mouse is on it.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    number: int = 0
    dashed: bool = False
    texts: Sequence[str] = ()
