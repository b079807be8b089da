"""The files that Verify opens: counterexamples, and verdicts of `foliolab verify --json`."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

HEAD: Final = 4096
"""Bytes at the beginning of a file that decide its kind."""
_VERDICTS: Final = b'"verifications"'
_EXAMPLE: Final = (b'"law"', b'"policy"', b'"shape"')


def kind_of(path: Path) -> Literal["", "verdicts", "example"]:
    """The kind of a file, by its beginning; empty for other files."""
    if path.suffix != ".json" or not path.is_file():
        return ""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if _VERDICTS in head:
        return "verdicts"
    return "example" if all(name in head for name in _EXAMPLE) else ""
