"""Policies × workloads with a word, a figure and a curve in each cell, for Markdown, HTML and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.plugins.published import Published
from foliolab.framework.report.words import (
    callers,
    change_text,
    figure_text,
    growth,
    origin,
    size_text,
    time_text,
    times,
)
from foliolab.framework.results.comparison import Row
from foliolab.framework.results.result import Result
from foliolab.framework.results.together import together

SIGNS: Final = {
    "baseline": "●", "faster": "▼", "slower": "▲", "same": "=", "mixed": "◆", "too noisy": "~", "too few": "?",
    "undecided": "?", "not measured": "✗", "–": "",
}  # fmt: skip
TONES: Final = {"faster": "good", "slower": "bad", "not measured": "bad", "same": "", "baseline": "", "–": ""}
METRICS: Final = ("atomics", "lock_sections", "loads", "stores", "cache_lines")


@dataclass(frozen=True)
class Cell:
    """One policy under one workload, all sizes together.

    Args:
        word: the verdict of `together`; baseline, not measured, or – if the workload does not apply.
        figure: the geometric mean of the ratios as a change in per cent; for the baseline, its time.
        interval: the 95 % interval of the figure.
        curve: (size in KiB, ratio, low, high) of each size that was measured.
        rows: the rows that the cell sums up.
        reason: why the cell was not measured.
    """

    policy: str
    workload: str
    word: str
    figure: str = ""
    interval: str = ""
    curve: tuple[tuple[int, float, float, float], ...] = ()
    rows: tuple[Row, ...] = ()
    reason: str = ""

    @property
    def sign(self) -> str:
        return SIGNS[self.word]

    @property
    def tone(self) -> str:
        return TONES.get(self.word, "doubtful") or "plain"


@dataclass(frozen=True)
class Matrix:
    """A result as a matrix.

    Args:
        baseline: the policy that the others are compared with.
        policies, workloads: rows and columns.
        cells: by (policy, workload).
        remarks: what else is known about the policies, such as refuted claims.
    """

    result: Result
    baseline: str
    policies: tuple[str, ...]
    workloads: tuple[str, ...]
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader should know beside the figures, the most serious first."""
        failures = [failure.message for failure in self.result.failures]
        return [*failures, *self.remarks, *growth(self.result), *callers(self.result), *self.result.notes]

    @property
    def failed(self) -> list[Cell]:
        return [cell for cell in self.cells.values() if cell.word == "not measured"]

    @property
    def headline(self) -> str:
        """The whole matrix in one sentence."""
        parts = []
        for policy in self.policies:
            words = [self.cells[policy, workload].word for workload in self.workloads]
            if policy != self.baseline:
                counts = [
                    f"{words.count(word)} {word}" for word in SIGNS if word in words and word not in ("–", "baseline")
                ]
                parts.append(f"{policy}: {', '.join(counts) or 'nothing applies'}")
        return f"Against {self.baseline}, by workload: {'; '.join(parts)}."


def matrix(result: Result, rows: Sequence[Row], remarks: Sequence[str] = ()) -> Matrix:
    """The matrix of a result.

    Args:
        rows: its comparison (`comparison.compare`), with the published figures.
        remarks: what else is known about the policies.
    """
    baseline = next((row.policy for row in rows if row.verdict == "baseline"), result.config.baseline)
    policies, workloads = (tuple(dict.fromkeys(one)) for one in (result.config.policies, result.config.workloads))
    found = Matrix(result, baseline, policies, workloads, remarks=tuple(remarks))
    own: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        own.setdefault((row.policy, row.workload), []).append(row)
    for policy in found.policies:
        for workload in found.workloads:
            case = policy, workload
            found.cells[case] = _cell(*case, tuple(own.get(case, ())), baseline)
    return found


def _cell(policy: str, workload: str, rows: tuple[Row, ...], baseline: str) -> Cell:
    measured = [row for row in rows if row.ratio is not None]
    lost = [row for row in rows if row.ratio is None and not row.skipped]
    if lost:
        return Cell(policy, workload, "not measured", rows=rows, reason=lost[0].reason)
    if not measured:
        return Cell(policy, workload, "–", rows=rows, reason=rows[0].reason if rows else "it does not apply")
    curve = tuple(
        (row.size_kib, row.ratio, row.ratio_low, row.ratio_high)
        for row in measured
        if row.ratio is not None and row.ratio_low is not None and row.ratio_high is not None
    )
    if policy == baseline:
        times = [row.ns_per_page for row in measured if row.ns_per_page is not None]
        figure = f"{time_text(min(times))} … {time_text(max(times))} ns" if times else ""
        return Cell(policy, workload, "baseline", figure, "a page, over the sizes", curve, rows)
    whole = together(measured)
    assert whole is not None
    return Cell(
        policy, workload, whole.word, f"{change_text(whole.ratio)} %",
        f"{change_text(whole.low)} … {change_text(whole.high)}", curve, rows,
    )  # fmt: skip


# -- tables behind a cell ----------------------------------------------------------------------------
def headings(rows: Sequence[Row]) -> list[str]:
    """The headings of `cells_of`; metrics and the figures of others only if any row has them."""
    return ["size", "ns a page", "change, %", "95 % interval", "verdict", *_metrics(rows), *_beside(rows)]


def _metrics(rows: Sequence[Row]) -> list[str]:
    return [name.replace("_", " ") for name in METRICS if any(row.counted.get(name) for row in rows)]


def _beside(rows: Sequence[Row]) -> list[str]:
    """The words for the figures of others: published, imported."""
    return list(dict.fromkeys(figure.word for row in rows for figure in row.beside))


def cells_of(row: Row, rows: Sequence[Row]) -> list[str]:
    """A row as texts, in the order of `headings(rows)`."""
    change = "" if row.ratio is None or row.verdict == "baseline" else change_text(row.ratio)
    interval = ""
    if change and row.ratio_low is not None and row.ratio_high is not None:
        interval = f"{change_text(row.ratio_low)} … {change_text(row.ratio_high)}"
    counted = [row.counted.get(name.replace(" ", "_")) for name in _metrics(rows)]
    beside = [
        "; ".join(f"{figure_text(one)} ({', '.join(_origin(one))})" for one in row.beside if one.word == word)
        for word in _beside(rows)
    ]
    return [
        size_text(row.size_kib), "–" if row.ns_per_page is None else time_text(row.ns_per_page), change, interval,
        row.verdict if row.ratio is not None else f"{row.verdict}: {row.reason}",
        *("" if value is None else f"{value:.4g}" for value in counted), *beside,
    ]  # fmt: skip


def _origin(figure: Published) -> tuple[str, ...]:
    """Where a figure comes from; an imported one has no publication, so its host and runs are said."""
    return tuple(filter(None, (figure.source, figure.machine, figure.note))) if figure.imported else (figure.source,)


def repeat(result: Result) -> list[tuple[str, str]]:
    """How to repeat the run: (heading, text), the command first."""
    config = result.config
    parameters = [
        f"{policy}: {', '.join(f'{name}={value}' for name, value in values.items())}"
        for policy, values in config.policy_parameters.items()
        if values
    ]
    return [
        ("command", result.command),
        times(result),
        ("memory", f"{config.memory >> 20} MiB, at least {config.repeats} rounds in turn, seed {config.seed}"),
        ("parameters", "; ".join(parameters) or "none"),
        *origin(result),
    ]
