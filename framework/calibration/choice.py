"""The choice of the calibration that a comparison predicts with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foliolab.framework import host
from foliolab.framework.calibration.file import Calibration, default_path, differs
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import FolioLabError, UsageError


def choose(path: Path | None, off: bool, execution: Execution, warn: Callable[[str], None]) -> Calibration | None:
    """Load the calibration of a file, or the stored one of this kernel; None if there is none that fits.

    Args:
        path: the file; None: the stored calibration.
        off: the user wants no prediction.
        execution: of the comparison; interpreted times are not predicted.
        warn: called with the reason if the stored calibration cannot be used.

    Raises:
        UsageError: a file is named although there is no prediction.
        ResultFileError: the file cannot be read.
    """
    if off or execution == "interpreted":
        if path is not None:
            why = "--no-calibration is given" if off else "interpreted times mean nothing"
            raise UsageError(f"{path} cannot be predicted with: {why}", "leave out --calibration")
        return None
    if path is not None:
        return Calibration.load(path)
    kernel = host.kernel()
    stored = default_path(kernel)
    if not stored.is_file():
        return None
    try:
        found = Calibration.load(stored)
        why = differs(found, host.describe_host(), kernel)
    except FolioLabError as fault:
        why = fault.what
    if why:
        warn(f"the calibration {stored} is not used: {why}")
    return None if why else found
