"""The queue of cells to measure; a job measures them one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from PySide6.QtCore import QObject, Signal

from foliolab.gui.compare import measure, store
from foliolab.gui.compare.matrix import MEASURING, WAITING, Matrix
from foliolab.gui.compare.measure import Began, Cell, CellStep, Done

if TYPE_CHECKING:
    from foliolab.framework.errors import FolioLabError
    from foliolab.gui.compare.collector import Collector
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.jobs import Job

LEAST_KNOWN: Final = 0.05
"""The part of a job that must be done before the rest of its time is told."""


class Queue(QObject):
    """The cells that wait or are being measured.

    If the policy of a cell crashes the job, only this cell fails; a new job measures the others.

    Signals:
        answered: the answer of a cell changed.
        failed: a cell could not be measured, with a message and details.
        changed: measuring started or ended.
        reached: the part of the job that is done, and the seconds that the rest takes; None if that is not known yet.
    """

    answered = Signal(object)
    failed = Signal(object, str, str)
    changed = Signal()
    reached = Signal(float, object)

    def __init__(self, desk: Desk, matrix: Matrix, collector: Collector, parent: QObject) -> None:
        super().__init__(parent)
        self._desk = desk
        self._matrix = matrix
        self._collector = collector
        self._job: Job | None = None
        self._left: list[Cell] = []
        self._began = 0.0
        self._now: Cell | None = None

    @property
    def running(self) -> bool:
        """Whether a cell is being measured."""
        return self._job is not None

    def measure(self, cells: Sequence[Cell]) -> None:
        """Add cells to the queue, and start it."""
        added = [
            cell
            for cell in cells
            if not self._matrix.state(cell) and (cell.policy == store.EVERY or self._collector.command(cell))
        ]
        self._left += added
        for cell in added:
            self._matrix.set_state(cell, WAITING)
        if self._job is None:
            self._start()

    def cancel(self) -> None:
        """Empty the queue and stop the job; the answers so far stay."""
        self._clear()
        if self._job is not None:
            self._job.cancel()

    # -- one job ---------------------------------------------------------------------------------------
    def _start(self) -> None:
        if not self._left:
            self.changed.emit()
            return
        cells, many = list(self._left), len(self._left) > 1
        title = f"measuring {len(cells)} cells" if many else f"measuring {cells[0].policy or 'all policies'}"
        self._began = time.monotonic()
        self._job = self._desk.jobs.start(
            title, measure.measure, cells, self._collector.baseline, tuple(self._desk.library.sound)
        )
        self._job.reported.connect(self._on_report)
        self._job.failed.connect(self._lost)
        self._job.ended.connect(self._ended)
        self.changed.emit()

    def _on_report(self, news: object) -> None:
        if isinstance(news, Began):
            self._now = news.cell
            self._matrix.set_state(news.cell, MEASURING)
        elif isinstance(news, Done):
            self._done(news)
        elif isinstance(news, CellStep) and self._now is not None:
            self._matrix.set_state(self._now, MEASURING, news.share)
            share = news.done / news.whole
            gone = time.monotonic() - self._began
            self.reached.emit(share, gone * (1 - share) / share if share > LEAST_KNOWN else None)

    def _done(self, news: Done) -> None:
        cell, self._now = news.cell, None
        self._remove(cell)
        if news.failure:
            self._collector.note_failure(cell, news.failure, news.hint)
            self.failed.emit(cell, news.failure, news.hint)
        else:
            self._collector.forget_failure(cell)
            kept = msgspec.json.decode(news.kept, type=store.Kept) if news.kept else None
            if kept is not None:
                about = cell.policy or ",".join(kept.digests)
                self._desk.recent.keep(cell.question, about, lambda: bytes(kept.result))
            if kept is not None and not store.keep(kept):
                text = f"{store.folder()} cannot be written: the answers are lost when the window closes"
                self._desk.notices.say(text, "warning")
        self.answered.emit(cell)

    def _lost(self, fault: FolioLabError, details: str) -> None:
        """The process of the job crashed: the cell that it measured fails, the others are measured by a new job."""
        cell, self._now = self._now, None
        if cell is None:  # the crash is not caused by a policy, so a new job would crash, too
            self._clear()
            self._desk.notices.fault(fault, details)
            return
        self._remove(cell)
        if cell.policy == store.EVERY:  # one policy crashed the run of all: each gets a run of its own
            alone = [Cell(cell.question, policy) for policy in self._collector.policies()]
            self._left += [one for one in alone if one not in self._left and self._collector.command(one)]
            for one in self._left:
                self._matrix.set_state(one, WAITING)
            return
        self._collector.note_failure(cell, fault.what, fault.hint)
        self.failed.emit(cell, fault.what, details or fault.hint)
        self.answered.emit(cell)

    def _ended(self) -> None:
        cancelled = self._job is not None and self._job.cancelled
        self._job = None
        if cancelled:
            self._clear()
        self._start()

    def _remove(self, cell: Cell) -> None:
        if cell in self._left:
            self._left.remove(cell)
        self._matrix.set_state(cell, "")

    def _clear(self) -> None:
        self._left.clear()
        self._now = None
        for cell in self._matrix.busy():
            self._matrix.set_state(cell, "")
