"""Plays counterexamples in a thread, because a long one takes seconds."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer, Signal

from foliolab.framework.errors import FolioLabError, PluginError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.timeline import Timeline

INTERVAL: Final = 40
"""Milliseconds between two checks whether the counterexample is played."""


class Player(QObject):
    """Plays the latest counterexample that it was given.

    Signals:
        played: the `Timeline` of the counterexample.
        failed: the FolioLabError for which it cannot be played.
    """

    played = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._timeline: Future[Timeline] | None = None
        self._timer = QTimer(self, interval=INTERVAL)
        self._timer.timeout.connect(self._check)

    def play(self, counterexample: Counterexample, scheme: Scheme) -> None:
        """Start to play; a counterexample that is still being played is dropped."""
        self._timeline = Future()
        # A daemon thread: it runs the policy's code, which the watchdog of the verifier ends if it hangs.
        arguments = (self._timeline, counterexample, scheme)
        threading.Thread(target=_play, args=arguments, name="counterexample", daemon=True).start()
        self._timer.start()

    def shut(self) -> None:
        self._timer.stop()
        self._timeline = None

    def _check(self) -> None:
        done = self._timeline
        if done is None or not done.done():
            return
        self.shut()
        fault = done.exception()
        if fault is None:
            self.played.emit(done.result())
        elif isinstance(fault, FolioLabError):
            self.failed.emit(fault)
        else:
            self.failed.emit(PluginError(f"the counterexample cannot be played: {type(fault).__name__}: {fault}"))


def _play(timeline: Future[Timeline], counterexample: Counterexample, scheme: Scheme) -> None:
    from foliolab.framework.verify.timeline import Timeline

    try:
        timeline.set_result(Timeline(counterexample, scheme))
    except Exception as fault:  # the policy's code can raise anything
        timeline.set_exception(fault)
