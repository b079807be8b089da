"""Results kept by commit: one file for each run in a folder, and what changed from one to the next.

A file's name says the kind, the time, the commit and the machine; the file is an ordinary result file. Counted metrics,
precision and errors are exact: the first run in which one differs names the commit that changed it. Times are compared
only between runs on one machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import geometric_mean
from typing import Final

import msgspec

from foliolab.framework.errors import UsageError
from foliolab.framework.results import provenance, statistics
from foliolab.framework.results.result import Result
from foliolab.framework.results.run_result import RunResult

NAME: Final = re.compile(r"[a-z]+-\d{8}T\d{6}-(?P<commit>[0-9a-f]{7,40}(-dirty)?|none)-[0-9a-f]{8}(-\d+)?\.json")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """A result of a history.

    Args:
        name: of its file.
        commit: the commit that it was measured at, with "-dirty" where a file differed; empty where unknown.
    """

    name: str
    commit: str
    result: RunResult

    @property
    def label(self) -> str:
        """The commit, shortened, or the name of the file."""
        commit, dirty, _ = self.commit.partition("-dirty")
        return commit[:12] + dirty if commit else self.name

    @property
    def machine(self) -> str:
        return machine_of(self.result)

    @cached_property
    def exact(self) -> dict[Key, float]:
        """The exact figures: counted metrics, precision or errors."""
        if isinstance(self.result, Result):
            return {
                (cell.workload, str(cell.size_kib), cell.policy, metric): value
                for cell in self.result.cells
                for metric, value in cell.counted.items()
            }
        return dict(self.result.figures.values) if self.result.figures else {}

    @cached_property
    def times(self) -> dict[Key, float]:
        """The median times in ns per page, by workload, size and policy."""
        cells = self.result.cells if isinstance(self.result, Result) else []
        return {
            (cell.workload, str(cell.size_kib), cell.policy): statistics.median(cell.samples)
            for cell in cells
            if cell.samples
        }


@dataclass(frozen=True)
class Change:
    """An exact figure that is not the same in all runs.

    Args:
        key: of the figure.
        at: the first run that differs from the one before it, as an index of the history.
        before, after: the values around it.
        last: the newest value.
        times: how often it changed.
    """

    key: Key
    at: int
    before: float
    after: float
    last: float
    times: int


# -- keeping -----------------------------------------------------------------------------------------
def machine_of(result: RunResult) -> str:
    """Eight digits that stand for the machine of a result."""
    return sha256(msgspec.json.encode(result.machine)).hexdigest()[:8]


def keep(result: RunResult, folder: Path, files: Iterable[Path] = ()) -> Path:
    """Write a result into a history. No file is replaced.

    Args:
        folder: of the history; it is made if it does not exist.
        files: plugins that the result depends on, see `provenance.commit_here`.

    Raises:
        UsageError: the folder cannot be made.
        ResultFileError: the file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UsageError(f"{folder} cannot be made: {fault.strerror or fault}", "choose another folder") from fault
    moment = re.sub(r"[^0-9T]", "", result.started)[:15]
    stem = f"{result.kind}-{moment}-{provenance.commit_here(files) or result.git or 'none'}-{machine_of(result)}"
    path, number = folder / f"{stem}.json", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    result.save(path)
    return path


def kept(path: Path, result: RunResult) -> Kept:
    """A result that was read from a file; the file's name has the commit if `keep` has written it."""
    match = NAME.fullmatch(path.name)
    commit = match["commit"] if match else result.git
    return Kept(path.name, "" if commit == "none" else commit, result)


def ordered(found: Iterable[Kept]) -> list[Kept]:
    """Results by the time at which they were started."""
    return sorted(found, key=lambda one: (one.result.started, one.name))


# -- what changed --------------------------------------------------------------------------------------
def changes(history: Sequence[Kept]) -> list[Change]:
    """The exact figures that changed, in the order of the runs. A run without a figure is passed over."""
    keys = dict.fromkeys(key for one in history for key in one.exact)
    return sorted(filter(None, (_change(history, key) for key in keys)), key=lambda one: one.at)


def _change(history: Sequence[Kept], key: Key) -> Change | None:
    held = [(at, one.exact[key]) for at, one in enumerate(history) if key in one.exact]
    steps = [(at, before, now) for (_, before), (at, now) in pairwise(held) if before != now]
    return Change(key, *steps[0], held[-1][1], len(steps)) if steps else None


def mean_against(one: Mapping[Key, float], other: Mapping[Key, float]) -> tuple[float, int] | None:
    """The geometric mean of the ratios of the figures that both have, and their number; None if there are none."""
    ratios = [one[key] / other[key] for key in one if other.get(key) and one[key]]
    return (geometric_mean(ratios), len(ratios)) if ratios else None
