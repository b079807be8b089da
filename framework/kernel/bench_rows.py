"""The rows of a kernel bench: medians and spreads of the running kernel, beside the model's and published figures.

The model's times are raw: what the kernel does besides (the fault's entry and exit, VMAs, TLB flushes, memcg) is
not in them. Published figures of the policy that models this kernel are changes against a kernel that does not
run here, so they stand beside, and are compared with nothing.
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
class Row:
    """One benchmark at one folio size.

    Args:
        workload, size_kib: which.
        ns_per_page: the median; None where not measured, as with all figures that follow.
        least: the smallest sample.
        spread: the distance of the quartiles, as a share of the median.
        rounds, flagged: samples, and how many of them are suspect.
        against_small: the median as a multiple of the same benchmark's at 4 KiB.
        against_copy: the median as a multiple of the benchmark that copies where this one reuses, at this size:
            what a kernel without reuse of large folios would take, as far as this kernel can tell.
        copies: pages copied, per page.
        model_ns_per_page: the median of the model.
        published: figures of the policy that models this kernel.
        reason: why it was not measured.
        skipped: it was not measured because it does not apply, or cannot be here.
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
) -> list[Row]:
    """A row for every benchmark and size that was asked for, in that order.

    Args:
        result: a kernel bench.
        scheme: the policy that models this kernel; None where there is none.
        model: a comparison in the model.
        published: figures to put beside.
        resolve: all parameters of a policy as a user writes it (see `compare.compare`).

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
                Row(
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
    """The model's cells of the policy that models this kernel, by workload and size; none where there is no model.

    Raises:
        UsageError: no policy models this kernel, or the model's result does not have it.
    """
    if model is None:
        return {}
    if scheme is None:
        raise UsageError("no policy models this kernel, so no modelled times stand beside its own", "leave out --model")
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
