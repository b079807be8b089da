"""Scenario files of the disagreements that a check found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.kernel.check import Disagreement


def save(disagreements: Sequence[Disagreement], folder: Path) -> None:
    """Write each disagreement into a folder, as a scenario file by the name of its smallest scenario.

    Raises:
        UsageError: the folder cannot be made.
    """
    from foliolab.framework.document import write_atomically
    from foliolab.framework.report import kernelcheck

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UsageError(f"{folder} cannot be made: {fault.strerror}", "choose another folder") from fault
    for one in disagreements:
        write_atomically(folder / f"{one.minimal.name}.scenario", kernelcheck.text_of(one).encode())
