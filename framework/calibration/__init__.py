"""Calibration: the time of the kernel's work that is not modelled, as two measured constants per operation."""

from foliolab.framework.calibration.file import (
    CalibratedOperation,
    Calibration,
    Point,
    column_of,
    default_path,
    differs,
)
from foliolab.framework.calibration.fit import calibrate
from foliolab.framework.calibration.remarks import remarks
from foliolab.framework.calibration.rest import Rest, Unknown, rest_of

__all__ = [
    "CalibratedOperation",
    "Calibration",
    "Point",
    "Rest",
    "Unknown",
    "calibrate",
    "column_of",
    "default_path",
    "differs",
    "remarks",
    "rest_of",
]  # fmt: skip
