"""`foliolab kernel bench`: a table for each benchmark, and a CSV file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from foliolab.framework.document import write_atomically
from foliolab.framework.kernel.bench import COPYING
from foliolab.framework.kernel.bench_rows import BenchRow
from foliolab.framework.plugins.published import Published
from foliolab.framework.report.pages.page import Column, Page
from foliolab.framework.report.words import change_text, csv_text, figure_text, size_text, time_text
from foliolab.framework.results.result import Result

COLUMNS: Final = (
    "workload", "size_kib", "policy", "ns_per_page", "least", "spread", "rounds", "flagged", "against_small",
    "against_copy", "copies", "model_ns_per_page",
)  # fmt: skip
NOTHING: Final = "–"


def render(result: Result, rows: Sequence[BenchRow], page: Page, model: str = "") -> None:
    """Write the bench on a page.

    Args:
        rows: from `bench_rows.rows`.
        model: the policy whose modelled times are shown beside; empty for none.
    """
    for workload in dict.fromkeys(row.workload for row in rows):
        _table(page, workload, [row for row in rows if row.workload == workload], model)
    _closing(page, result)


def _table(page: Page, workload: str, rows: Sequence[BenchRow], model: str) -> None:
    there = [row for row in rows if row.ns_per_page is not None]
    if there:
        page.tables(f"{workload}: the running kernel", _columns(page, there), [*_beside(page, there, model)])
    else:
        page.line(f"{workload}: the running kernel", "strong")
    absent: dict[str, list[str]] = {}
    for row in rows:
        if row.ns_per_page is None:
            absent.setdefault(row.reason, []).append(size_text(row.size_kib))
    for reason, sizes in absent.items():
        page.line(f"  not at {', '.join(sizes)}: {reason}", "quiet")
    for row in there:
        if row.flagged:
            page.line(f"  * {size_text(row.size_kib)}: {row.flagged} of {row.rounds} samples are suspect", "quiet")
    for source in dict.fromkeys(
        "; ".join(part for part in (f"{f.source}, {f.policy} against {f.baseline}", f.machine, f.note) if part)
        for row in there
        for f in row.published
    ):
        page.line(f"  published: {source}", "quiet")
    page.line()


def _columns(page: Page, rows: Sequence[BenchRow]) -> list[Column]:
    columns = {
        "size": [size_text(row.size_kib) for row in rows],
        "ns/page\nmedian": [f"{_ns(row.ns_per_page)}{'*' if row.flagged else ''}" for row in rows],
        "\nleast": [_ns(row.least) for row in rows],
        "quartiles\napart": [NOTHING if row.spread is None else f"{row.spread * 100:.0f} %" for row in rows],
        "against\n4 KiB": [NOTHING if row.against_small is None else f"{row.against_small:.2f} ×" for row in rows],
    }
    if any(row.against_copy is not None for row in rows):
        copying = COPYING[rows[0].workload]
        columns[f"against\n{copying}"] = [
            NOTHING if row.against_copy is None else f"{change_text(row.against_copy)} %" for row in rows
        ]
    if any(row.copies is not None for row in rows):
        columns["copies\n/page"] = [NOTHING if row.copies is None else f"{row.copies:.3f}" for row in rows]
    return [Column(head, [page.text(cell) for cell in cells], right=True) for head, cells in columns.items()]


def _beside(page: Page, rows: Sequence[BenchRow], model: str) -> Iterator[list[Column]]:
    """The model's figures, then the published ones, a column for each source."""
    if any(row.model_ns_per_page is not None for row in rows):
        yield [Column(f"model, raw\n{model}", [page.text(_ns(row.model_ns_per_page)) for row in rows], right=True)]
    for origin in dict.fromkeys(_origin(f) for row in rows for f in row.published):
        cells = [", ".join(figure_text(f) for f in row.published if _origin(f) == origin) for row in rows]
        source, machine, policy = origin
        heading = "\n".join(["published", policy, *wrap(machine or source.partition(" ")[0], 12)])
        yield [Column(heading, [page.text(cell) for cell in cells], right=True)]


def _origin(figure: Published) -> tuple[str, str, str]:
    return figure.source, figure.machine, figure.policy


def _ns(value: float | None) -> str:
    return NOTHING if value is None else time_text(value)


def _closing(page: Page, result: Result) -> None:
    if not result.complete:
        page.line("Partial: the run was interrupted; what was measured until then is shown.", "strong")
    for failure in result.failures:
        page.line(f"Failed ({failure.workload}, {size_text(failure.size_kib)}): {failure.message}", "bad")
    for note in result.notes:
        page.line(f"Note: {note}")
    machine, config = result.machine, result.config
    page.line(f"{machine.cpu}, {machine.cores} cores, {machine.memory_bytes / 2**30:.1f} GiB, Linux {result.kernel}")
    page.line(f"{config.memory >> 20} MiB, {config.repeats} rounds, seed {config.seed}, from {result.started}")
    page.line(f"Repeat it: {result.command}", "strong")


def write_csv(rows: Sequence[BenchRow], path: str | os.PathLike[str]) -> None:
    """Write one line for each benchmark and size, atomically; a figure that was not measured is an empty field.

    Raises:
        ResultFileError: the file cannot be written.
    """
    text = csv_text(COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in rows), ".6g")
    write_atomically(path, text.encode())
