"""The comparison as a CSV file: one line per workload, size and policy."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Final

from foliolab.framework.compare import Row
from foliolab.framework.results import write_atomically

COLUMNS: Final = (
    "workload", "size_kib", "policy", "ns_per_page", "ratio", "ratio_low", "ratio_high", "verdict",
)  # fmt: skip


def write(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Write the rows, atomically; a figure that was not measured is an empty field.

    Raises:
        ResultFileError: the place cannot be written to.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in rows:
        values = (getattr(row, name) for name in COLUMNS)
        lines.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
    write_atomically(path, text.getvalue().encode("utf-8"))
