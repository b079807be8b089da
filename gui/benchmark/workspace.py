"""The benchmark workspace."""

from __future__ import annotations

from foliolab.gui.workspace import Workspace


class BenchmarkPlace(Workspace):
    """See the issue."""

    name = "benchmark"
    title = "&Benchmark"
    icon = "benchmark"
    keys = "Ctrl+3"
    tip = "Measure what policies cost over folio sizes"
