"""Remarks on the reliability of an operation's constants."""

from __future__ import annotations

from typing import Final

from foliolab.framework.calibration.file import ONLY_SIZE, CalibratedOperation, Constants

MISFIT: Final = 0.10
"""A remark is made on a residual above this share of the kernel's time."""

VAGUE: Final = 0.5
"""A remark is made on a constant whose interval extends further than this share of it to one side."""


def remarks(operation: CalibratedOperation) -> list[str]:
    """Remarks on missing or uncertain constants, and on sizes that they do not fit."""
    constants = operation.constants
    if constants is None:
        if any(point.reason == ONLY_SIZE for point in operation.points):
            return ["one size of large folios: two constants cannot be told apart; the rest is as measured there"]
        return ["no two sizes of large folios can be fitted: there are no constants"]
    found = [
        *_constant("a", "per page", constants.per_page, constants.per_page_interval),
        *_constant("b", "per folio", constants.per_folio, constants.per_folio_interval),
        *_misfit(operation, constants),
    ]
    if sum(point.fitted for point in operation.points) == 2:
        found.append("two sizes: two constants fit them always, so the residuals say nothing")
    return found


def _constant(name: str, meaning: str, value: float, interval: tuple[float, float]) -> list[str]:
    low, high = interval
    if high < 0:
        return [f"{name} is negative: {meaning} the model takes longer than the kernel"]
    if low <= 0:
        sign = "negative and " if value < 0 else ""
        return [f"{name} is {sign}not distinguishable from 0"]
    if max(high - value, value - low) > VAGUE * value:
        return [f"{name} is badly determined: its interval reaches beyond ±{VAGUE * 100:g} % of it"]
    return []


def _misfit(operation: CalibratedOperation, constants: Constants) -> list[str]:
    fitted = [(point, point.rest - constants.at(point.pages)) for point in operation.points if point.fitted]
    off = [(point, residual) for point, residual in fitted if abs(residual) > MISFIT * point.kernel]
    if not off:
        return []
    point, residual = max(off, key=lambda pair: abs(pair[1]) / pair[0].kernel)
    return [
        f"two constants do not describe it at {len(off)} of {len(fitted)} sizes: off by more than {MISFIT * 100:g} % "
        f"of the kernel's time, by {abs(residual) / point.kernel * 100:.0f} % at {point.size_kib} KiB"
    ]
