"""`foliolab compare`: a table for each workload, counted metrics, failures, and how to repeat the run.

Each verdict has a sign and a word; colour is never its only mark. Output to a pipe is wide enough not to wrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Final

from foliolab.framework.calibration.prediction import Prediction
from foliolab.framework.costmodel.prediction import ProcessorForecast
from foliolab.framework.report import prediction as predicted
from foliolab.framework.report import processor as counted
from foliolab.framework.report.pages.page import Column, Page, Style, Words
from foliolab.framework.report.words import (
    broken,
    callers,
    change_text,
    figure_text,
    growth,
    origin_text,
    size_text,
    time_text,
)
from foliolab.framework.results.comparison import ALPHA, EQUIVALENT, Row, Verdict, summarise
from foliolab.framework.results.result import Result

SIGNS: Final[dict[Verdict, tuple[str, Style]]] = {
    "faster": ("▼", "good"),
    "slower": ("▲", "bad"),
    "same": ("=", ""),
    "too noisy": ("~", "doubtful"),
    "too few": ("?", "doubtful"),
    "not measured": ("✗", "bad"),
}
"""For each verdict its sign and its tone."""

COUNTED: Final = {
    "atomics": "atomics/page",
    "lock_sections": "lock sections/page",
    "cache_lines": "cache lines/page",
}
"""The counted metrics that are shown for each workload; the result file has the others, too."""

MEMORY: Final = {"bits_per_folio": "bits/folio", "bits_per_page": "bits/page", "struct_page_bytes": "bytes/struct page"}
"""Counted metrics that do not depend on the workload."""


def render(
    result: Result,
    rows: Sequence[Row],
    page: Page,
    prediction: Prediction | None = None,
    on_processor: ProcessorForecast | None = None,
) -> None:
    """Write the comparison on a page.

    Args:
        rows: their comparison, from `compare`.
        prediction: the prediction with the rest of the kernel, to show beside it.
        on_processor: the prediction on a named processor, to show beside it.
    """
    _Report(result, rows, page, prediction, on_processor).render()


_Line = tuple[str, str, str, list[Row]]
"""A line of counted metrics: the workload's label, the metric, the policy, and the row for each size."""


