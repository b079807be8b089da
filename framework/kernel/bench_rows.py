"""The rows of a kernel bench: medians and spreads of the running kernel, with modelled times and published figures.

Modelled times do not contain the kernel's other work (entry and exit of the fault, VMAs, TLB flushes, memcg).
Published figures of the policy that models this kernel are changes relative to a kernel that does not run on this host.
So they are shown in the row, and not compared with its times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import UsageError
from foliolab.framework.kernel.bench import COPIES, COPYING, POLICY, SMALL_KIB
from foliolab.framework.plugins.published import Published, Resolve, identity
from foliolab.framework.results import statistics
from foliolab.framework.results.result import Cell, Result

QUARTILES: Final = (0.25, 0.75)


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """One benchmark at one folio size.

    Args:
        workload, size_kib: the benchmark and the size.
        policy: the name of the kernel in the result.
        ns_per_page: the median; None if not measured, as with the following figures.
        least: the smallest sample.
        spread: the interquartile range as a share of the median.
        rounds, flagged: number of samples, and of suspect ones.
        against_small: the median as a multiple of the same benchmark's median at 4 KiB.
        against_copy: the median as a multiple of the median of the benchmark in `bench.COPYING` at this size, which
            does the work of a kernel that copies.
        copies: copied pages per page.
        model_ns_per_page: the median of the model.
        published: figures of the policy that models this kernel.
        reason: why the benchmark was not measured.
        skipped: the benchmark does not apply to the size, or cannot run on this host.
    """

    workload: str
    size_kib: int
    policy: str = POLICY
    ns_per_page: float | None = None
    least: float | None = None
    spread: float | None = None
    rounds: int = 0
    flagged: int = 0
    against_small: float | None = None
    against_copy: float | None = None
    copies: float | None = None
    model_ns_per_page: float | None = None
    published: tuple[Published, ...] = ()
    reason: str = ""
    skipped: bool = False


def rows(
    result: Result,
    scheme: Scheme | None = None,
    model: Result | None = None,
    published: Sequence[Published] = (),
    resolve: Resolve | None = None,
) -> list[BenchRow]:
    """Make a row for every requested benchmark and size, in that order.

    Args:
        result: of a kernel bench.
        scheme: the policy that models this kernel; None if there is none.
        model: the result of a comparison in the model.
        published: published figures of all policies.
        resolve: maps a policy as a user writes it to all its parameters (see `comparison.compare`).

    Raises:
        UsageError: the model's result does not have the policy.
    """
    cells = {(cell.workload, cell.size_kib): cell for cell in result.cells}
    modelled = model_cells(scheme, model)
    figures = _figures(scheme, published, resolve)
    found = []
    for workload in result.config.workloads:
        small = _median(cells.get((workload, SMALL_KIB)))
        for size in result.config.sizes:
            cell = cells.get((workload, size))
            median = _median(cell)
            found.append(
                BenchRow(
                    workload=workload,
                    size_kib=size,
                    ns_per_page=median,
                    least=min(cell.samples) if cell and cell.samples else None,
                    spread=_spread(cell),
                    rounds=len(cell.samples) if cell else 0,
                    flagged=len(cell.flagged) if cell else 0,
                    against_small=_ratio(median, small),
                    against_copy=_ratio(median, _median(cells.get((COPYING.get(workload, ""), size)))),
                    copies=cell.counted.get(COPIES) if cell else None,
                    model_ns_per_page=_median(modelled.get((workload, size))),
                    published=tuple(f for f in figures if (f.workload, f.size_kib) == (workload, size)),
                    reason=cell.reason if cell else "the run did not get to it",
                    skipped=cell is not None and cell.status == "skipped",
                )
            )
    return found


def _median(cell: Cell | None) -> float | None:
    return statistics.median(cell.samples) if cell is not None and cell.samples else None


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value and other else None


def _spread(cell: Cell | None) -> float | None:
    if cell is None or not cell.samples:
        return None
    low, high = np.quantile(np.asarray(cell.samples), QUARTILES)
    return float(high - low) / statistics.median(cell.samples)


def model_cells(scheme: Scheme | None, model: Result | None) -> dict[tuple[str, int], Cell]:
    """The cells of the model's result for the policy that models this kernel, by workload and size.

    Raises:
        UsageError: no policy models this kernel, or the model's result does not have it.
    """
    if model is None:
        return {}
    if scheme is None:
        raise UsageError("no policy models this kernel, so there are no modelled times for it", "leave out --model")
    wanted = identity(scheme.name, dict(scheme.values))
    known = model.config.policy_parameters
    names = [name for name in model.config.policies if identity(name, known.get(name)) == wanted]
    if not names:
        raise UsageError(
            f"the model's result has no {scheme.name}, the policy that models this kernel",
            f"measure it: foliolab compare --policies {scheme.name},ANOTHER --json FILE",
        )
    return {(cell.workload, cell.size_kib): cell for cell in model.cells if cell.policy == names[0]}


def _figures(scheme: Scheme | None, published: Sequence[Published], resolve: Resolve | None) -> list[Published]:
    if scheme is None:
        return []
    wanted = identity(scheme.name, dict(scheme.values) if resolve else None)
    return [f for f in published if identity(f.policy, resolve(f.policy) if resolve else None) == wanted]
