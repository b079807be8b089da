"""Result files of any kind that reports and comparisons take."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from foliolab.framework import intake
from foliolab.framework.consequences.result import ConsequencesResult
from foliolab.framework.errors import ResultFileError
from foliolab.framework.kernel.counting.result import CountsResult
from foliolab.framework.partial.result import PartialResult
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.replay.result import ReplayResult
from foliolab.framework.results.result import Result

PolicyResult = Result | PrecisionResult | ConsequencesResult | ReplayResult
"""What was found out about policies."""
AnyResult = PolicyResult | PartialResult | CountsResult
OF_POLICIES: Final[dict[str, type[PolicyResult]]] = {
    "compare": Result,
    "precision": PrecisionResult,
    "consequences": ConsequencesResult,
    "replay-trace": ReplayResult,
}
KINDS: Final[dict[str, type[AnyResult]]] = {**OF_POLICIES, "partial": PartialResult, "kernel-counts": CountsResult}
HINT: Final = (
    "`foliolab compare`, `precision`, `consequences`, `replay`, `partial` and `kernel count` write results with "
    "--json FILE"
)


WHAT: Final = "result file"


class _Kind(msgspec.Struct):
    kind: str = ""


def kind_of(path: str | os.PathLike[str]) -> str:
    """The kind of result that a file holds, out of KINDS; empty for another file or one that cannot be read."""
    try:
        return _kind(intake.read(path, WHAT))
    except ResultFileError:
        return ""


def _kind(data: bytes) -> str:
    try:
        found = msgspec.json.decode(data, type=_Kind).kind
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return found if found in KINDS else ""


def load(path: str | os.PathLike[str]) -> AnyResult:
    """Read a result file of any kind.

    Raises:
        ResultFileError: there is none, it cannot be read, or it is no result.
    """
    data = intake.read(path, WHAT, HINT)
    kind = _kind(data)
    if not kind:
        raise ResultFileError(f"{os.fspath(path)} holds no result that can be compared", HINT)
    return KINDS[kind].decode(data, os.fspath(path))


def load_of_policies(path: str | os.PathLike[str]) -> PolicyResult:
    """Read a result file that is about policies.

    Raises:
        ResultFileError: as `load`; or the file has counts of kernels, or detectors.
    """
    result = load(path)
    if isinstance(result, PartialResult | CountsResult):
        what = "counts of kernels" if isinstance(result, CountsResult) else "detectors of partially mapped folios"
        raise ResultFileError(
            f"{os.fspath(path)} has {what}, and says nothing of policies",
            f"foliolab report {os.fspath(path)}",
        )
    return result
