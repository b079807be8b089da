"""Times of a result with the rest of the kernel, which the calibration of this host gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.calibration.prediction import Forecast
    from foliolab.framework.results.comparison import Row
    from foliolab.framework.results.result import Result
    from foliolab.gui.window.library import Library


def forecasts(result: Result, rows: Sequence[Row], library: Library) -> Mapping[tuple[str, int, str], Forecast]:
    """Predict the times by workload, size in KiB and policy.

    Raises:
        FolioLabError: this kernel is not calibrated, or its calibration cannot be read or does not fit.
    """
    from foliolab.framework import calibration, host
    from foliolab.framework.calibration import prediction

    path = calibration.default_path(host.kernel())
    if not path.is_file():
        raise UsageError("this kernel is not calibrated", "run foliolab kernel calibrate as root first")
    predicted = prediction.predict(
        result, rows, calibration.Calibration.load(path), lambda policy: "reuse" in library.scheme(policy).capabilities
    )
    return predicted.forecasts
