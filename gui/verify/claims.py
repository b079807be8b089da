"""The table of the claims of a policy and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QAbstractItemView, QTableWidgetItem

from foliolab.framework.contract.policy import CLAIMS
from foliolab.gui.verify.cards import ATTACKS
from foliolab.gui.widgets.basics import VERDICT_ROLES, VERDICT_SIGNS
from foliolab.gui.widgets.cell_table import Cell, CellTable
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.theme import Theme

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.ledger import KeptVerdict
    from foliolab.framework.verify.verifier import Verification

OWED: Final = (
    "counters agree with the page tables; every value fits its field; the policy changes only its own fields, and they "
    "have their initial values at the end; no lock is lost; every operation ends"
)
EVERY: Final = "owed"
"""Stands for the empty claim: what every policy owes."""
WIDTHS: Final = (130, 118, 282, 88, 88, 88, 88)
"""First widths of the columns: the rows come one after the other."""
COLUMNS: Final = ("Claim", "Verdict", "Meaning", *ATTACKS, "Within")


class Claims(CellTable):
    """A row for each claim.

    Signals:
        wanted: the counterexample of the claim on which the user clicked.
    """

    wanted = Signal(object)

    def __init__(self, theme: Theme) -> None:
        super().__init__("Claims of the policy", [text.capitalize() for text in COLUMNS], theme)
        self.setMinimumHeight(40)  # a small window with a tour has no room for more
        self._names: list[str] = []
        self._cells: dict[tuple[str, int], Cell] = {}
        self._examples: dict[str, Counterexample] = {}
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.columns.widths = dict(zip(self.headings, WIDTHS, strict=False))
        self.itemActivated.connect(self._activated)
        self.itemClicked.connect(self._activated)

    # -- contents --------------------------------------------------------------------------------------
    def begin(self, scheme: Scheme, known: dict[str, KeptVerdict]) -> None:
        """Show the claims of a policy, with the kept verdicts on its text: when and by which version each was found."""
        self._examples.clear()
        self._names = ["", *sorted(scheme.capabilities)]
        self._cells = {}
        for claim in self._names:
            self._set(claim, 0, claim or EVERY)
            self._set(claim, 2, CLAIMS.get(claim, OWED))
            verdict = known.get(claim)
            if verdict is not None:
                self._verdict(claim, 1, verdict.verdict, verdict.stale)
                self._set(claim, len(COLUMNS) - 1, verdict.text)
        self._fill()

    def refute(self, claim: str, example: Counterexample) -> None:
        """Show that a claim is refuted; a click on its row emits the counterexample."""
        if claim in self._names:
            self._refuted(claim, example)
            self._fill()

    def show_verification(self, done: Verification) -> None:
        """Show the verdicts of a verification."""
        for claim in self._names:
            findings = [finding for finding in done.findings if finding.claim == claim]
            self._verdict(claim, 1, done.verdict(claim))
            for finding in findings:
                if finding.attack in ATTACKS:
                    self._verdict(claim, 3 + list(ATTACKS).index(finding.attack), finding.verdict)
                if finding.counterexample is not None:
                    self._refuted(claim, finding.counterexample)
            bounds = [f"{one.attack}, {one.verdict}: {one.bound}" for one in findings]
            if claim not in self._examples:
                self._set(claim, len(COLUMNS) - 1, "; ".join(bounds))
        self._fill()

    @property
    def examples(self) -> list[Counterexample]:
        """The counterexamples in the order of the claims."""
        return [self._examples[claim] for claim in self._names if claim in self._examples]

    def table(self) -> tuple[Sequence[str], Sequence[Row]]:
        return COLUMNS, super().table()[1]

    def _refuted(self, claim: str, example: Counterexample) -> None:
        self._examples.setdefault(claim, example)
        self._verdict(claim, 1, "refuted")
        self._set(claim, len(COLUMNS) - 1, example.message)

    def _set(self, claim: str, column: int, text: str, role: str = "text") -> None:
        self._cells[claim, column] = Cell(text, role, text)

    def _verdict(self, claim: str, column: int, verdict: str, stale: bool = False) -> None:
        text = f"{VERDICT_SIGNS[verdict]} {verdict}{' (stale)' if stale else ''}"
        self._set(claim, column, text, "quiet" if stale else VERDICT_ROLES[verdict])

    def _fill(self) -> None:
        columns, nothing = range(len(COLUMNS)), Cell("")
        self.show_rows([[self._cells.get((claim, at), nothing) for at in columns] for claim in self._names])

    def _activated(self, item: QTableWidgetItem) -> None:
        name = self.item(item.row(), 0)
        claim = name.text() if name is not None else ""
        example = self._examples.get("" if claim == EVERY else claim)
        if example is not None:
            self.wanted.emit(example)
