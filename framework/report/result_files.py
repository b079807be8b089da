"""Result files of any kind that reports and comparisons take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework.consequences.result import ConsequencesResult
from foliolab.framework.errors import ResultFileError, UsageError
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.results.result import Result

AnyResult = Result | PrecisionResult | ConsequencesResult
KINDS: Final[dict[str, type[AnyResult]]] = {
    "compare": Result,
    "precision": PrecisionResult,
    "consequences": ConsequencesResult,
}


class _Kind(msgspec.Struct):
    kind: str = ""


def kind_of(path: str | os.PathLike[str]) -> str:
    """The kind of result that a file holds, out of KINDS; empty for another file or one that cannot be read."""
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=_Kind).kind
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return ""
    return found if found in KINDS else ""


def load(path: str | os.PathLike[str]) -> AnyResult:
    """Read a result file of any kind.

    Raises:
        ResultFileError: it cannot be read, is no result, or asks for more than can be shown.
    """
    kind = kind_of(path)
    if not kind:
        hint = "`foliolab compare`, `precision` and `consequences` write results with --json FILE"
        raise ResultFileError(f"{os.fspath(path)} holds no result that can be compared", hint)
    result = KINDS[kind].load(path)
    try:
        _ = result.lost  # a request that cannot be shown is refused here, with the file's name
    except UsageError as fault:
        raise ResultFileError(f"{os.fspath(path)}: {fault.what}", fault.hint) from fault
    return result
