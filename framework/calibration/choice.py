"""Which calibration a comparison predicts with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foliolab.framework import host
from foliolab.framework.calibration.file import Calibration, default_path, differs
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import FolioLabError, UsageError


def choose(path: Path | None, off: bool, execution: Execution, warn: Callable[[str], None]) -> Calibration | None:
    """The calibration of a file, or the one that is stored for this kernel if it fits; None without one.

    Args:
        path: the file; None for the stored one.
        off: whether the user wants no prediction.
        execution: of the comparison; interpreted times cannot be predicted with.
        warn: called with the reason if there is a stored calibration that cannot be used.

    Raises:
        UsageError: a file is named, and there can be no prediction.
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
