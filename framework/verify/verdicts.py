"""The file of `foliolab verify --json`: the verifications of all policies of one command."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from foliolab.framework import document
from foliolab.framework.verify.verifier import Verification

SCHEMA: Final = 1
"""The schema that is written, and the newest one that is read."""


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Verifications, one per policy.

    Attributes:
        verifications: in the order in which they ran.
        command: the command line that repeats them.
    """

    verifications: list[Verification]
    command: str = ""
    schema: int = SCHEMA

    @property
    def refuted(self) -> bool:
        """Whether any claim of any policy is refuted."""
        return any(finding.verdict == "refuted" for one in self.verifications for finding in one.findings)

    @property
    def interrupted(self) -> bool:
        """Whether the last verification was stopped early."""
        return any(one.interrupted for one in self.verifications)


def save(verdicts: Verdicts, path: str | os.PathLike[str]) -> None:
    """Write verdicts atomically.

    Raises:
        ResultFileError: the file cannot be written.
    """
    document.save(verdicts, path)


def load(path: str | os.PathLike[str]) -> Verdicts:
    """Read verdicts.

    Raises:
        ResultFileError: the file does not exist, is damaged, or has a newer schema.
    """
    return document.load(path, Verdicts, SCHEMA, "file of verdicts", "foliolab verify --json")
