"""Step by memory access: within the last step if the inspector lists its accesses, otherwise into the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from foliolab.gui.explore.queries import Facts, folio_after_access, nothing

if TYPE_CHECKING:
    from foliolab.framework.explore.folio_detail import FolioDetail
    from foliolab.gui.explore.run import Run
    from foliolab.gui.inspector.inspector import Inspector


class AccessStepper(QObject):
    """Knows which access of the last step is shown.

    Attributes:
        at: index of the access in the inspector's list after which the folio is shown; -1 after the whole step.
    """

    def __init__(self, inspector: Inspector) -> None:
        super().__init__(inspector)
        self._inspector = inspector
        self._wanted = 0  # direction of an access that is wanted in another step, once that step is inspected
        self._run: Run | None = None
        self._facts: Facts | None = None
        self.at = -1
        inspector.access_chosen.connect(self._chosen)

    def begin(self, run: Run | None, facts: Facts | None) -> None:
        """Start with another run, or with none."""
        self._run, self._facts, self.at, self._wanted = run, facts, -1, 0

    def go(self, by: int) -> None:
        """Show the folio one access later (1) or earlier (-1). After a step all its accesses are done."""
        if self._run is None:
            return
        at = (self.at if self.at >= 0 else self._count() - 1) + by
        if 0 <= at < self._count():
            self._show(at)
        else:
            self._wanted = by
            (self._run.session.step if by > 0 else self._run.session.back)()

    def continue_after_step(self) -> None:
        """Go on to the wanted access; called when another step's accesses have been asked for."""
        if self._run is not None and self._wanted:
            # the session answers in order: when this answer comes, the inspector has its own already
            self._run.ask("settled", self._show_wanted, nothing)

    def _count(self) -> int:
        now = self._inspector.now
        return len(now.accesses) if now is not None else 0

    def _show(self, at: int) -> None:
        self.at = at
        self._inspector.accesses.go(at)

    def _show_wanted(self, _: None) -> None:
        by, self._wanted = self._wanted, 0
        if by and self._count():
            self._show(0 if by > 0 else self._count() - 1)

    def _chosen(self, at: int) -> None:
        """Show the folio as it was after an access."""
        self.at = at
        now = self._inspector.now
        if self._run is None or now is None or now.folio is None or self._facts is None:
            return
        lane = self._facts.policies.index(now.policy) if now.policy in self._facts.policies else 0
        self._run.ask(
            "after", self._show_folio, folio_after_access, lane=lane, head=now.folio.head, access=now.numbers[at]
        )

    def _show_folio(self, folio: FolioDetail) -> None:
        if self._inspector.now is not None:
            self._inspector.show_after(folio, self.at)
