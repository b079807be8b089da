"""What was measured, kept in the user's data folder: shown again at the next start, and known to be old by its text.

One file for each question and policy, with the tool's own result in it and the digests of the texts that it is about.
Verdicts need none: they are in the ledger.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from foliolab.framework.document import Document
from foliolab.framework.errors import FolioLabError, ResultFileError
from foliolab.framework.verify import ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from foliolab.framework.contract.policy import Scheme


class Kept(Document, frozen=True, kw_only=True):
    """A measured answer.

    Attributes:
        question: its name.
        policy: as a user would write it.
        digests: of the texts that it is about, by policy: the policy's own, and the baseline's where there is one.
        result: the result's file.
    """

    WHAT = "kept answer"
    MADE_BY = "foliolab gui"

    question: str
    policy: str
    digests: dict[str, str]
    result: msgspec.Raw


def folder() -> Path:
    """Where answers are kept, beside the ledger."""
    return ledger.folder().parent / "matrix"


def path_of(question: str, policy: str) -> Path:
    """The file of an answer."""
    return folder() / f"{question}-{re.sub(r'[^A-Za-z0-9=,.:-]', '_', policy).replace(':', '+')}.json"


def keep(kept: Kept) -> bool:
    """Write an answer; whether it could be."""
    path = path_of(kept.question, kept.policy)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept.save(path)
    except (OSError, ResultFileError):
        return False
    return True


def find(question: str, policy: str) -> Kept | None:
    """The last answer; None where there is none, or none that can be read."""
    try:
        kept = Kept.load(path_of(question, policy))
    except ResultFileError:
        return None
    return kept if kept.question == question and kept.policy == policy else None


def forget(question: str, policy: str) -> None:
    """Remove an answer."""
    with suppress(OSError):
        os.unlink(path_of(question, policy))


def digest(scheme: Scheme) -> str:
    """Of a policy's text; empty where that cannot be had."""
    from foliolab.framework.engine.policytree import policy_digest

    try:
        return policy_digest(scheme)
    except (FolioLabError, ValueError, TypeError):
        return ""


def is_old(kept: Kept, scheme: Callable[[str], Scheme]) -> bool:
    """Whether any of the texts that it is about has changed since.

    Args:
        scheme: a policy by its text; raises FolioLabError where it is gone.
    """
    for policy, known in kept.digests.items():
        try:
            if digest(scheme(policy)) != known:
                return True
        except FolioLabError:
            return True
    return False
