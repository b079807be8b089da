"""One memory access on or back: within a step where the inspector has its accesses, else into the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer

from foliolab.gui.explore.facts import AfterAccess, Facts, nothing

if TYPE_CHECKING:
    from foliolab.framework.explore.folio_detail import FolioDetail
    from foliolab.gui.explore.running import Run
    from foliolab.gui.inspector.inspector import Inspector

SETTLES: Final = 20
"""Milliseconds in which the inspector shows the answer that has come."""


class AccessSteps(QObject):
    """Which access of the last step is looked at.

    Attributes:
        at: its number among those that the inspector lists; -1: none.
        run, facts: of the run that is watched; None without one.
    """

    def __init__(self, inspector: Inspector) -> None:
        super().__init__(inspector)
        self._inspector = inspector
        self._wanted = 0
        self.at = -1
        self.run: Run | None = None
        self.facts: Facts | None = None
        inspector.access_chosen.connect(self._chosen)

    def begin(self, run: Run | None, facts: Facts | None) -> None:
        """Another run, or none."""
        self.run, self.facts, self.at, self._wanted = run, facts, -1, 0

    def go(self, by: int) -> None:
        """Look at the next access (1), or at the one before (-1)."""
        if self.run is None:
            return
        at = self.at + by
        if 0 <= at < self._count():
            self._look(at)
        else:
            self._wanted = by
            (self.run.worker.step if by > 0 else self.run.worker.back)()

    def settle(self) -> None:
        """The run stands at another step, and the inspector has been asked about it."""
        if self.run is not None and self._wanted:
            # this answer comes behind the inspector's
            self.run.questions.ask("settled", self.run.worker, nothing, self._settled)

    def _count(self) -> int:
        now = self._inspector.now
        return len(now.accesses) if now is not None else 0

    def _look(self, at: int) -> None:
        self.at = at
        self._inspector.accesses.go(at)

    def _settled(self, _: object) -> None:
        QTimer.singleShot(SETTLES, self, self._first)

    def _first(self) -> None:
        by, self._wanted = self._wanted, 0
        if by and self._count():
            self._look(0 if by > 0 else self._count() - 1)

    def _chosen(self, at: int) -> None:
        """Show the folio as it was after an access."""
        self.at = at
        now = self._inspector.now
        if self.run is None or now is None or now.folio is None or self.facts is None:
            return
        lane = self.facts.policies.index(now.policy) if now.policy in self.facts.policies else 0
        question = AfterAccess(lane, now.folio.head, at, now.skipped)
        self.run.questions.ask("after", self.run.worker, question, self._after)

    def _after(self, folio: FolioDetail) -> None:
        if self._inspector.now is not None:
            self._inspector.show_after(folio, self.at)
