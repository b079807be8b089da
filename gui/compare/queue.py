"""Measures cells one after the other in a job; a policy that crashes costs its own cell only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QObject, Signal

from foliolab.gui.compare import measure, store
from foliolab.gui.compare.matrix import MEASURING, WAITING, Matrix
from foliolab.gui.compare.measure import Began, Cell, Done
from foliolab.gui.window.jobs import Step

if TYPE_CHECKING:
    from foliolab.framework.errors import FolioLabError
    from foliolab.gui.compare.collector import Collector
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.jobs import Job


class Queue(QObject):
    """The cells that are being measured.

    Signals:
        answered: a cell has another answer.
        failed: a cell could not be measured: (cell, what, details).
        changed: it has begun or ended.
    """

    answered = Signal(object)
    failed = Signal(object, str, str)
    changed = Signal()

    def __init__(self, desk: Desk, matrix: Matrix, collector: Collector, parent: QObject) -> None:
        super().__init__(parent)
        self._desk = desk
        self._matrix = matrix
        self._collector = collector
        self._job: Job | None = None
        self._left: list[Cell] = []
        self._now: Cell | None = None

    @property
    def running(self) -> bool:
        """Whether anything is being measured."""
        return self._job is not None

    def measure(self, cells: Sequence[Cell]) -> None:
        """Measure cells, after those that wait already."""
        fresh = [cell for cell in cells if not self._matrix.state(cell) and self._collector.command(cell)]
        self._left += fresh
        for cell in fresh:
            self._matrix.set_state(cell, WAITING)
        if self._job is None:
            self._start()

    def cancel(self) -> None:
        """Measure no more; what was measured stays."""
        self._give_up()
        if self._job is not None:
            self._job.cancel()

    # -- one job ---------------------------------------------------------------------------------------
    def _start(self) -> None:
        if not self._left:
            self.changed.emit()
            return
        cells, many = list(self._left), len(self._left) > 1
        title = f"measuring {len(cells)} cells" if many else f"measuring {cells[0].policy}"
        self._job = self._desk.jobs.start(
            title, measure.measure, cells, self._collector.baseline, tuple(self._desk.library.files)
        )
        self._job.said.connect(self._said)
        self._job.failed.connect(self._lost)
        self._job.ended.connect(self._ended)
        self.changed.emit()

    def _said(self, news: object) -> None:
        if isinstance(news, Began):
            self._now = news.cell
            self._matrix.set_state(news.cell, MEASURING)
        elif isinstance(news, Done):
            self._done(news)
        elif isinstance(news, Step) and self._now is not None and news.whole:
            self._matrix.set_state(self._now, MEASURING, (news.done % 1000) / 1000)

    def _done(self, news: Done) -> None:
        cell, self._now = news.cell, None
        self._drop(cell)
        if news.failure:
            self._collector.note_failure(cell, news.failure, news.hint)
            self.failed.emit(cell, news.failure, news.hint)
        else:
            self._collector.forget_failure(cell)
            if news.kept and not store.keep(msgspec.json.decode(news.kept, type=store.Kept)):
                self._desk.notices.say(f"{store.folder()} cannot be written: answers are lost at the end", "warning")
        self.answered.emit(cell)

    def _lost(self, fault: FolioLabError, details: str) -> None:
        """The job's process ended: the cell that it was at is to blame, the others go on."""
        cell, self._now = self._now, None
        if cell is None:  # not a policy's fault: there is no use in going on
            self._give_up()
            self._desk.notices.fault(fault, details)
            return
        self._drop(cell)
        self._collector.note_failure(cell, fault.what, fault.hint)
        self.failed.emit(cell, fault.what, details or fault.hint)
        self.answered.emit(cell)

    def _ended(self) -> None:
        cancelled = self._job is not None and self._job.cancelled
        self._job = None
        if cancelled:
            self._give_up()
        self._start()

    def _drop(self, cell: Cell) -> None:
        if cell in self._left:
            self._left.remove(cell)
        self._matrix.set_state(cell, "")

    def _give_up(self) -> None:
        self._left.clear()
        self._now = None
        for cell in self._matrix.busy():
            self._matrix.set_state(cell, "")
