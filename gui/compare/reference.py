"""The reference result: answers about the shipped policies that were measured elsewhere, and ship with FolioLab.

They fill the matrix until this host has measured. `foliolab gui --save-reference FILE` makes the file.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework import host, intake
from foliolab.framework.document import Document, write_atomically
from foliolab.framework.errors import FolioLabError, NothingMeasured, ResultFileError
from foliolab.framework.host import HostInfo
from foliolab.framework.results import provenance
from foliolab.gui.compare import measure, store
from foliolab.gui.compare.measure import Began, Cell, Done

FILE: Final = Path(__file__).with_name("reference.json.gz")


class Reference(Document, frozen=True, kw_only=True):
    """Answers with the host and the day of their measurement.

    Attributes:
        machine: the host.
        kernel: the kernel that it ran.
        date: when it was finished, as results write it.
        baseline: the policy that the command compared costs with; the times serve any other as well.
        answers: one for each question that is measured about all policies together.
    """

    WHAT = "reference result"
    MADE_BY = "foliolab gui --save-reference FILE"

    machine: HostInfo
    kernel: str
    date: str
    baseline: str
    answers: list[store.Kept]

    @property
    def origin(self) -> str:
        """The host and the day, in a few words."""
        return f"{self.machine.cpu}, {self.date[:10]}"

    def about(self, question: str, policies: Collection[str]) -> store.Kept | None:
        """The answer to a question, if it is about these policies."""
        fitting = (one for one in self.answers if one.question == question and one.digests.keys() >= set(policies))
        return next(fitting, None)


@cache
def shipped() -> Reference | None:
    """The reference result that ships; None where it is missing or damaged, so that cells are not measured then."""
    try:
        packed = intake.read(FILE, Reference.WHAT, f"`{Reference.MADE_BY}` writes one", intake.MOST_BYTES)
        return Reference.decode(gzip.decompress(packed), str(FILE))
    except (ResultFileError, OSError, EOFError):
        return None


def save(path: Path, plugins: Sequence[str]) -> None:
    """Measure what a reference result holds, and write it. Progress goes to standard error.

    Args:
        path: the file; a name that ends in .gz is compressed.
        plugins: policy files to load.

    Raises:
        NothingMeasured: a question could not be measured.
        NotWritten: the file cannot be written.
    """
    from foliolab.framework.plugins import registry as room

    baseline = measure.everyone(room.load(plugins))[0]
    found: list[store.Kept] = []

    def listen(news: object) -> None:
        if isinstance(news, Began):
            sys.stderr.write(f"measuring {news.cell.question} …\n")
        elif isinstance(news, Done) and news.failure:
            raise _Unmeasured(NothingMeasured(f"{news.cell.question} is not measured: {news.failure}", news.hint))
        elif isinstance(news, Done):
            found.append(msgspec.json.decode(news.kept, type=store.Kept))

    try:
        measure.measure([Cell(name, store.EVERY) for name in measure.TOGETHER], baseline, plugins, listen)
    except _Unmeasured as fault:
        raise fault.why from None
    made = Reference(
        machine=host.describe_host(), kernel=host.kernel(), date=provenance.now(), baseline=baseline, answers=found
    )
    data = msgspec.json.encode(made) + b"\n"
    write_atomically(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


class _Unmeasured(BaseException):
    """Ends the measurement at the first failure; not an Exception, which would count as one of a policy."""

    def __init__(self, why: FolioLabError) -> None:
        super().__init__()
        self.why = why
