"""Judge all comparisons of a run of pytest: the table, the limits, the report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.results import comparison as rules
from foliolab.framework.results.merge import merge
from foliolab.framework.results.result import Result

if TYPE_CHECKING:
    import pytest

TIME: Final = "time"
COUNTED: Final = (
    "atomics", "policy_atomics", "lock_sections", "loads", "stores", "cache_lines", "bits_per_folio", "bits_per_page",
    "struct_page_bytes",
)  # fmt: skip
EXAMPLE: Final = "write METRIC:LIMIT, such as atomics:0, loads:10% or time:5%"
_LIMIT: Final = re.compile(r"(\d+(?:\.\d+)?)(%?)")

Line = tuple[str, bool]


@dataclass(frozen=True)
class Limit:
    """How much worse than the baseline's a metric may be.

    Args:
        metric: TIME or one of COUNTED.
        amount: in units of the metric, or as a share of the baseline's value.
        relative: whether it is a share.
    """

    metric: str
    amount: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read METRIC:LIMIT.

        Raises:
            UsageError: the text is not understood, or a limit of time is not a share.
        """
        metric, _, limit = text.partition(":")
        found = _LIMIT.fullmatch(limit.strip())
        if metric not in (TIME, *COUNTED) or found is None:
            raise UsageError(
                f"--compare-fail {text}: there is no such limit",
                f"{EXAMPLE}; metrics are {', '.join((TIME, *COUNTED))}",
            )
        if metric == TIME and not found[2]:
            raise UsageError(f"--compare-fail {text}: times are compared as shares", EXAMPLE)
        return cls(metric, float(found[1]) / (100 if found[2] else 1), bool(found[2]))

    def allows(self, before: float, now: float) -> bool:
        """Whether a counted value is allowed beside that of the baseline."""
        most = before * (1 + self.amount) if self.relative else before + self.amount
        return now <= most + 1e-9


def judge(texts: Sequence[str], config: pytest.Config) -> tuple[list[Line], bool]:
    """Judge all results.

    Args:
        texts: results as JSON.
        config: pytest's, with the options.

    Returns:
        lines to show, each with whether it is a failure; whether the run fails.
    """
    try:
        limits = [Limit.parse(text) for text in config.getoption("foliolab_compare_fail") or ()]
        found = [msgspec.json.decode(text, type=Result) for text in texts]
        if not found:
            return [("nothing was measured: no test called compare(workload)", True)], True
        return _judged(found, limits, config)
    except FolioLabError as fault:
        return [(f"{fault.what}; {fault.hint}" if fault.hint else fault.what, True)], True


def _judged(found: Sequence[Result], limits: Sequence[Limit], config: pytest.Config) -> tuple[list[Line], bool]:
    rows = [row for one in found for row in rules.compare(one)]
    lines: list[Line] = [(text, False) for text in _table(rows)]
    bad = [text for row in rows for text in _worse(row, limits)]
    bad += [
        f"not measured: {row.policy} under {row.workload} at {row.size_kib} KiB: {row.reason}"
        for row in rows
        if _lost(row)
    ]
    before = config.getoption("foliolab_baseline")
    if before:
        bad += _regressions(Result.load(before), rows, limits)
    folder = config.getoption("foliolab_compare_report")
    if folder:
        lines += [(f"written: {path}", False) for path in _write(found, Path(folder))]
    lines += [(text, True) for text in bad]
    return lines, bool(bad)


def _lost(row: rules.Row) -> bool:
    return row.ns_per_page is None and not row.skipped


def _worse(row: rules.Row, limits: Iterable[Limit]) -> Iterator[str]:
    """The metrics of a row that are worse than allowed, beside the baseline of the same run."""
    where = f"{row.policy} under {row.workload} at {row.size_kib} KiB"
    for limit in limits:
        if limit.metric == TIME:
            if row.ratio is not None and row.ratio_low is not None and row.ratio_low > 1 + limit.amount:
                yield (
                    f"time: {where}: {row.ratio:.3f} of the baseline's ({row.ratio_low:.3f} to {row.ratio_high:.3f}), "
                    f"allowed is {1 + limit.amount:g}"
                )
        elif limit.metric in row.counted and limit.metric in row.counted_baseline:
            now, base = row.counted[limit.metric], row.counted_baseline[limit.metric]
            if not limit.allows(base, now):
                yield f"{limit.metric}: {where}: {now:g}, the baseline has {base:g}"


def _regressions(before: Result, rows: Iterable[rules.Row], limits: Sequence[Limit]) -> list[str]:
    """Counted metrics that are worse than in a result file; without a limit, any difference counts."""
    known = {cell.key: cell for cell in before.cells}
    given = {limit.metric: limit for limit in limits}
    bad, matched = [], 0
    for row in rows:
        cell = known.get((row.workload, row.size_kib, row.policy))
        for metric in COUNTED if cell is not None else ():
            assert cell is not None
            if metric in row.counted and metric in cell.counted:
                matched += 1
                limit = given.get(metric, Limit(metric, 0.0, False))
                if not limit.allows(cell.counted[metric], row.counted[metric]):
                    bad.append(
                        f"{metric}: {row.policy} under {row.workload} at {row.size_kib} KiB: {row.counted[metric]:g}, "
                        f"the result file has {cell.counted[metric]:g}"
                    )
    if not matched:
        bad.append("--baseline: the result file has no case of this run")
    return bad


def _table(rows: Sequence[rules.Row]) -> list[str]:
    """One line for each row: the figures, beside the baseline of the same run."""
    heading = ("workload", "size", "policy", "ns a page", "ratio", "verdict", "atomics")
    cells = [
        (
            row.workload, f"{row.size_kib}K", row.policy, "–" if row.ns_per_page is None else f"{row.ns_per_page:.3f}",
            "–" if row.ratio is None else f"{row.ratio:.3f}", row.verdict, f"{row.counted.get('atomics', 0):.4g}",
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[i]) for line in [heading, *cells]) for i in range(len(heading))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in [heading, *cells]
    ]


def _write(found: Sequence[Result], folder: Path) -> list[Path]:
    from foliolab.framework.report.comparison import csvfile

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for seed in sorted({one.config.seed for one in found}):
        whole = merge([one for one in found if one.config.seed == seed], "pytest")
        path = folder / f"seed{seed}.json"
        whole.save(path)
        csvfile.write(rules.compare(whole), path.with_suffix(".csv"))
        written += [path, path.with_suffix(".csv")]
    return written
