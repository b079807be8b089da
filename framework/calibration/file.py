"""The calibration file: the constants of the unmodelled rest of one kernel on one machine, and how they came about.

One JSON object, the `Calibration` below with its fields as keys. Unknown keys are refused, as in a result file;
`schema` grows with every change that an older FolioLab would misread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework.document import Document
from foliolab.framework.host import HostInfo
from foliolab.framework.results.result import Result

PAGE_KIB: Final = 4


ONLY_SIZE: Final = "the only size of large folios"
"""Why a good measurement is not fitted: it is the only one."""


class Point(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation at one folio size; all times are nanoseconds per page.

    Attributes:
        size_kib: the folio size.
        kernel: the median of the kernel's rounds.
        model: the median of the rounds of the policy that models this kernel.
        kernel_rounds, model_rounds: how many.
        sd: standard deviation of `rest`, from resampled rounds.
        fitted: whether the constants were fitted to this point.
        residual: what the kernel takes more than model and constants say; None where there are no constants.
        reason: why it was not fitted; empty where it was.
    """

    size_kib: int
    kernel: float
    model: float
    kernel_rounds: int
    model_rounds: int
    sd: float
    fitted: bool = False
    residual: float | None = None
    reason: str = ""

    @property
    def pages(self) -> int:
        """Pages of a folio."""
        return self.size_kib // PAGE_KIB

    @property
    def rest(self) -> float:
        """What the kernel takes besides the modelled work."""
        return self.kernel - self.model


class Constants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rest as `per_page + per_folio / pages of a folio`, nanoseconds per page.

    Attributes:
        per_page: nanoseconds per page, and its 95 % interval over the rounds.
        per_folio: nanoseconds per folio, and its 95 % interval over the rounds.
        covariance: of the two over resampled rounds: of per_page, of both, of per_folio.
    """

    per_page: float
    per_page_interval: tuple[float, float]
    per_folio: float
    per_folio_interval: tuple[float, float]
    covariance: tuple[float, float, float]

    def at(self, pages: int) -> float:
        """The rest for folios of so many pages, nanoseconds per page."""
        return self.per_page + self.per_folio / pages


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation of the kernel that the model has too.

    Attributes:
        name: of the benchmark and of the workload.
        points: by size.
        constants: None where fewer than two sizes of large folios were measured.
    """

    name: str
    points: list[Point]
    constants: Constants | None = None

    def point(self, size_kib: int) -> Point | None:
        """What was measured at a size."""
        return next((point for point in self.points if point.size_kib == size_kib), None)


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the two results that a calibration is made from.

    Attributes:
        started: when it was measured.
        memory: bytes that it worked on.
        command: what repeats it.
        git: the checkout's commit.
    """

    started: str
    memory: int
    command: str
    git: str


class Calibration(Document, frozen=True, kw_only=True, tag_field="file", tag=True):
    """The rest of one kernel on one machine.

    Attributes:
        made: when it was computed.
        policy: which policy models the kernel, as the model's result writes it.
        parameters: all its parameters.
        reuses: whether that policy may write to a large folio in place.
        machine: where both results were measured.
        kernel: its release and version.
        bench, model: the two results.
        seed: of the resampling.
        operations: in the order of the benchmarks.
        left_out: operations that are in one of the results only, or not at all comparable, and why.
    """

    WHAT = "calibration"
    MADE_BY = "foliolab kernel calibrate"

    made: str
    policy: str
    parameters: dict[str, int]
    reuses: bool
    machine: HostInfo
    kernel: str
    bench: Source
    model: Source
    seed: int
    operations: list[Operation]
    left_out: dict[str, str] = msgspec.field(default_factory=dict)

    def operation(self, name: str) -> Operation | None:
        """The operation of that name."""
        return next((one for one in self.operations if one.name == name), None)


def default_path(kernel: str) -> Path:
    """Where the calibration of a kernel is kept: one file a release, in $FOLIOLAB_DATA or the user's data folder.

    Args:
        kernel: release and version, as results name it.
    """
    chosen = os.environ.get("FOLIOLAB_DATA")
    if chosen:
        folder = Path(chosen)
    else:
        import platformdirs

        folder = Path(platformdirs.user_data_dir("foliolab", appauthor=False))
    release = re.sub(r"[^\w.+-]", "_", kernel.partition(" ")[0]) or "unknown"
    return folder / "calibration" / f"{release}.json"


def differs(calibration: Calibration, machine: HostInfo, kernel: str) -> str:
    """Why a calibration is not about this machine and kernel; empty where it is."""
    if calibration.machine.cpu != machine.cpu:
        return f"it was made on {calibration.machine.cpu}, this is {machine.cpu}"
    if calibration.kernel != kernel:
        return f"it was made under Linux {calibration.kernel}, this is {kernel}"
    return ""


def column_of(result: Result, policy: str, parameters: Mapping[str, int]) -> str:
    """A policy as a result writes it; empty where the result does not have it.

    Args:
        result: of a comparison.
        policy: by its name or as a user writes it.
        parameters: all its parameters.
    """
    known = result.config.policy_parameters
    for written in result.config.policies:
        if written.partition(":")[0] == policy.partition(":")[0] and known.get(written, {}) == parameters:
            return written
    return ""
