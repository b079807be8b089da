"""A heartbeat of the window's loop: how long events keep it, and in which line of the code they do."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from PySide6.QtCore import QObject, Qt, QTimer

BEAT: Final = 5
"""Milliseconds from one beat to the next of an idle loop."""
SUSPICIOUS: Final = 0.04
"""Seconds without a beat after which the watcher looks what the thread of the loop does."""
LOOK: Final = 0.01
"""Seconds from one look to the next."""
OURS: Final = frozenset({"gui", "framework", "policies", "benchmarks"})
"""Folders whose lines a place names."""


@dataclass
class Gap:
    """A time without a beat.

    Args:
        action: what the session did.
        seconds: how long it was.
        used: processor time of the loop's thread in it: less than `seconds` where it waited.
        places: the lines of the code where the watcher found the thread, with how often it did.
    """

    action: str
    seconds: float
    used: float
    places: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One line, and below it the places, the most frequent first."""
        often = sorted(self.places.items(), key=lambda one: -one[1])[:3]
        where = "".join(f"\n      {count} × {place}" for place, count in often)
        return f"{1000 * self.seconds:5.0f} ms ({1000 * self.used:.0f} of its thread): {self.action}{where}"


class Heartbeat(QObject):
    """Beats while the loop is free, and keeps each gap longer than SUSPICIOUS.

    Make it in the thread of the loop. An event that keeps the loop for t seconds is a gap of at least t; a gap is at
    most BEAT longer, or as long as the host gives the thread no processor.

    Attributes:
        action: what the session does now; the caller sets it.
        gaps: those that were found.
    """

    def __init__(self) -> None:
        super().__init__()
        self.action = "start"
        self.gaps: list[Gap] = []
        self._thread = threading.get_ident()
        self._last, self._used = time.perf_counter(), time.thread_time()
        self._seen: dict[str, int] = {}
        self._over = threading.Event()
        self._timer = QTimer(self, interval=BEAT, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._watcher = threading.Thread(target=self._watch, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._last, self._used = time.perf_counter(), time.thread_time()
        self._timer.start()
        self._watcher.start()

    def stop(self) -> None:
        """End the beats and the watcher."""
        self._timer.stop()
        self._over.set()
        self._watcher.join()

    def longest(self, nr: int) -> list[Gap]:
        """The longest gaps, the longest one first."""
        return sorted(self.gaps, key=lambda gap: -gap.seconds)[:nr]

    def _beat(self) -> None:
        now, used = time.perf_counter(), time.thread_time()
        if now - self._last > SUSPICIOUS:
            self.gaps.append(Gap(self.action, now - self._last, used - self._used, self._seen))
        self._seen = {}
        self._last, self._used = now, used

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            if time.perf_counter() - self._last > SUSPICIOUS:
                place = _place(sys._current_frames().get(self._thread))
                self._seen[place] = self._seen.get(place, 0) + 1


def _place(frame: FrameType | None) -> str:
    """The innermost lines of the project's code in a stack, and the innermost line of all."""
    if frame is None:
        return "?"
    stack = traceback.extract_stack(frame, limit=40)
    own = [one for one in stack if OURS.intersection(Path(one.filename).parts)]
    lines = [f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in (*own[-3:], stack[-1])]
    return " > ".join(dict.fromkeys(lines))
