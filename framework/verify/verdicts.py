"""The file of `foliolab verify --json`: what was found about each of the policies of one command."""

from __future__ import annotations

from foliolab.framework.document import Document
from foliolab.framework.verify.verifier import Verification


class Verdicts(Document, frozen=True, kw_only=True):
    """Verifications, one a policy.

    Attributes:
        verifications: in the order in which they were run.
        command: what repeats them.
    """

    WHAT = "file of verdicts"
    MADE_BY = "foliolab verify --json"

    verifications: list[Verification]
    command: str = ""

    @property
    def refuted(self) -> bool:
        """Whether anything is refuted."""
        return any(finding.verdict == "refuted" for one in self.verifications for finding in one.findings)

    @property
    def interrupted(self) -> bool:
        """Whether the last of them was stopped early."""
        return any(one.interrupted for one in self.verifications)
