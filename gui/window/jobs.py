"""Long jobs in processes of their own, so that a crash or hang affects neither the window nor another job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from PySide6.QtCore import QObject, QSocketNotifier, QTimer, Signal
from PySide6.QtWidgets import QProgressBar, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.process import Answer, Child, Crash, Failure
from foliolab.gui.window.building import label, named, row, tool_button

AT_ONCE: Final = 0.4
"""Seconds that a job has to stop after a request; then it is killed."""
LOOK: Final = 10
"""Milliseconds from one look whether a job's process has ended to the next."""
Say = Callable[[object], None]
Work = Callable[..., Any]


@dataclass(frozen=True)
class Step:
    """The progress of a job.

    Args:
        text: what the job does now.
        done, whole: the part that is done, and the whole; 0 and 0 if that is not known.
    """

    text: str
    done: int = 0
    whole: int = 0


class Job(QObject):
    """One function that runs in a process.

    Args:
        title: shown in the status bar.
        work: the function.
        arguments: its arguments; `say` is added.
        parent: the owner of this object.

    Signals:
        reported: a `Step`, or whatever else the function passed to `say`.
        answered: what the function returned.
        failed: a FolioLabError, and details such as a traceback.
        ended: the job is over, with or without an answer; emitted once, after the other signals.
    """

    reported = Signal(object)
    answered = Signal(object)
    failed = Signal(object, str)
    ended = Signal()

    def __init__(self, title: str, work: Work, arguments: tuple[Any, ...], parent: QObject) -> None:
        super().__init__(parent)
        self.title = title
        self.cancelled = False
        self._child = Child(_work, work, arguments, name=title, interruptible=True, leads_group=True)
        self.process = self._child.process
        self._notifier = QSocketNotifier(self._child.pipe.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._take)

    def cancel(self) -> None:
        """Ask the job to stop and to answer with what it has. After `AT_ONCE` it is killed."""
        if not self._child.pipe.closed and not self.cancelled:
            self.cancelled = True
            self._child.interrupt()
            QTimer.singleShot(int(AT_ONCE * 1000), self.kill)

    def kill(self) -> None:
        """Kill the job with all processes that it started, without waiting here for their end."""
        if not self._child.pipe.closed:
            self._notifier.setEnabled(False)
            self._child.kill()
            self._leave()

    def shut(self) -> None:
        """Kill the job, and wait for its end."""
        self._end()

    def _take(self) -> None:
        for message in self._child.arrived():
            match message:
                case Answer(value):
                    self.answered.emit(value)
                case Failure(error, details):
                    self.failed.emit(error, details)
                case Crash(how):
                    if not self.cancelled:
                        fault = FolioLabError(f"{self.title}: its process {how}", "the results so far are kept")
                        self.failed.emit(fault, "")
                case _:
                    self.reported.emit(message)
        if self._child.over:
            self._notifier.setEnabled(False)
            QTimer.singleShot(int(AT_ONCE * 1000), self, self.kill)
            self._leave()

    def _leave(self) -> None:
        """Look again and again whether the process has ended: its end may take long, and the window does not wait."""
        if self._child.pipe.closed:
            return
        if self.process.is_alive():
            QTimer.singleShot(LOOK, self, self._leave)
        else:
            self._end()

    def _end(self) -> None:
        if self._child.pipe.closed:
            return
        self._notifier.setEnabled(False)
        self._child.end()
        self.ended.emit()
        self.deleteLater()


def _work(pipe: Connection, work: Work, arguments: tuple[Any, ...]) -> object:
    return work(*arguments, say=pipe.send)


class Jobs(QObject):
    """The running jobs.

    Signals:
        changed: a job started or ended.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.running: list[Job] = []

    def start(self, title: str, work: Work, *arguments: Any) -> Job:
        """Run `work(*arguments, say=…)` in a process.

        Args:
            title: shown in the status bar.
            work: a module-level function; `say` sends a `Step` or another message to `Job.reported`.
            arguments: picklable.
        """
        job = Job(title, work, arguments, self)
        self.running.append(job)
        job.ended.connect(self._ended)
        self.changed.emit()
        return job

    def _ended(self) -> None:
        job = self.sender()
        if isinstance(job, Job) and job in self.running:
            self.running.remove(job)
        self.changed.emit()

    def shut(self) -> None:
        """Kill all jobs, and wait for their end."""
        running = list(self.running)
        for job in running:
            job.cancelled = True
            job.kill()
        for job in running:
            job.shut()


class JobsChip(QWidget):
    """The jobs in the status bar: the title and progress of the newest one, and a Cancel button."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._shown: Job | None = None
        self.setAccessibleName("Running jobs")
        self.label = label()
        self.bar = named(QProgressBar(textVisible=False), "Progress of the running job")
        self.bar.setMaximumSize(140, 14)
        self.stop = tool_button("Cancel", "Cancel the running job")
        self.stop.clicked.connect(self._cancel)
        row(self.label, self.bar, self.stop, of=self, margins=(0, 0, 4, 0))
        jobs.changed.connect(self._changed)
        self.hide()

    def _changed(self) -> None:
        running = self._jobs.running
        self.setVisible(bool(running))
        job = running[-1] if running else None
        if job is not None and job is not self._shown:
            job.reported.connect(self._on_report)
            self._say(job, Step(""))
        self._shown = job

    def _on_report(self, news: object) -> None:
        if isinstance(news, Step) and self._shown is not None and self.sender() is self._shown:
            self._say(self._shown, news)

    def _say(self, job: Job, step: Step) -> None:
        others = len(self._jobs.running) - 1
        more = f" (and {others} more)" if others > 0 else ""
        self.label.setText(" · ".join(part for part in (job.title, step.text) if part) + more)
        self.bar.setRange(0, step.whole)
        self.bar.setValue(step.done)

    def _cancel(self) -> None:
        if self._shown is not None:
            self._shown.cancel()
