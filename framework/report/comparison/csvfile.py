"""A comparison as CSV: one line for each workload, size and policy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from foliolab.framework.calibration.prediction import Prediction
from foliolab.framework.document import write_atomically
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


def text(rows: Sequence[Row], prediction: Prediction | None = None) -> str:
    """The rows as CSV; a figure that was not measured or predicted is an empty field.

    Args:
        prediction: the prediction with the rest of the kernel, in further columns.
    """
    lines = [[getattr(row, name) for name in COLUMNS] for row in rows]
    if prediction:
        for row, line in zip(rows, lines, strict=True):
            line += [getattr(prediction.of(row), name) for name in PREDICTED.values()]
    return csv_text([*COLUMNS, *(PREDICTED if prediction else ())], lines, ".6g")


def write(rows: Sequence[Row], path: str | os.PathLike[str], prediction: Prediction | None = None) -> None:
    """Write `text` into a file, atomically.

    Raises:
        ResultFileError: the file cannot be written.
    """
    write_atomically(path, text(rows, prediction).encode("utf-8"))