class _Report:
    def __init__(
        self,
        result: Result,
        rows: Sequence[Row],
        page: Page,
        prediction: Prediction | None,
        on_processor: ProcessorForecast | None,
    ) -> None:
        self.result = result
        self.page = page
        self.prediction = prediction
        self.on_processor = on_processor
        baselines = [row.policy for row in rows if row.verdict == "baseline"]
        self.baseline = baselines[0] if baselines else result.config.baseline
        self.others = [p for p in dict.fromkeys(row.policy for row in rows) if p != self.baseline]
        self.policies = [self.baseline, *self.others]
        self.rows = {(row.workload, row.size_kib, row.policy): row for row in rows}
        self.workloads = list(dict.fromkeys(row.workload for row in rows))
        self.sizes = list(dict.fromkeys(row.size_kib for row in rows))

    def render(self) -> None:
        for workload in self.workloads:
            self.times(workload)
            if self.prediction is not None:
                predicted.beside(self.page, self.prediction, workload, self.policies)
            if self.on_processor is not None:
                rows = [row for row in self.rows.values() if row.workload == workload and row.policy != self.baseline]
                counted.beside(self.page, self.on_processor, workload, rows)
        self.counted()
        self.verdicts()
        if self.prediction is not None:
            predicted.summary(self.page, self.prediction)
        if self.on_processor is not None:
            counted.summary(self.page, self.on_processor)
        self.closing()

    def times(self, workload: str) -> None:
        absent = {s for s in self.sizes if all(self.rows[workload, s, p].skipped for p in self.policies)}
        sizes = [size for size in self.sizes if size not in absent]
        title = f"{workload}: time against {self.baseline}"
        if sizes:
            size = Column("size", [self.page.text(size_text(size)) for size in sizes], right=True)
            groups = [
                [self.measured(workload, policy, sizes), *self.published(workload, policy, sizes)]
                for policy in self.policies
            ]
            self.page.tables(title, [size, *groups[0]], groups[1:])
        else:
            self.page.line(title, "strong")
        reasons: dict[str, list[str]] = {}
        for size_kib in sorted(absent):
            reason = self.rows[workload, size_kib, self.baseline].reason
            reasons.setdefault(reason, []).append(size_text(size_kib))
        for reason, names in reasons.items():
            self.page.line(f"  not at {', '.join(names)}: {reason}", "quiet")
        for row in self.rows.values():
            if row.workload == workload and row.flagged and row.policy != self.baseline:
                where = f"{row.policy} at {size_text(row.size_kib)}"
                self.page.line(f"  * {where}: {row.flagged} of {row.rounds} rounds flagged", "quiet")
        for source in dict.fromkeys(self.sources(workload)):
            self.page.line(f"  {source}", "quiet")
        self.page.line()

    def measured(self, workload: str, policy: str, sizes: Sequence[int]) -> Column:
        """A policy's column: time, change, interval and verdict of each size, aligned."""
        rows = [self.rows[workload, size, policy] for size in sizes]
        if policy == self.baseline and all(row.verdict == "baseline" for row in rows):
            lines = [("ns/page", "", "", ""), *(self.figures(row) for row in rows)]
        else:
            lines = [("ns/page", "change", "95 % interval", "verdict"), *(self.figures(row) for row in rows)]
        wide = [max(len(line[index]) for line in lines) for index in range(3)]
        heading, *cells = (
            " ".join(part.rjust(width) for part, width in zip(line[:3], wide, strict=True) if width) for line in lines
        )
        column = Column(f"{broken(policy)}\n{heading} {lines[0][3]}".rstrip())
        for row, cell, (*_, verdict) in zip(rows, cells, lines[1:], strict=True):
            style: Style = SIGNS[row.verdict][1] if row.verdict in SIGNS else ""
            column.cells.append(self.page.text(f"{cell} ") + self.page.text(verdict, style))
        return column

    def figures(self, row: Row) -> tuple[str, str, str, str]:
        """A row's time, change, interval and verdict; empty texts for what it does not have."""
        ns = "–" if row.ns_per_page is None else time_text(row.ns_per_page)
        if row.verdict == "baseline":
            return ns, "", "", ""
        sign, _ = SIGNS[row.verdict]
        verdict = f"{sign} {row.verdict}{'*' if row.flagged else ''}"
        if row.ratio is None or row.ratio_low is None or row.ratio_high is None:
            return ns, "", "", verdict
        interval = f"{change_text(row.ratio_low):>5} … {change_text(row.ratio_high):>5}"
        return ns, f"{change_text(row.ratio)} %", interval, verdict

    def published(self, workload: str, policy: str, sizes: Sequence[int]) -> Iterator[Column]:
        """A column for each source of published or imported figures of this policy against this baseline."""
        figures = {size: self.rows[workload, size, policy].beside for size in sizes}
        for origin in dict.fromkeys(f.origin for held in figures.values() for f in held):
            cells = [", ".join(figure_text(f) for f in figures[size] if f.origin == origin) for size in sizes]
            word, source, machine = origin
            heading = "\n".join([word, *wrap(machine or source.partition(" ")[0], 12)])
            yield Column(heading, [self.page.text(cell) for cell in cells], right=True)

    def sources(self, workload: str) -> Iterator[str]:
        for row in self.rows.values():
            for figure in row.beside if row.workload == workload else ():
                yield origin_text(figure)

    def counted(self) -> None:
        """Write counted metrics: a line for each workload, metric and policy, a column for each size."""
        lines: list[_Line] = []
        ends = []
        # Bits do not depend on the workload, so those of the first workload are shown for all.
        for workload in self.workloads:
            lines += self.metrics(workload, workload, COUNTED)
            ends.append(len(lines) - 1)
        for workload in self.workloads:
            if memory := self.metrics(workload, "memory", MEMORY):
                lines += memory
                break
        if not lines:
            return
        first = [
            Column("", [self.page.text(label) for label, _, _, _ in lines]),
            Column("counted", [self.page.text((COUNTED | MEMORY)[name]) for _, name, _, _ in lines]),
            Column("", [self.page.text(policy) for _, _, policy, _ in lines]),
        ]
        groups = [
            [Column(size_text(size), [self.count(rows[index], name) for _, name, _, rows in lines], right=True)]
            for index, size in enumerate(self.sizes)
        ]
        self.page.tables("Counted exactly, from the interpreted execution", first, groups, ends)
        self.page.line(f"  beside a number: + more, − less, = as many as {self.baseline}", "quiet")
        self.page.line()

    def metrics(self, workload: str, label: str, names: Mapping[str, str]) -> list[_Line]:
        """The lines of metrics under a workload; policies with equal figures share one line."""
        lines: list[_Line] = []
        for name in names:
            held = [(p, [self.rows[workload, size, p] for size in self.sizes]) for p in self.policies]
            values = [[row.counted.get(name) for row in rows] for _, rows in held]
            if all(value is None for row in values for value in row):
                continue
            if all(row == values[0] for row in values):
                held = [("all", held[0][1])]
            lines += [("", name, policy, rows) for policy, rows in held]
        return [(label, *lines[0][1:]), *lines[1:]] if lines else []

    def count(self, row: Row, name: str) -> Words:
        if name not in row.counted:
            return self.page.text("–  ")
        value = row.counted[name]
        shown = f"{value:g}" if name in MEMORY else f"{value:.3f}"
        difference = row.counted_difference.get(name)
        if row.policy == self.baseline or difference is None:
            return self.page.text(f"{shown}  ")
        return self.page.text(f"{shown} {'+' if difference > 0 else '−' if difference < 0 else '='}")

    def verdicts(self) -> None:
        verdicts, tests = summarise(list(self.rows.values()), self.baseline)
        self.page.line(f"Verdicts against {self.baseline}", "strong")
        for policy, counts in verdicts.items():
            words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
            self.page.line(f"  {policy}: {words}")
        self.page.line(
            f"  Faster, slower: significant at {ALPHA * 100:g} % by the U test, Holm-corrected for {tests} tests.",
            "quiet",
        )
        self.page.line(f"  Same: the interval is within ±{EQUIVALENT * 100:g} % of no change.", "quiet")
        self.page.line()

    def closing(self) -> None:
        result = self.result
        if not result.complete:
            self.page.line("Partial: the run was interrupted; what was measured until then is shown.", "strong")
        for failure in result.failures:
            size = size_text(failure.size_kib) if failure.size_kib else ""
            where = ", ".join(part for part in (failure.policy, failure.workload, size) if part)
            self.page.line(f"Failed{f' ({where})' if where else ''}: {failure.message}", "bad")
        for reason, names in self.gaps().items():
            self.page.line(f"Not measured: {reason} ({names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)})")
        for note in (*growth(result), *callers(result), *result.notes):
            self.page.line(f"Note: {note}")
        config, machine = result.config, result.machine
        self.page.line(
            f"{machine.cpu}, {machine.cores} cores, {machine.memory_bytes / 2**30:.1f} GiB, {machine.os}, "
            f"Linux {result.kernel}"
        )
        versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
        self.page.line(f"{versions}{f', commit {result.git}' if result.git else ''}")
        self.page.line(
            f"{config.memory / 2**20:g} MiB, {config.repeats} rounds, seed {config.seed}, "
            f"{result.started} to {result.finished}"
        )
        self.page.line(f"Repeat it: {result.command}", "strong")

    def gaps(self) -> dict[str, list[str]]:
        """Cases that were not measured, by reason; sizes at which no policy was measured are named with the times."""
        gaps: dict[str, list[str]] = {}
        for row in self.rows.values():
            alike = all(self.rows[row.workload, row.size_kib, policy].skipped for policy in self.policies)
            if row.verdict == "not measured" and not alike:
                name = f"{row.workload}, {size_text(row.size_kib)}, {row.policy}"
                gaps.setdefault(row.reason, []).append(name)
        return gaps
