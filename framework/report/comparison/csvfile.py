"""A comparison as CSV: one line for each workload, size and policy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from foliolab.framework.calibration.prediction import Prediction
from foliolab.framework.costmodel.formula import Span
from foliolab.framework.costmodel.prediction import ProcessorForecast
from foliolab.framework.document import write_atomically
from foliolab.framework.plugins.published import Published
from foliolab.framework.report.words import csv_text
from foliolab.framework.results.comparison import Row

COLUMNS: Final = (
    "workload", "size_kib", "policy", "ns_per_page", "ratio", "ratio_low", "ratio_high", "verdict",
)  # fmt: skip


PREDICTED: Final = {
    "predicted_ns_per_page": "ns_per_page",
    "predicted_ratio": "ratio",
    "predicted_ratio_low": "ratio_low",
    "predicted_ratio_high": "ratio_high",
    "rest_of": "operation",
}
"""Columns of a prediction, each with the attribute of a forecast that it holds."""


ON_PROCESSOR: Final = (
    "processor", "constants_version", "on_processor_ratio", "on_processor_ratio_low", "on_processor_ratio_high",
    "kernel_on_processor_ratio", "kernel_on_processor_ratio_low", "kernel_on_processor_ratio_high",
)  # fmt: skip
"""Columns of a prediction on a processor: of the modelled work, and with the rest of a kernel."""


def text(
    rows: Sequence[Row], prediction: Prediction | None = None, on_processor: ProcessorForecast | None = None
) -> str:
    """The rows as CSV; a figure that was not measured, predicted or imported is an empty field.

    Args:
        prediction: the prediction with the rest of the kernel, in further columns.
        on_processor: the prediction on a processor, in further columns.
    """
    lines = [[getattr(row, name) for name in COLUMNS] for row in rows]
    if prediction:
        for row, line in zip(rows, lines, strict=True):
            line += [getattr(prediction.of(row), name) for name in PREDICTED.values()]
    if on_processor:
        for row, line in zip(rows, lines, strict=True):
            line.extend(_on_processor(row, on_processor))
    imported = _imported(rows)
    for row, line in zip(rows, lines, strict=True):
        line.extend(_figures(row, imported))
    headings = [
        *COLUMNS, *(PREDICTED if prediction else ()), *(ON_PROCESSOR if on_processor else ()),
        *(name for names in imported.values() for name in names),
    ]  # fmt: skip
    return csv_text(headings, lines, ".6g")


def _imported(rows: Sequence[Row]) -> dict[tuple[str, ...], tuple[str, str]]:
    """The columns of what was imported, by origin and meaning: the figure's and its spread's."""
    found = {}
    for figure in (figure for row in rows for figure in row.imported):
        unit = figure.unit if figure.meaning == "absolute" else f"% of {figure.meaning}"
        name = f"{figure.source}{', ' if figure.machine else ''}{figure.machine} [{unit}]"
        found[_key(figure)] = f"imported {name}", f"spread of {name}"
    return found


def _figures(row: Row, columns: Iterable[tuple[str, ...]]) -> Iterator[float | None]:
    """The values of a row in the columns of `_imported`."""
    own = {_key(figure): figure for figure in row.imported}
    for key in columns:
        yield own[key].percent if key in own else None
        yield own[key].spread if key in own else None


def _key(figure: Published) -> tuple[str, ...]:
    return (*figure.origin, figure.meaning, figure.unit)


def _on_processor(row: Row, forecast: ProcessorForecast) -> list[str | int | float | None]:
    """The values of `ON_PROCESSOR`."""
    key = (row.workload, row.size_kib, row.policy)
    spans = [spans.get(key) for spans in (forecast.modelled, forecast.whole)]
    figures = [(one.middle, one.low, one.high) if isinstance(one, Span) else (None, None, None) for one in spans]
    return [forecast.processor.name, forecast.version, *figures[0], *figures[1]]


def write(
    rows: Sequence[Row],
    path: str | os.PathLike[str],
    prediction: Prediction | None = None,
    on_processor: ProcessorForecast | None = None,
) -> None:
    """Write `text` into a file, atomically.

    Raises:
        ResultFileError: the file cannot be written.
    """
    write_atomically(path, text(rows, prediction, on_processor).encode("utf-8"))
