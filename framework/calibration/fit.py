"""The fit of the rest (kernel minus model) over the folio sizes by a constant per page and a constant per folio.

For each operation and size, `rest = median(kernel) − median(model)` in nanoseconds per page, where the model runs the
policy of this kernel. Medians are robust against disturbed rounds. Over the sizes of large folios, weighted least
squares give `rest = a + b / pages of a folio`. The weight of a size is the inverse square of its error. The error is
the standard deviation over resampled rounds, but at least FLOOR of the kernel's time: otherwise a size with a small
deviation by chance would determine the fit.

Not fitted are sizes with fewer than MIN_ROUNDS rounds or with half of them flagged, and folios of one page. The latter
take other paths in the kernel (per-CPU lists, no compound page, no slots), so their rest is measured and not
interpolated.

Published figures are not used: the arguments are two results of measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foliolab.framework.calibration.file import (
    ONLY_SIZE,
    PAGE_KIB,
    CalibratedOperation,
    Calibration,
    Constants,
    Measurement,
    Point,
    column_of,
)
from foliolab.framework.errors import UsageError
from foliolab.framework.kernel.bench import COPIES, COPYING, KIND
from foliolab.framework.results import statistics
from foliolab.framework.results.provenance import now
from foliolab.framework.results.result import Cell, Result

FLOOR: Final = 0.01
MIN_ROUNDS: Final = 3
COPIES_LIMIT: Final = 0.5
"""Copied pages per page from which on a benchmark counts as copying."""

Draws = NDArray[np.float64]


def calibrate(
    bench: Result, model: Result, policy: str, parameters: Mapping[str, int], reuses: bool, seed: int = 1
) -> Calibration:
    """Compute the constants of every operation that both results have.

    Args:
        bench: result of `foliolab kernel bench`; its one policy is the kernel.
        model: result of `foliolab compare` on the same host.
        policy: the policy that models the kernel.
        parameters: all parameters of that policy.
        reuses: whether that policy may write to a large folio in place.
        seed: of the resampling; the same seed gives the same intervals.

    Raises:
        UsageError: the results are of different hosts or the wrong kinds, the policy is not in the model's
            result, or the results have no operation and size in common.
    """
    _comparable(bench, model)
    column = column_of(model, policy, parameters)
    if not column:
        raise UsageError(
            f"the model's result does not have {policy}, the policy of this kernel",
            f"it has {', '.join(model.config.policies)}; measure with `foliolab compare --policies {policy},…`",
        )
    kernel = bench.config.policies[0]
    model_cells = {cell.key: cell for cell in model.cells}
    kernel_cells = {cell.key: cell for cell in bench.cells}
    operations, left_out = [], {}
    for number, name in enumerate(dict.fromkeys([*bench.config.workloads, *model.config.workloads])):
        sizes = [size for size in dict.fromkeys(bench.config.sizes) if (name, size, kernel) in kernel_cells]
        pairs = [(size, kernel_cells[name, size, kernel], model_cells.get((name, size, column))) for size in sizes]
        found = _operation(name, pairs, reuses, np.random.default_rng([seed, number]))
        if found.points:
            operations.append(found)
        else:
            left_out[name] = _why_not(name, bench, model)
    if not operations:
        raise UsageError(
            "the two results have no operation and folio size in common that both measured",
            "measure the same sizes with `foliolab kernel bench` and `foliolab compare`",
        )
    return Calibration(
        made=now(),
        policy=column,
        parameters=dict(parameters),
        reuses=reuses,
        machine=bench.machine,
        kernel=bench.kernel,
        bench=_measurement(bench),
        model=_measurement(model),
        seed=seed,
        operations=operations,
        left_out=left_out,
    )


def _comparable(bench: Result, model: Result) -> None:
    if bench.kind != KIND:
        raise UsageError(f"the first result is of kind {bench.kind}, not {KIND}", "give BENCH.json, then MODEL.json")
    if model.kind != "compare":
        raise UsageError(f"the second result is of kind {model.kind}, not compare", "give BENCH.json, then MODEL.json")
    if bench.machine.cpu != model.machine.cpu:
        raise UsageError(
            f"the kernel was measured on {bench.machine.cpu}, the model on {model.machine.cpu}",
            "times of two hosts cannot be subtracted: measure both on one",
        )


def _why_not(name: str, bench: Result, model: Result) -> str:
    if name not in bench.config.workloads:
        return "not measured on the kernel"
    if name not in model.config.workloads:
        return "not measured in the model"
    reasons = [cell.reason for cell in (*bench.cells, *model.cells) if cell.workload == name and cell.reason]
    return reasons[0] if reasons else "no size was measured in both"


def _measurement(result: Result) -> Measurement:
    return Measurement(started=result.started, memory=result.config.memory, command=result.command, git=result.git)


def _operation(
    name: str, pairs: Iterable[tuple[int, Cell, Cell | None]], reuses: bool, random: Generator
) -> CalibratedOperation:
    """Fit one operation to the kernel's and the model's cells of each size."""
    both = [(size, kernel, model) for size, kernel, model in pairs if kernel.samples and model and model.samples]
    widest = [max((len(cell.samples) for cell in cells), default=0) for cells in list(zip(*both, strict=True))[1:]]
    # The same rounds are drawn for all sizes, since a disturbance affects all sizes of a round.
    rounds = [random.random((statistics.RESAMPLES, width)) for width in widest]
    points: list[Point] = []
    draws: list[Draws] = []
    for size, kernel, model in both:
        drawn = _medians(kernel.samples, rounds[0]) - _medians(model.samples, rounds[1])
        reason = _not_fitted(kernel, model, reuses)
        points.append(
            Point(
                size_kib=size,
                kernel=float(np.median(kernel.samples)),
                model=float(np.median(model.samples)),
                kernel_rounds=len(kernel.samples),
                model_rounds=len(model.samples),
                sd=float(drawn.std(ddof=1)),
                fitted=not reason,
                reason=reason,
            )
        )
        draws.append(drawn)
    return _fitted(CalibratedOperation(name=name, points=points), draws)


def _not_fitted(kernel: Cell, model: Cell, reuses: bool) -> str:
    """Why the constants are not fitted to a size; empty if they are."""
    copied = kernel.counted.get(COPIES)
    if kernel.size_kib <= PAGE_KIB:
        return "small folios take other paths"
    if copied is not None and kernel.workload in COPYING and (copied < COPIES_LIMIT) != reuses:
        return f"the kernel copied {copied:.2f} pages per page, and its policy {'reuses' if reuses else 'copies'}"
    if min(len(kernel.samples), len(model.samples)) < MIN_ROUNDS:
        return f"fewer than {MIN_ROUNDS} rounds"
    if any(2 * len(cell.flagged) >= len(cell.samples) for cell in (kernel, model)):
        return "half of the rounds are flagged"
    return ""


def _medians(samples: Sequence[float], rounds: Draws) -> Draws:
    """The median of each draw of rounds with replacement."""
    values = np.asarray(samples, np.float64)
    chosen = (rounds[:, : values.size] * values.size).astype(np.intp)
    return statistics.medians(values, chosen)


def _fitted(operation: CalibratedOperation, draws: Sequence[Draws]) -> CalibratedOperation:
    """Add constants and residuals to an operation, if at least two sizes can be fitted."""
    chosen = [index for index, point in enumerate(operation.points) if point.fitted]
    if len(chosen) < 2:
        points = [msgspec.structs.replace(p, fitted=False, reason=p.reason or ONLY_SIZE) for p in operation.points]
        return msgspec.structs.replace(operation, points=points)
    solve = _solver([operation.points[index] for index in chosen])
    rest = np.array([operation.points[index].rest for index in chosen])
    per_page, per_folio = (float(value) for value in solve @ rest)
    drawn = np.stack([draws[index] for index in chosen], axis=1) @ solve.T
    (low, low_folio), (high, high_folio) = statistics.interval(drawn)
    spread = np.cov(drawn.T)
    constants = Constants(
        per_page=per_page,
        per_page_interval=(float(low), float(high)),
        per_folio=per_folio,
        per_folio_interval=(float(low_folio), float(high_folio)),
        covariance=(float(spread[0, 0]), float(spread[0, 1]), float(spread[1, 1])),
    )
    points = [msgspec.structs.replace(p, residual=p.rest - constants.at(p.pages)) for p in operation.points]
    return msgspec.structs.replace(operation, constants=constants, points=points)


def _solver(points: Sequence[Point]) -> Draws:
    """The matrix of weighted least squares, shape (2, points): times the rests, it gives the two constants."""
    design = np.array([[1.0, 1.0 / point.pages] for point in points])
    weights = 1 / np.array([np.hypot(point.sd, FLOOR * point.kernel) for point in points])
    return np.asarray(np.linalg.pinv(design * weights[:, None]) * weights)
