"""The files that Verify opens: counterexamples, and verdicts of `foliolab verify --json`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework import intake

if TYPE_CHECKING:
    from foliolab.framework.verify.verifier import Verification
    from foliolab.gui.window.library import Library

HEAD: Final = 4096
"""Bytes at the beginning of a file that decide its kind."""
_VERDICTS: Final = b'"verifications"'
_EXAMPLE: Final = (b'"law"', b'"policy"', b'"shape"')


def kind_of(path: Path) -> Literal["", "verdicts", "example"]:
    """The kind of a file, by its beginning; empty for other files."""
    if path.suffix != ".json":
        return ""
    head = intake.head(path, HEAD)
    if _VERDICTS in head:
        return "verdicts"
    return "example" if all(name in head for name in _EXAMPLE) else ""


def command_of(done: Verification) -> list[str]:
    """The words of the command that made verdicts, which the user may repeat; empty if the file has no such command."""
    try:
        words = shlex.split(done.command)
    except ValueError:
        return []
    return words if words[:1] == ["foliolab"] else []


class OpenedVerdicts:
    """Verifications by policy; at first without any.

    Attributes:
        by_policy: the verifications of the policies that exist here.
        absent: the policies of the file that do not exist here.
    """

    def __init__(self) -> None:
        self.by_policy: dict[str, Verification] = {}
        self.absent: list[str] = []

    def load(self, path: Path, library: Library) -> None:
        """Read a file.

        Raises:
            ResultFileError: the file cannot be read.
        """
        from foliolab.framework.verify.verifier import Verdicts

        found = Verdicts.load(path).verifications
        self.by_policy = {done.policy: done for done in found if library.usable([done.policy])}
        self.absent = [done.policy for done in found if done.policy not in self.by_policy]

    def clear(self) -> None:
        self.by_policy, self.absent = {}, []

    @property
    def first(self) -> Verification | None:
        """The verification to show first: one that refutes a claim if there is one. None if there is none."""
        found = list(self.by_policy.values())
        return next((done for done in found if done.refuted), found[0] if found else None)

    def note(self, done: Verification, digest: str) -> str:
        """When and by which version a verification was made, whether it is stale, and what else the file has.

        Args:
            done: the verification.
            digest: of the present text of its policy.
        """
        from foliolab.framework.verify.ledger import STALE
        from foliolab.framework.verify.version import verifier_digest, version_text

        started = done.started[:16].replace("T", " ")
        parts = [f"Verdicts found on {started}, {version_text(done.versions.get('foliolab', ''), done.verifier)}."]
        if done.verifier != verifier_digest():
            parts.append(f"They are {STALE}.")
        if done.digest != digest:
            parts.append("The policy's text has changed since.")
        others = [name for name in self.by_policy if name != done.policy]
        if others:
            parts.append(f"The file has verdicts on {', '.join(others)}, too.")
        return " ".join(parts)
