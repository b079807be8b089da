"""Result files of any kind that reports and comparisons take."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from foliolab.framework import intake
from foliolab.framework.consequences.result import ConsequencesResult
from foliolab.framework.errors import ResultFileError
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.replay.result import ReplayResult
from foliolab.framework.results.result import Result

AnyResult = Result | PrecisionResult | ConsequencesResult | ReplayResult
KINDS: Final[dict[str, type[AnyResult]]] = {
    "compare": Result,
    "precision": PrecisionResult,
    "consequences": ConsequencesResult,
    "replay-trace": ReplayResult,
}


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
    hint = "`foliolab compare`, `precision`, `consequences` and `replay` write results with --json FILE"
    data = intake.read(path, WHAT, hint)
    kind = _kind(data)
    if not kind:
        raise ResultFileError(f"{os.fspath(path)} holds no result that can be compared", hint)
    return KINDS[kind].decode(data, os.fspath(path))
