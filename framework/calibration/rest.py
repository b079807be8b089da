"""The kernel's time without the modelled work, for one policy and folio size, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.calibration.file import ONLY_SIZE, PAGE_KIB, CalibratedOperation, Calibration
from foliolab.framework.kernel.bench import COPYING

DRAWS: Final = 2000


@dataclass(frozen=True)
class Rest:
    """The kernel's time without the modelled work.

    Args:
        operation: the calibrated operation. It differs from the workload if the policy copies where the kernel reuses.
        value: nanoseconds per page.
        draws: random values, shape (DRAWS,), with the distribution of the uncertainty: constants drawn from their
            covariance plus the fit's residual with a random sign; or the measured rest with the error of its medians.
        measured: the value is from the measurement at this size and not from the constants.
    """

    operation: str
    value: float
    draws: NDArray[np.float64]
    measured: bool = False


@dataclass(frozen=True)
class Unknown:
    """The reason why a rest is not known."""

    reason: str


def rest_of(calibration: Calibration, workload: str, size_kib: int, reuses: bool, seed: int = 1) -> Rest | Unknown:
    """The rest of the kernel under a workload at a folio size.

    Args:
        calibration: of the kernel.
        workload: its name.
        size_kib: the folio size.
        reuses: whether the policy may write to a large folio in place. The only owner of a small folio always does.
        seed: of the draws. All policies of a comparison use the same seed, so that the common rest does not vary.
    """
    name = workload
    if size_kib > PAGE_KIB and workload in COPYING and reuses != calibration.reuses:
        if reuses:
            return Unknown("it reuses here, the calibrated kernel copies")
        name = COPYING[workload]
    operation = calibration.operation(name)
    if operation is None:
        why = calibration.left_out.get(name, "not calibrated")
        return Unknown(why if name == workload else f"it copies here, and {name}: {why}")
    return _at(operation, size_kib, seed)


def _at(operation: CalibratedOperation, size_kib: int, seed: int) -> Rest | Unknown:
    random = np.random.default_rng([seed, crc32(operation.name.encode()), size_kib])
    constants, point = operation.constants, operation.point(size_kib)
    if point is not None and (point.reason == ONLY_SIZE or size_kib <= PAGE_KIB):
        return Rest(operation.name, point.rest, random.normal(point.rest, point.sd, DRAWS), measured=True)
    if point is not None and constants is None:
        return Unknown(f"{operation.name}: {point.reason}")
    fitted = [point for point in operation.points if point.fitted]
    sizes = [point.size_kib for point in fitted]
    if constants is None or not min(sizes) <= size_kib <= max(sizes):
        return Unknown(f"{operation.name} is not calibrated at this size")
    # The error between measured sizes is assumed to be as large as the largest residual.
    residuals = [abs(known.residual or 0.0) for known in ([point] if point else fitted)]
    pages = size_kib // PAGE_KIB
    per_page, both, per_folio = constants.covariance
    sd = np.sqrt(max(per_page + 2 * both / pages + per_folio / pages**2, 0.0))
    value = constants.at(pages)
    draws = random.normal(value, sd, DRAWS) + random.choice([-1.0, 1.0], DRAWS) * max(residuals)
    return Rest(operation.name, value, draws)
