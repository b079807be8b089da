"""The end of a run of pytest: the table of all comparisons, the files, and what concerns no single test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from foliolab.framework.errors import FolioLabError
from foliolab.framework.results import comparison as rules
from foliolab.framework.results.merge import merge
from foliolab.framework.results.result import Result
from foliolab.framework.testing.gates import Gates

if TYPE_CHECKING:
    import pytest


@dataclass
class Verdict:
    """What is shown at the end of a run.

    Args:
        lines: the table and the files that were written.
        failures: title and text of each failure that belongs to no test.
    """

    lines: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


def judge(texts: Sequence[str], config: pytest.Config) -> Verdict:
    """Show and write all results.

    Args:
        texts: results as JSON.
        config: pytest's, with the options.
    """
    found = [msgspec.json.decode(text, type=Result) for text in texts]
    if not found:
        return Verdict(failures=[("measured", "nothing was measured: no test called compare(workload)")])
    rows = [(one.config.seed, row) for one in found for row in rules.compare(one)]
    verdict = Verdict(_table(rows))
    if not Gates.of(config).knows([row for _, row in rows]):
        verdict.failures.append(("baseline", "--baseline: the result file has no case of this run"))
    folder = config.getoption("foliolab_compare_report")
    if folder:
        try:
            verdict.lines += [f"written: {path}" for path in _write(found, Path(folder))]
        except (FolioLabError, OSError) as fault:
            verdict.failures.append(("report", f"--compare-report {folder}: {fault}"))
    return verdict


def _table(rows: Sequence[tuple[int, rules.Row]]) -> list[str]:
    """One line for each row: the figures, beside the baseline of the same run. Several seeds have a column."""
    heading = ("workload", "size", "seed", "policy", "ns a page", "ratio", "verdict", "atomics")
    cells = [
        (
            row.workload, f"{row.size_kib}K", f"{seed}", row.policy,
            "–" if row.ns_per_page is None else f"{row.ns_per_page:.3f}",
            "–" if row.ratio is None else f"{row.ratio:.3f}", row.verdict, f"{row.counted.get('atomics', 0):.4g}",
        )
        for seed, row in rows
    ]  # fmt: skip
    several = len({seed for seed, _ in rows}) > 1
    columns = [column for column in range(len(heading)) if several or heading[column] != "seed"]
    widths = {column: max(len(line[column]) for line in [heading, *cells]) for column in columns}
    return ["  ".join(line[one].ljust(widths[one]) for one in columns).rstrip() for line in [heading, *cells]]


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
