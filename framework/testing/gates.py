"""The limits of a run of pytest: what --compare-fail and --baseline allow. A comparison beyond them fails its test."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import UsageError
from foliolab.framework.results import comparison as rules
from foliolab.framework.results.metrics import COUNTED
from foliolab.framework.results.result import Result

if TYPE_CHECKING:
    import pytest

TIME: Final = "time"
EXAMPLE: Final = "write METRIC:LIMIT, such as atomics:0, loads:10% or time:5%"
_KEY: Final = "_foliolab_gates"
_LIMIT: Final = re.compile(r"(\d+(?:\.\d+)?)(%?)")


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


class Gates:
    """The limits that the options name. They are read before the first test.

    Args:
        fail: the arguments of --compare-fail.
        baseline: the argument of --baseline; empty without one.

    Raises:
        UsageError: a limit is not understood.
        ResultFileError: the file of --baseline is missing or damaged.
    """

    def __init__(self, fail: Sequence[str] = (), baseline: str = "") -> None:
        self.limits = [Limit.parse(text) for text in fail]
        self.before = Result.load(Path(baseline)) if baseline else None

    @classmethod
    def of(cls, config: pytest.Config) -> Gates:
        """The limits of this run; read once."""
        found = getattr(config, _KEY, None)
        if not isinstance(found, Gates):
            found = cls(config.getoption("foliolab_compare_fail") or (), config.getoption("foliolab_baseline") or "")
            setattr(config, _KEY, found)
        return found

    def broken(self, rows: Sequence[rules.Row], seed: int) -> list[str]:
        """A line for each figure that is worse than allowed, and for each policy that was not measured."""
        lines = []
        for row in rows:
            where = f"{row.policy} under {row.workload} at {row.size_kib} KiB, seed {seed}"
            if lost(row):
                lines.append(f"not measured: {where}: {row.reason}")
            lines += [*self._beside(row, where), *self._regressions(row, where)]
        return lines

    def knows(self, rows: Sequence[rules.Row]) -> bool:
        """Whether the file of --baseline, if one is named, has a counted metric of one of the cases."""
        return self.before is None or any(True for row in rows for _ in self._known(row))

    def _beside(self, row: rules.Row, where: str) -> Iterator[str]:
        """The metrics of a row that are worse than allowed, beside the baseline of the same run."""
        for limit in () if row.skipped or lost(row) else self.limits:
            now, base = row.counted.get(limit.metric), row.counted_baseline.get(limit.metric)
            if limit.metric == TIME and row.ratio is not None and row.ratio_low is not None:
                if row.ratio_low > 1 + limit.amount:
                    yield (
                        f"time: {where}: {row.ratio:.3f} of the baseline's ({row.ratio_low:.3f} to "
                        f"{row.ratio_high:.3f}), allowed is {1 + limit.amount:g}"
                    )
            elif now is None or base is None:
                yield f"{limit.metric}: {where}: not compared, because the baseline was not measured"
            elif not limit.allows(base, now):
                yield f"{limit.metric}: {where}: {now:g}, the baseline has {base:g}"

    def _regressions(self, row: rules.Row, where: str) -> Iterator[str]:
        """Counted metrics that are worse than in the result file; without a limit, any difference counts."""
        given = {limit.metric: limit for limit in self.limits}
        for metric, before in self._known(row):
            if not given.get(metric, Limit(metric, 0.0, False)).allows(before, row.counted[metric]):
                yield f"{metric}: {where}: {row.counted[metric]:g}, the result file has {before:g}"

    def _known(self, row: rules.Row) -> Iterator[tuple[str, float]]:
        """The counted metrics of a row that the result file has, too."""
        key = row.workload, row.size_kib, row.policy
        cell = next((cell for cell in self.before.cells if cell.key == key), None) if self.before else None
        for metric in COUNTED if cell is not None else ():
            assert cell is not None
            if metric in row.counted and metric in cell.counted:
                yield metric, cell.counted[metric]


def lost(row: rules.Row) -> bool:
    """Whether a policy was asked for and not measured."""
    return row.ns_per_page is None and not row.skipped
