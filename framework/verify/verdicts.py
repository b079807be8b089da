"""The file of `foliolab verify --json`: the verifications of all policies of one command."""

from __future__ import annotations

from foliolab.framework.document import Document
from foliolab.framework.verify.verifier import Verification


class Verdicts(Document, frozen=True, kw_only=True):
    """Verifications, one per policy.

    Attributes:
        verifications: in the order in which they ran.
        command: the command line that repeats them.
    """

    WHAT = "file of verdicts"
    MADE_BY = "foliolab verify --json"

    verifications: list[Verification]
    command: str = ""

    @property
    def refuted(self) -> bool:
        return any(finding.verdict == "refuted" for one in self.verifications for finding in one.findings)

    @property
    def interrupted(self) -> bool:
        return any(one.interrupted for one in self.verifications)
