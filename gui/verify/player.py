"""Plays counterexamples in a thread, because a long one takes seconds."""

from __future__ import annotations

import threading
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
        self._current: _Playing | None = None
        self._timer = QTimer(self, interval=INTERVAL)
        self._timer.timeout.connect(self._check)

    def play(self, counterexample: Counterexample, scheme: Scheme) -> None:
        """Start to play; a counterexample that is still being played is dropped."""
        self._current = _Playing(counterexample, scheme)
        self._timer.start()

    def shut(self) -> None:
        self._timer.stop()
        self._current = None

    def _check(self) -> None:
        done = self._current
        if done is None or (done.timeline is None and done.fault is None):
            return
        self.shut()
        if done.fault is not None:
            self.failed.emit(done.fault)
        else:
            self.played.emit(done.timeline)


class _Playing:
    """One counterexample in a thread. It has a timeline when it is played, or the fault for which it cannot be."""

    def __init__(self, counterexample: Counterexample, scheme: Scheme) -> None:
        self.timeline: Timeline | None = None
        self.fault: FolioLabError | None = None
        self._arguments = counterexample, scheme
        # A daemon thread: it runs the policy's code, which the watchdog of the verifier ends if it hangs.
        threading.Thread(target=self._play, name="counterexample", daemon=True).start()

    def _play(self) -> None:
        from foliolab.framework.verify.timeline import Timeline

        try:
            self.timeline = Timeline(*self._arguments)
        except FolioLabError as fault:
            self.fault = fault
        except Exception as fault:  # the policy's code can raise anything
            self.fault = PluginError(f"the counterexample cannot be played: {type(fault).__name__}: {fault}")
