"""The calibration file: the constants of one kernel on one host, with the measurements that they are from.

The rest is the kernel's time without the modelled work: kernel minus model, in nanoseconds per page. The file is one
JSON object, a `Calibration` with its fields as keys. Unknown keys are refused; `schema` increases with every change
that an older FolioLab would misread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework import intake
from foliolab.framework.document import Count, Document, Finite, Number, Positive, SizeKib, Spread
from foliolab.framework.errors import UsageError
from foliolab.framework.host import HostInfo
from foliolab.framework.results.result import Result

PAGE_KIB: Final = 4
ONLY_SIZE: Final = "the only size of large folios"
"""The reason why a good measurement is not fitted if there is no second one."""


class Point(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The measurement of one operation at one folio size; times are nanoseconds per page.

    Attributes:
        size_kib: the folio size.
        kernel: the median of the kernel's rounds.
        model: the median of the rounds of the policy that models this kernel.
        kernel_rounds, model_rounds: number of rounds.
        sd: standard deviation of `rest`, from resampled rounds.
        fitted: whether the constants were fitted to this point.
        residual: `rest` minus the rest by the constants; None if there are no constants.
        reason: why the point was not fitted; empty if it was.
    """

    size_kib: SizeKib
    kernel: Positive
    model: Positive
    kernel_rounds: Count
    model_rounds: Count
    sd: Spread
    fitted: bool = False
    residual: Finite | None = None
    reason: str = ""

    @property
    def pages(self) -> int:
        """The number of pages of a folio."""
        return self.size_kib // PAGE_KIB

    @property
    def rest(self) -> float:
        return self.kernel - self.model


class Constants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rest as `per_page + per_folio / pages of a folio`, nanoseconds per page.

    Attributes:
        per_page: nanoseconds per page, and its 95 % interval over the rounds.
        per_folio: nanoseconds per folio, and its 95 % interval over the rounds.
        covariance: of the two over resampled rounds: of per_page, of both, of per_folio.
    """

    per_page: Finite
    per_page_interval: tuple[Finite, Finite]
    per_folio: Finite
    per_folio_interval: tuple[Finite, Finite]
    covariance: tuple[Spread, Finite, Spread]

    def at(self, pages: int) -> float:
        """The rest for folios of a number of pages, in nanoseconds per page."""
        return self.per_page + self.per_folio / pages


class CalibratedOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation of the kernel that the model also has.

    Attributes:
        name: of the benchmark and of the workload.
        points: in the order of the measured sizes.
        constants: None if fewer than two sizes of large folios can be fitted.
    """

    name: str
    points: list[Point]
    constants: Constants | None = None

    def point(self, size_kib: int) -> Point | None:
        return next((point for point in self.points if point.size_kib == size_kib), None)


class Measurement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The origin of one of the two results that a calibration is computed from.

    Attributes:
        started: time of the measurement.
        memory: size of the measured memory in bytes.
        command: the command line that repeats it.
        git: the commit of the checkout.
    """

    started: str
    memory: Count
    command: str
    git: str


class Calibration(Document, frozen=True, kw_only=True, tag_field="file", tag=True):
    """The constants of one kernel on one host.

    Attributes:
        made: time of the computation.
        policy: the policy that models the kernel, as the model's result writes it.
        parameters: all parameters of that policy.
        reuses: whether that policy may write to a large folio in place.
        machine: the host of both results.
        kernel: release and version of the kernel.
        bench, model: origins of the two results.
        seed: of the resampling.
        operations: in the order of the benchmarks.
        left_out: for each operation without constants the reason.
    """

    WHAT = "calibration"
    MADE_BY = "foliolab kernel calibrate"

    made: str
    policy: str
    parameters: dict[str, Number]
    reuses: bool
    machine: HostInfo
    kernel: str
    bench: Measurement
    model: Measurement
    seed: Count
    operations: list[CalibratedOperation]
    left_out: dict[str, str] = msgspec.field(default_factory=dict)

    def check(self) -> None:
        """Refuse constants that no point was fitted for.

        Raises:
            UsageError: names the operation.
        """
        for one in self.operations:
            if one.constants is not None and not any(point.fitted for point in one.points):
                raise UsageError(f"{intake.excerpt(one.name)} has constants without a point", "calibrate again")

    def operation(self, name: str) -> CalibratedOperation | None:
        return next((operation for operation in self.operations if operation.name == name), None)


def default_path(kernel: str) -> Path:
    """The path of a kernel's stored calibration: one file per release, in $FOLIOLAB_DATA or the user's data folder.

    Args:
        kernel: release and version, as in results.
    """
    chosen = os.environ.get("FOLIOLAB_DATA")
    if chosen:
        folder = Path(chosen)
    else:
        import platformdirs

        folder = Path(platformdirs.user_data_dir("foliolab", appauthor=False))
    release = re.sub(r"[^\w.+-]", "_", kernel.partition(" ")[0]) or "unknown"
    return folder / "calibration" / f"{release}.json"


def differs(calibration: Calibration, host: HostInfo, kernel: str) -> str:
    """Why a calibration does not apply to a host and kernel; empty if it does."""
    if calibration.machine.cpu != host.cpu:
        return f"it was made on {calibration.machine.cpu}, this is {host.cpu}"
    if calibration.kernel != kernel:
        return f"it was made under Linux {calibration.kernel}, this is {kernel}"
    return ""


def column_of(result: Result, policy: str, parameters: Mapping[str, int]) -> str:
    """The text by which a result names a policy; empty if the result does not have it.

    Args:
        result: of a comparison.
        policy: its name, or as a user writes it.
        parameters: all its parameters.
    """
    known = result.config.policy_parameters
    for written in result.config.policies:
        if written.partition(":")[0] == policy.partition(":")[0] and known.get(written, {}) == parameters:
            return written
    return ""
