"""The end of a run of pytest: the table of all comparisons, the files, and what concerns no single test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from foliolab.framework.errors import FolioLabError
from foliolab.framework.results import comparison as rules
from foliolab.framework.results.merge import merge
from foliolab.framework.results.result import Result
from foliolab.framework.results.saving import Saving, partial_path
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


def judge(texts: Sequence[str], config: pytest.Config, files: Files, complete: bool) -> Verdict:
    """Show and write all results.

    Args:
        texts: results as JSON.
        config: pytest's, with the options.
        files: of --compare-report.
        complete: whether all tests ran.
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
            verdict.lines += [f"written: {path}" for path in files.final(found, complete)]
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


class Files:
    """The files of --compare-report: for each seed the merged result, written after every test, and its table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._savings: dict[int, Saving] = {}

    def partial(self, texts: Sequence[str]) -> None:
        """Write the results so far, as incomplete ones; `final` says what cannot be written."""
        with suppress(OSError, FolioLabError):
            for whole in self._merged([msgspec.json.decode(text, type=Result) for text in texts]):
                incomplete = msgspec.structs.replace(whole, complete=False)
                self._savings[whole.config.seed].partial(lambda: incomplete)  # noqa: B023

    def final(self, found: Sequence[Result], complete: bool) -> list[Path]:
        """Write everything.

        Raises:
            FolioLabError: a file cannot be written.
        """
        from foliolab.framework.report.comparison import csvfile

        written = []
        for whole in self._merged(found):
            saving, path = self._savings[whole.config.seed], self._path(whole.config.seed)
            result = msgspec.structs.replace(whole, complete=complete and whole.complete)
            stays = saving.final(result.save, result.complete)
            saving.check()
            table = path.with_suffix(".csv")
            if stays:
                path, table = partial_path(path), partial_path(table)
            csvfile.write(rules.compare(result), table)
            written += [path, table]
        return written

    def _path(self, seed: int) -> Path:
        return self.folder / f"seed{seed}.json"

    def _merged(self, found: Sequence[Result]) -> Iterator[Result]:
        self.folder.mkdir(parents=True, exist_ok=True)
        for seed in sorted({one.config.seed for one in found}):
            if seed not in self._savings:
                self._savings[seed] = Saving(self._path(seed))
            yield merge([one for one in found if one.config.seed == seed], "pytest")
