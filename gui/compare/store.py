"""Keeps measured answers in the user's data folder, so that they are shown at the next start.

There is one file for each question and policy, and one for each question that was measured about all policies at once
(`EVERY`). It contains the result, and the digests of the policies' texts, which tell whether a text has changed since.
Verdicts are not kept here but in the ledger of the verifier.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from foliolab.framework.document import Document
from foliolab.framework.errors import FolioLabError, ResultFileError
from foliolab.framework.verify import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from foliolab.framework.contract.policy import Scheme

EVERY: Final = ""
"""Stands for a policy where an answer is about all of them, whose names are those of its digests."""


class Kept(Document, frozen=True, kw_only=True):
    """A kept answer.

    Attributes:
        question: the name of the question.
        policy: the policy, as it is written on the command line, or `EVERY`.
        digests: digests of texts by policy: of the policy, and of the baseline if there is one.
        result: the result as its file has it.
    """

    WHAT = "kept answer"
    MADE_BY = "foliolab gui"

    question: str
    policy: str
    digests: dict[str, str]
    result: msgspec.Raw


def folder() -> Path:
    """The folder of kept answers, beside the ledger."""
    return ledger.folder().parent / "matrix"


def path_of(question: str, policy: str) -> Path:
    """The file of an answer."""
    return folder() / f"{question}-{re.sub(r'[^A-Za-z0-9=,.:-]', '_', policy).replace(':', '+')}.json"


def keep(kept: Kept) -> bool:
    """Write an answer. Returns whether that succeeded."""
    path = path_of(kept.question, kept.policy)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept.save(path)
    except (OSError, ResultFileError):
        return False
    return True


def find(question: str, policy: str) -> Kept | None:
    """The kept answer; None if there is none or it cannot be read."""
    try:
        kept = Kept.load(path_of(question, policy))
    except ResultFileError:
        return None
    return kept if kept.question == question and kept.policy == policy else None


def digest(scheme: Scheme) -> str:
    """The digest of a policy's text; empty if the text cannot be read."""
    from foliolab.framework.engine.policytree import policy_digest

    try:
        return policy_digest(scheme)
    except (FolioLabError, ValueError, TypeError):
        return ""


def is_old(kept: Kept, scheme: Callable[[str], Scheme], about: Iterable[str] = ()) -> bool:
    """Whether the text of a policy has changed since an answer was kept.

    Args:
        kept: the answer.
        about: the policies that matter; by default all that the answer is about.
        scheme: finds a policy; raises FolioLabError if the policy does not exist any more.
    """
    for policy in about or kept.digests:
        try:
            if digest(scheme(policy)) != kept.digests.get(policy):
                return True
        except FolioLabError:
            return True
    return False
