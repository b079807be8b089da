"""What all results have in common: the fields of provenance, and how two results of a kind are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from foliolab.framework.document import Document
from foliolab.framework.host import HostInfo


@dataclass(frozen=True)
class Figures:
    """The exact figures of a result, which another result of the same kind is compared with.

    Args:
        headings: what the parts of a key are.
        unit: of the values; a lower value is better.
        values: by key, such as (workload, MMs, policy).
        of: what they are figures of, if results of different things can be compared; else empty.
    """

    headings: tuple[str, ...]
    unit: str
    values: Mapping[tuple[str, ...], float]
    of: str = ""


class RunResult(Document, frozen=True, kw_only=True):
    """What the result of every run says about the run; each command adds its findings.

    Attributes:
        kind: what kind of run, the command's name.
        complete: False where the run was interrupted and this is what there was.
        command: the command that repeats it.
        started, finished: ISO 8601 with offset, see `now`.
        machine: the host that it ran on.
        versions: of FolioLab, Python and the libraries, by name.
        kernel: the running kernel's release and version.
        git: the checkout's commit, "-dirty" behind it where files differ from it; empty outside of one.
        task: in the folder of a sweep, the key of the task that it answers; else empty.
    """

    kind: str
    complete: bool
    command: str
    started: str
    finished: str
    machine: HostInfo
    versions: dict[str, str]
    kernel: str
    git: str
    task: str = ""

    @property
    def verb(self) -> str:
        """The command that makes results of this kind."""
        return self.kind

    @property
    def lost(self) -> list[str]:
        """What was asked for and was not measured, a sentence each."""
        return []

    @property
    def figures(self) -> Figures | None:
        """The exact figures of this result; None for a kind that has none."""
        return None
