"""A session in a thread of its own: commands in, consistent views out; whoever shows them pulls at its own pace."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.explore.history import SERIES
from foliolab.framework.explore.lane import as_error
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.view import HistoryView, LaneView, View

T = TypeVar("T")
FLAT_OUT: Final = float("inf")
FRAME: Final = 1 / 72
"""Seconds from one view to the next, at least."""
HISTORY_EVERY: Final = 0.2
"""Seconds from one copy of the history to the next, at least, while it runs."""
PAINTING: Final = 0.55
"""The part of the time that painting maps may take while it runs."""
IDLE: Final = 0.25
"""Seconds without a command after which a paused session prepares to go back."""
SLICE: Final = 0.008
"""Seconds that run between two looks at the commands, at most."""
SHORTEST: Final = 0.002


@dataclass
class _Rate:
    """How fast it goes, over the last half second or so."""

    since: float = 0.0
    position: int = 0
    operations: int = 0
    steps: float = 0.0
    pages: float = 0.0

    def look(self, position: int, operations: int) -> None:
        now = time.perf_counter()
        passed = now - self.since
        if passed < 0.5:
            return
        if passed < 2 and position >= self.position:
            self.steps = (position - self.position) / passed
            self.pages = max(0, operations - self.operations) / passed
        self.since, self.position, self.operations = now, position, operations

    def rest(self) -> None:
        self.since, self.steps, self.pages = 0.0, 0.0, 0.0


_Drawn = dict[tuple[int, int], NDArray[np.uint8]]


@dataclass
class _Maps:
    """One set of buffers."""

    cells: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict)
    dots: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict)


def _ordinary(size: int) -> NDArray[np.uint8]:
    return np.empty(size, np.uint8)


class Worker:
    """Runs a session in a thread.

    Commands return at once and are done in order; `pause`, `back` and what else goes elsewhere ends a search or a
    run that is under way. Only the thread touches the session: ask it by `ask`.

    Args:
        make: makes the session; called in the thread, as that may take seconds.
        name: of the thread.
        room: makes the arrays of maps, uint8, of so many bytes.
        held: views that stay as they are: the newest that was taken, and so many less one before it.

    Attributes:
        published: set whenever there is another view; whoever waits for it clears it.
    """

    def __init__(
        self,
        make: Callable[[], Session],
        name: str = "explore",
        room: Callable[[int], NDArray[np.uint8]] | None = None,
        held: int = 1,
    ) -> None:
        self._make = make
        self._room = room if room is not None else _ordinary
        self.published = threading.Event()
        self._commands: queue.SimpleQueue[tuple[Callable[[Session], Any], Future[Any] | None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._urgent = threading.Event()
        self._ready = threading.Event()
        self._latest: View | None = None
        self._latest_set = -1
        self._held: deque[int] = deque([-1] * held, held)
        self._seen = True
        self._sets = [_Maps() for _ in range(held + 2)]
        self._shown: tuple[tuple[int, int], ...] = ()
        self._weights: NDArray[np.int64] | None = None
        self._number = 0
        self._playing = False
        self._speed = FLAT_OUT
        self._owed = 0.0
        self._owed_at = 0.0
        self._error: FolioLabError | None = None
        self._rate = _Rate()
        self._history: HistoryView | None = None
        self._history_at = (-1, 0.0)
        self._due = 0.0
        """When the next view is to be made."""
        self._changed = True
        self.failed: FolioLabError | None = None
        """Why there is no session; None while there is, or while it is made."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    # -- commands ---------------------------------------------------------------------------------------
    def play(self, speed: float = FLAT_OUT) -> None:
        """Go on by itself.

        Args:
            speed: steps a second; FLAT_OUT: as fast as it can.
        """
        self._do(lambda session: self._start(speed), urgent=True)

    def pause(self) -> None:
        """Stop where it is."""
        self._do(lambda session: self._stop(), urgent=True)

    def step(self, nr: int = 1) -> None:
        """Do so many steps."""
        self._do(lambda session: self._go(session, session.position + nr), urgent=True)

    def back(self) -> None:
        """Undo the last step."""
        self._do(lambda session: self._go(session, session.position - 1), urgent=True)

    def goto(self, position: int) -> None:
        """Go to a position."""
        self._do(lambda session: self._go(session, position), urgent=True)

    def next_wrong(self, lane: int | None = None) -> None:
        """Go on to where an answer becomes wrong (see `Session.next_wrong`)."""
        self._do(lambda session: self._seek(lambda: session.next_wrong(lane, self._broken)), urgent=True)

    def previous_wrong(self, lane: int | None = None) -> None:
        """Go back to where an answer became wrong (see `Session.previous_wrong`)."""
        self._do(lambda session: self._seek(lambda: session.previous_wrong(lane, self._broken)), urgent=True)

    def show(self, maps: Sequence[tuple[int, int]], weights: NDArray[np.integer[Any]] | None = None) -> None:
        """Which maps are to be painted from now on.

        Args:
            maps: (lane, number of the map) each.
            weights: of each byte of a map, 0 to 127, shape (256,): for whoever draws four pages as one dot.
        """
        wanted = tuple(maps)
        words = None if weights is None else np.ascontiguousarray(weights, np.int64)
        self._do(lambda session: self._show(wanted, words))

    def ask(self, question: Callable[[Session], T]) -> Future[T]:
        """Let the thread call something with the session, between two stretches of steps.

        Returns:
            its answer, or what it raised; cancelled if the worker is closed first.
        """
        answer: Future[T] = Future()
        if self._closing.is_set() or self.failed is not None:
            answer.cancel()
            return answer
        self._do(question, answer)
        return answer

    def close(self, timeout: float = 5.0) -> bool:
        """End the thread; whether it ended in time. What was asked and not answered is cancelled."""
        self._closing.set()
        self._urgent.set()
        self._commands.put((lambda session: None, None))
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- views ------------------------------------------------------------------------------------------
    @property
    def ready(self) -> bool:
        """Whether the session is made."""
        return self._ready.is_set()

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until the session is made, or cannot be; whether it is."""
        self._ready.wait(timeout)
        return self._ready.is_set() and self.failed is None

    def view(self) -> View | None:
        """The newest view; None before the first. Its maps stay as they are until this is called again."""
        with self._lock:
            if self._held[-1] != self._latest_set:
                self._held.append(self._latest_set)
            self._seen = True
            return self._latest

    # -- in the thread ----------------------------------------------------------------------------------
    def _do(self, command: Callable[[Session], Any], answer: Future[Any] | None = None, urgent: bool = False) -> None:
        if urgent:
            self._urgent.set()
        self._commands.put((command, answer))

    def _run(self) -> None:
        session: Session | None = None
        try:
            session = self._make()
            session.awaited = self._awaited
        except Exception as fault:  # whatever a plugin's own code raises
            self.failed = fault if isinstance(fault, FolioLabError) else UsageError(f"nothing can be explored: {fault}")
        self._ready.set()
        try:
            if session is not None:
                self._loop(session)
        finally:
            self._cancel()
            if session is not None:
                session.close()

    def _loop(self, session: Session) -> None:
        prepared = -1
        self._publish(session)
        while not self._closing.is_set():
            busy = self._playing and not session.at_end
            wait = 0.0 if busy else FRAME if self._changed else IDLE
            if not self._answer_all(session, wait) and not busy and not self._changed:
                if prepared != session.position and not self._closing.is_set():
                    self._urgent.clear()
                    session.prepare(self._broken)
                    prepared = session.position
                continue
            if self._closing.is_set():
                return
            if self._playing:
                self._go_on(session)
            self._publish(session)

    def _answer_all(self, session: Session, wait: float) -> bool:
        """Do what was commanded; whether there was anything."""
        any_done = False
        while not self._closing.is_set():
            try:
                command, answer = self._commands.get(timeout=wait) if wait else self._commands.get_nowait()
            except queue.Empty:
                return any_done
            any_done, wait = True, 0.0
            self._urgent.clear()
            self._one(session, command, answer)
            if self._changed and not self._commands.empty():
                self._publish(session)  # before the next command, which may be a question that takes long
        return any_done

    def _one(self, session: Session, command: Callable[[Session], Any], answer: Future[Any] | None) -> None:
        if answer is not None and not answer.set_running_or_notify_cancel():
            return
        before = session.position
        try:
            result = command(session)
        except Exception as fault:  # a command's error is shown, and the thread lives on
            if answer is not None:
                answer.set_exception(fault)
                return
            self._error = fault if isinstance(fault, FolioLabError) else as_error(session.lanes[0].scheme, fault)
            self._changed = True
            return
        if answer is not None:
            answer.set_result(result)
        else:
            self._error, self._changed = None, True
        self._changed |= session.position != before

    def _broken(self) -> bool:
        return self._closing.is_set() or self._urgent.is_set()

    def _awaited(self) -> bool:
        return self._playing or self._broken()

    def _start(self, speed: float) -> None:
        self._playing, self._speed = True, max(speed, 0.0)
        self._owed, self._owed_at = 0.0, time.perf_counter()
        self._rate.rest()

    def _stop(self) -> None:
        self._playing = False
        self._rate.rest()

    def _go(self, session: Session, position: int) -> None:
        self._stop()
        wanted = min(max(position, 0), session.nr_steps)
        if wanted <= session.position:
            session.goto(wanted)
        # forward in stretches, so that it can be broken off and shown on the way
        while session.position < wanted and not self._broken():
            session.play(SLICE, wanted)
            self._publish(session, f"going to step {wanted:,}")

    def _seek(self, search: Callable[[], bool]) -> None:
        self._stop()
        if not search() and not self._broken():
            self._error = UsageError("there is no further wrong answer in this direction")
            raise self._error

    def _show(self, maps: tuple[tuple[int, int], ...], weights: NDArray[np.int64] | None) -> None:
        self._shown, self._weights = maps, weights

    def _go_on(self, session: Session) -> None:
        """A slice of playing."""
        if session.at_end:
            self._stop()
            self._changed = True
            return
        if self._speed == FLAT_OUT:
            session.play(self._slice(time.perf_counter()))
        else:
            now = time.perf_counter()
            self._owed = min(self._owed + (now - self._owed_at) * self._speed, self._speed)  # a second's at most
            self._owed_at = now
            steps = int(self._owed)
            if not steps:
                time.sleep(min(0.004, 1 / max(self._speed, 1e-3)))
                return
            before = session.position
            session.play(self._slice(now), before + steps)
            self._owed -= session.position - before
        if session.position == session.nr_steps:
            self._stop()
        self._changed = True

    def _slice(self, now: float) -> float:
        """Seconds until somebody has to be looked after: a command, or the next view."""
        return min(SLICE, max(self._due - now, SHORTEST)) if self._seen else SLICE

    # -- publishing -------------------------------------------------------------------------------------
    def _publish(self, session: Session, busy: str = "") -> None:
        """Make a view, if something changed, the last one was seen, and it is time."""
        now = time.perf_counter()
        if not self._changed and not busy:
            return
        running = self._playing or bool(busy)
        if self._latest is not None and running and (not self._seen or now < self._due):
            return
        with self._lock:
            free = next(i for i in range(len(self._sets)) if i != self._latest_set and i not in self._held)
        view = self._view(session, *self._painted(session, self._sets[free]), busy)
        with self._lock:
            self._latest, self._latest_set, self._seen = view, free, False
        self.published.set()
        # counted from when it was due: what came late does not make the next one late
        pause = max(FRAME, (time.perf_counter() - now) / PAINTING)
        self._due = min(max(self._due, now - pause), now) + pause
        self._changed = False

    def _painted(self, session: Session, into: _Maps) -> tuple[_Drawn, _Drawn]:
        """(cells, dots) of what is to be shown."""
        cells: _Drawn = {}
        dots: _Drawn = {}

        def paint(key: tuple[int, int]) -> None:
            lane = session.lanes[key[0]]
            if key not in into.cells or into.cells[key].size < lane.room:
                into.cells[key] = self._room(lane.room)
                into.dots[key] = self._room(lane.room // 4)
            cells[key] = lane.cells(key[1], into.cells[key])
            if self._weights is not None:
                dots[key] = lane.dots(into.cells[key], self._weights, into.dots[key])

        there = [(lane, mm) for lane, mm in self._shown if lane < len(session.lanes) and mm < len(session.source.mms)]
        if there and not into.cells:  # native code is loaded on the way
            paint(there[0])
        session.together.each(paint, there)
        return cells, dots

    def _view(self, session: Session, maps: _Drawn, dots: _Drawn, busy: str) -> View:
        self._number += 1
        lanes = tuple(LaneView(lane.name, lane.totals(), tuple(lane.names()), lane.error) for lane in session.lanes)
        if self._playing:
            self._rate.look(session.position, sum(lane.totals.page_operations for lane in lanes))
        position = session.position
        return View(
            number=self._number,
            position=position,
            farthest=session.farthest,
            nr_steps=session.nr_steps,
            playing=self._playing,
            at_end=session.at_end,
            told=session.source.told(position - 1) if position else "",
            lanes=lanes,
            maps=maps,
            dots=dots,
            history=self._history_view(session),
            steps_per_second=self._rate.steps,
            page_operations_per_second=self._rate.pages,
            busy=busy,
            error=self._error,
        )

    def _history_view(self, session: Session) -> HistoryView:
        farthest, when = self._history_at
        now = time.perf_counter()
        if self._history is not None and (
            farthest == session.farthest or (self._playing and now - when < HISTORY_EVERY)
        ):
            return self._history
        history = session.history
        lanes = range(len(session.lanes))
        marks, counts = session.marks.disagreements()
        self._history = HistoryView(
            positions=history.positions,
            low=np.array([[history.low(lane, one) for one in SERIES] for lane in lanes]),
            high=np.array([[history.high(lane, one) for one in SERIES] for lane in lanes]),
            marks=marks,
            mark_counts=counts,
        )
        self._history_at = session.farthest, now
        return self._history

    def _cancel(self) -> None:
        """Nobody answers any more."""
        while True:
            try:
                _, answer = self._commands.get_nowait()
            except queue.Empty:
                return
            if answer is not None:
                answer.cancel()


__all__ = ["FLAT_OUT", "CancelledError", "HistoryView", "LaneView", "View", "Worker"]
