"""What Compare shows, as a session keeps it: the figures of its host, the opened result, and the chosen cell."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec
from PySide6.QtCore import QRectF

from foliolab.framework import host
from foliolab.framework.document import Name
from foliolab.framework.results import provenance
from foliolab.gui.compare import measure, store
from foliolab.gui.compare.reference import Reference
from foliolab.gui.window.session_file import Digest, Files, State

if TYPE_CHECKING:
    from PySide6.QtWidgets import QDockWidget

    from foliolab.gui.compare.collector import Collector
    from foliolab.gui.compare.home import Home
    from foliolab.gui.compare.opened_results import OpenedResults
    from foliolab.gui.compare.rows import Rows
    from foliolab.gui.compare.summary import Summary
    from foliolab.gui.compare.table import MatrixView


FARTHEST: Final = 1e9
"""Per cent beyond which no part is shown."""


class CompareState(State, frozen=True, kw_only=True):
    """The state.

    Attributes:
        baseline: the policy with which costs are compared.
        unfolded: whether all rows are shown.
        workload: whose times the scatter shows.
        part: left, top, width and height of the part of the scatter that is shown, in per cent; empty for all.
        policy, question: the chosen cell; empty for none.
        evidence: whether its evidence is shown.
        answers: the digest of the answers that were measured where the session was saved; empty for none.
        result, name: the digest of the opened result, and its file's name; empty for none.
    """

    baseline: Name
    unfolded: bool = False
    workload: Name = ""
    part: Annotated[tuple[float, ...], msgspec.Meta(max_length=4)] = ()
    policy: Name = ""
    question: Name = ""
    evidence: bool = False
    answers: Digest = ""
    result: Digest = ""
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""

    @property
    def seen(self) -> QRectF | None:
        """The part of the scatter; None for all."""
        if len(self.part) != 4 or not all(isfinite(one) and abs(one) < FARTHEST for one in self.part):
            return None
        return QRectF(*self.part)

    def lent(self, files: Files) -> Reference | None:
        """The answers that go with it; None if there are none.

        Raises:
            FolioLabError: their file is not there, or is damaged.
        """
        return Reference.load(files.path(self.answers)) if self.answers else None


class Shown(Protocol):
    """What is needed of the workspace; a protocol, because the workspace imports this module."""

    collector: Collector
    docks: dict[str, QDockWidget]
    view: MatrixView
    rows: Rows
    summary: Summary
    opened: OpenedResults
    home: Home


def state_of(workspace: Shown, files: Files) -> CompareState:
    """What a session keeps of the workspace as it is now."""
    collector, chosen, first = workspace.collector, workspace.view.chosen, workspace.opened.first
    lent = collector.lent or own_answers(collector)
    opened, seen = collector.opened, workspace.home.scatter.part.seen
    return CompareState(
        baseline=collector.baseline, unfolded=workspace.rows.unfolded,
        workload=workspace.summary.workload,
        part=(seen.x(), seen.y(), seen.width(), seen.height()) if seen is not None else (),
        policy=chosen.policy if chosen is not None else "", question=chosen.question if chosen is not None else "",
        evidence=not workspace.docks["evidence"].isHidden(),
        answers=files.keep("answers.json", lent.encoded()) if lent is not None else "",
        result=files.keep(first.name, opened.encoded()) if first is not None and opened is not None else "",
        name=first.name[:200] if first is not None else "",
    )  # fmt: skip


def own_answers(collector: Collector) -> Reference | None:
    """The answers that this host has measured, the newest first; None if there are none."""
    names = [store.EVERY, *collector.policies()]
    found = [kept for question in measure.TOGETHER for name in names if (kept := store.find(question, name))]
    if not found:
        return None
    found.sort(key=collector.started, reverse=True)
    return Reference(
        machine=host.describe_host(), kernel=host.kernel(), date=provenance.now(), baseline=collector.baseline,
        answers=found,
    )  # fmt: skip
