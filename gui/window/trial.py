"""A policy file that is loaded in a process of its own first, so that the window neither waits for it nor dies."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, QSocketNotifier, QTimer, Signal

from foliolab.framework.plugins import discovery, dry_run

LATEST: Final = discovery.SECONDS + dry_run.MORE_SECONDS
"""Seconds after which the process is killed: a file may ignore every signal."""


class FileTrial(QObject):
    """One file that is being tried.

    Args:
        trial: its process, which this object ends.
        parent: the owner of this object.

    Signals:
        ended: the file's failure, or None if it loads well; not emitted after `stop`.
    """

    ended = Signal(object)

    def __init__(self, trial: dry_run.Trial, parent: QObject) -> None:
        super().__init__(parent)
        self._trial = trial
        self._notifier = QSocketNotifier(trial.child.pipe.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._take)
        self._timer = QTimer(self, singleShot=True, interval=int(LATEST * 1000))
        self._timer.timeout.connect(self._take)
        self._timer.start()

    def _take(self) -> None:
        """Take the answer; there is none if the process has to be killed."""
        last = self._trial.child.receive(0)
        self.stop()
        self.ended.emit(self._trial.failure(last))

    def stop(self) -> None:
        """End the process; the file has changed, or the window closes."""
        self._notifier.setEnabled(False)
        self._timer.stop()
        self._trial.child.end()
        self.deleteLater()
