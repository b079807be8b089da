"""What a copy and a reuse cost: from a result file, or measured with the model on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from foliolab.framework.errors import ResultFileError
from foliolab.framework.replay.result import Costs
from foliolab.framework.replay.survey import Progress
from foliolab.framework.results import result as results

COPY: Final = "cow-byte"
REUSE: Final = "reuse-byte"
"""The benchmarks whose time is that of a copy, and of a reuse, of each page (specification 6.1)."""
ORDER: Final = 4
MEMORY: Final = 64 << 20
REPEATS: Final = 5


def costs_of(result: results.Result, source: str) -> Costs | None:
    """The costs that a result has, from the policy (or kernel) of it whose reuse is the cheapest; None without any.

    Large folios only: at 4 KiB no scheme takes part.
    """
    found: list[Costs] = []
    for policy in result.config.policies:
        times: dict[str, list[float]] = {COPY: [], REUSE: []}
        for cell in result.cells:
            if cell.policy == policy and cell.workload in times and cell.size_kib > 4 and cell.samples:
                times[cell.workload].append(median(cell.samples))
        if times[COPY] and times[REUSE]:
            where = f"{source}: {policy}, {COPY} and {REUSE}"
            found.append(Costs(copy_ns=median(times[COPY]), reuse_ns=median(times[REUSE]), source=where))
    return min(found, key=lambda costs: costs.reuse_ns, default=None)


def load_costs(path: str | os.PathLike[str]) -> Costs:
    """The costs in a result file of `foliolab compare` or `foliolab kernel bench`.

    Raises:
        ResultFileError: it cannot be read, or it has no such benchmark.
    """
    found = costs_of(results.load(path), Path(path).name)
    if found is None:
        raise ResultFileError(
            f"{os.fspath(path)} has no times of {COPY} and {REUSE} for large folios",
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
    return costs_of(compare_run(request, progress), "the model's raw times on this machine (no fault entry and exit)")
