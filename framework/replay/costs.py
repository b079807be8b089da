"""The cost of a copy and of a reuse: from a result file, or measured with the model on this host."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from foliolab.framework.errors import ResultFileError
from foliolab.framework.replay.result import Costs
from foliolab.framework.replay.survey import Progress
from foliolab.framework.results.result import Result

COPY: Final = "cow-byte"
REUSE: Final = "reuse-byte"
"""The benchmarks that copy, or reuse, each page (specification 6.1)."""
ORDER: Final = 4
MEMORY: Final = 64 << 20
REPEATS: Final = 5


def costs_of(result: Result, source: str) -> Costs | None:
    """The costs from a result, for its policy (or kernel) with the cheapest reuse; None if it has none.

    Large folios only: policies do not track small ones. Times of a busy host, by which a copy takes no longer than a
    reuse, are none.
    """
    found: list[Costs] = []
    for policy in result.config.policies:
        times: dict[str, list[float]] = {COPY: [], REUSE: []}
        for cell in result.cells:
            if cell.policy == policy and cell.workload in times and cell.size_kib > 4 and cell.samples:
                times[cell.workload].append(median(cell.samples))
        if times[COPY] and times[REUSE] and (copy := median(times[COPY])) > (reuse := median(times[REUSE])):
            where = f"{source}: {policy}, {COPY} and {REUSE}"
            found.append(Costs(copy_ns=copy, reuse_ns=reuse, source=where))
    return min(found, key=lambda costs: costs.reuse_ns, default=None)


def load_costs(path: str | os.PathLike[str]) -> Costs:
    """The costs in a result file of `foliolab compare` or `foliolab kernel bench`.

    Raises:
        ResultFileError: it cannot be read, or it has no such benchmark.
    """
    found = costs_of(Result.load(path), Path(path).name)
    if found is None:
        raise ResultFileError(
            f"{os.fspath(path)} has no times of {COPY} and {REUSE} for large folios by which a copy takes longer",
            f"measure them: `foliolab compare --workloads {COPY},{REUSE} --json FILE`",
        )
    return found


def measured_costs(policy: str, plugins: Sequence[str], progress: Progress) -> Costs | None:
    """The model's raw costs under a policy, measured now; None if that fails."""
    from foliolab.framework.plugins.registry import load
    from foliolab.framework.run.request import build
    from foliolab.framework.run.supervise import compare_run

    request = build(
        load(plugins), policies=(policy,), workloads=(COPY, REUSE), sizes=(ORDER,), memory=MEMORY, repeats=REPEATS,
        execution="native", alone=True,
    )  # fmt: skip
    return costs_of(compare_run(request, progress), "the model's raw times on this host (no fault entry and exit)")
