"""Sessions whose processes were asked to end: the window does not wait for that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from foliolab.framework.explore.session_process import SessionProcess

PATIENCE: Final = 0.3
"""Seconds that a process has to end by itself."""
LOOK: Final = 20
"""Milliseconds from one look to the next."""


class Leaving(QObject):
    """The sessions that are ending; each is killed if it does not end within `PATIENCE`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._sessions: list[tuple[SessionProcess, float]] = []
        self._timer = QTimer(self, interval=LOOK)
        self._timer.timeout.connect(self._look)

    def add(self, session: SessionProcess) -> None:
        """See to the end of a session that was asked to leave."""
        self._sessions.append((session, time.monotonic() + PATIENCE))
        self._timer.start()

    def _look(self) -> None:
        now = time.monotonic()
        self._sessions = [(one, until) for one, until in self._sessions if not one.left(kill=now > until)]
        if not self._sessions:
            self._timer.stop()

    def shut(self) -> None:
        """Kill them, and wait for their end."""
        self._timer.stop()
        for session, _ in self._sessions:
            session.left(kill=True)
        for session, _ in self._sessions:
            session.close()
        self._sessions.clear()
