"""What all answers say together: in words, and as the scatter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from foliolab.gui.compare import headline
from foliolab.gui.compare.answer import BADGE, QUESTIONS
from foliolab.gui.compare.measure import Cell
from foliolab.gui.compare.spots import spots_of

if TYPE_CHECKING:
    from foliolab.gui.compare.answer import Answer
    from foliolab.gui.compare.collector import Collector
    from foliolab.gui.compare.home import Home
    from foliolab.gui.compare.matrix import Matrix
    from foliolab.gui.compare.rows import Rows
    from foliolab.gui.compare.table import MatrixView


class Summary(QObject):
    """Tells the answers, whenever they have changed and all are collected.

    Attributes:
        workload: whose times the scatter shows.
    """

    def __init__(self, collector: Collector, view: MatrixView, matrix: Matrix, rows: Rows, home: Home) -> None:
        super().__init__(home)
        self._collector, self._view, self._matrix, self._rows, self._home = collector, view, matrix, rows, home
        self.workload = ""
        self._later = QTimer(self, interval=0, singleShot=True)
        self._later.timeout.connect(self.tell)
        rows.filled.connect(self.tell)
        matrix.dataChanged.connect(self._soon)

    def _soon(self, *_: object) -> None:
        self._later.start()

    def tell(self) -> None:
        """Say what the answers say, and draw it; not before all are collected."""
        if self._rows.pending:
            return
        self._view.sort_again()
        every = self._collector.policies()
        known = {policy: {name: one for name, one in self._about(policy).items() if one.known} for policy in every}
        origins = {one.reference for about in known.values() for one in about.values() if one.reference}
        badge = f"Grey, “{BADGE}”: measured elsewhere ({', '.join(sorted(origins))})." if origins else ""
        own, baseline = self._matrix.own, self._collector.baseline
        self._home.show_answer(headline.sentences(known, own, baseline), badge)
        timed = {name: 1 for about in known.values() if "cost" in about for name in about["cost"].values}
        workloads = [name for name in timed if isinstance(name, str)]
        if self.workload not in workloads:
            self.workload = next(iter(workloads), "")
        self._home.show_scatter(spots_of(known, baseline, self.workload, own), workloads, self.workload, baseline)

    def show_times_of(self, workload: str) -> None:
        """Show the times of a workload in the scatter."""
        self.workload = workload
        self._home.scatter.part.fit()  # other times, other places
        self.tell()

    def question_of(self, policy: str) -> str:
        """The question whose evidence belongs to a point: of what makes the policy unsafe, else of its cost."""
        unsafe = headline.unsafe(self._about(policy))
        return "precise" if "exclusive" in unsafe else "right" if unsafe else "cost"

    def stop(self) -> None:
        """Tell nothing more."""
        self._later.stop()

    def _about(self, policy: str) -> dict[str, Answer]:
        return {question.name: self._matrix.answer(Cell(question.name, policy)) for question in QUESTIONS}
