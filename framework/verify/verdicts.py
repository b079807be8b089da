"""The file of `foliolab verify --json`: what was found about each of the policies of one command."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from foliolab.framework import document
from foliolab.framework.verify.verifier import Verification

SCHEMA: Final = 1
"""The newest schema that this FolioLab writes and reads."""


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Verifications, one a policy.

    Attributes:
        verifications: in the order in which they were run.
        command: what repeats them.
    """

    verifications: list[Verification]
    command: str = ""
    schema: int = SCHEMA

    @property
    def refuted(self) -> bool:
        """Whether anything is refuted."""
        return any(finding.verdict == "refuted" for one in self.verifications for finding in one.findings)

    @property
    def interrupted(self) -> bool:
        """Whether the last of them was stopped early."""
        return any(one.interrupted for one in self.verifications)


def save(verdicts: Verdicts, path: str | os.PathLike[str]) -> None:
    """Write it, atomically.

    Raises:
        ResultFileError: the place cannot be written to.
    """
    document.save(verdicts, path)


def load(path: str | os.PathLike[str]) -> Verdicts:
    """Read one.

    Raises:
        ResultFileError: there is none, it is damaged, or its schema is newer.
    """
    return document.load(path, Verdicts, SCHEMA, "file of verdicts", "foliolab verify --json")
