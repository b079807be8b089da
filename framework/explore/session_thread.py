"""A session in a thread of its own: commands go in, consistent views come out.

The thread never waits for the window. It makes a view only after the last one was taken, so a window that is slow to
draw gets fewer views, and the session does more steps in between.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.explore.commands import FLAT_OUT, MapKey, SessionCommands
from foliolab.framework.explore.history import SERIES
from foliolab.framework.explore.lane import as_error
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.view import HistoryView, LaneView, View

T = TypeVar("T")
FRAME: Final = 1 / 72
"""Least seconds from one view to the next."""
HISTORY_EVERY: Final = 0.2
"""Least seconds from one copy of the history to the next, while playing."""
PAINTING: Final = 0.55
"""Greatest part of the time that painting maps may take, while playing."""
IDLE: Final = 0.25
"""Seconds without a command after which a paused session prepares to go back."""
SLICE: Final = 0.008
"""Most seconds of running between two looks for commands."""
SHORTEST: Final = 0.002
"""Least seconds of such a slice."""
_Maps = dict[MapKey, NDArray[np.uint8]]


@dataclass
class _Rate:
    """Page operations a second, measured over half a second."""

    since: float = 0.0
    operations: int = 0
    pages: float = 0.0

    def update(self, operations: int) -> None:
        now = time.perf_counter()
        passed = now - self.since
        if passed < 0.5:
            return
        if passed < 2 and operations >= self.operations:
            self.pages = (operations - self.operations) / passed
        self.since, self.operations = now, operations

    def reset(self) -> None:
        self.since, self.pages = 0.0, 0.0


@dataclass
class _Buffers:
    """Buffers for the maps of one view."""

    cells: _Maps = field(default_factory=dict)
    dots: _Maps = field(default_factory=dict)


def _new_array(size: int) -> NDArray[np.uint8]:
    return np.empty(size, np.uint8)


class SessionThread(SessionCommands):
    """Runs a session in a thread; only this thread touches the session.

    Args:
        make: makes the session; called in the thread, because it may take seconds.
        new_array: makes a uint8 array of so many bytes for a map.
        held: number of views whose maps must stay unchanged: the newest one that was taken, and those taken before.

    Attributes:
        published: set when there is a new view; a thread that waits for it must clear it.
        failed: why there is no session; None while it is made, and afterwards if it could be made.
    """

    def __init__(
        self, make: Callable[[], Session], new_array: Callable[[int], NDArray[np.uint8]] = _new_array, held: int = 1
    ) -> None:
        self._make = make
        self._new_array = new_array
        self.published = threading.Event()
        self.failed: FolioLabError | None = None
        self._commands: queue.SimpleQueue[tuple[Callable[[Session], Any], Future[Any] | None]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._interrupt = threading.Event()  # a command waits that ends a search or a run in progress
        self._ready = threading.Event()
        # views: each has one of the sets of buffers, and a set is free unless its view is the newest or is held
        self._lock = threading.Lock()
        self._latest: View | None = None
        self._latest_set = -1
        self._held: deque[int] = deque([-1] * held, held)
        self._taken = True
        self._sets = [_Buffers() for _ in range(held + 2)]
        self._number = 0
        self._due = 0.0  # when the next view is to be made
        self._changed = True  # whether it would differ from the newest one
        self._shown: tuple[MapKey, ...] = ()
        self._weights: NDArray[np.int64] | None = None
        self._history: HistoryView | None = None
        self._history_made = (-1, 0.0)  # farthest position and time of the copy
        # playing
        self._playing = False
        self._speed = FLAT_OUT
        self._steps_due = 0.0
        self._steps_due_at = 0.0
        self._error: FolioLabError | None = None
        self._rate = _Rate()
        self._thread = threading.Thread(target=self._run, name="explore", daemon=True)
        self._thread.start()

    # -- called by other threads ------------------------------------------------------------------------
    def command(self, name: str, *arguments: Any) -> None:
        if name != "show":
            self._interrupt.set()
        self._commands.put((partial(getattr(self, f"_do_{name}"), *arguments), None))

    def ask(self, question: Callable[[Session], T]) -> Future[T]:
        answer: Future[T] = Future()
        if self._closing.is_set() or self.failed is not None:
            answer.cancel()
        else:
            self._commands.put((question, answer))
        return answer

    def close(self, timeout: float = 5.0) -> bool:
        """End the thread and cancel open questions; return whether it ended in time."""
        self._closing.set()
        self._interrupt.set()
        self._commands.put((lambda session: None, None))
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether the session is made, or could not be made."""
        return self._ready.is_set()

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until `ready`; return whether there is a session."""
        self._ready.wait(timeout)
        return self._ready.is_set() and self.failed is None

    def view(self) -> View | None:
        with self._lock:
            if self._held[-1] != self._latest_set:
                self._held.append(self._latest_set)
            self._taken = True
            return self._latest

    # -- the thread -------------------------------------------------------------------------------------
    def _run(self) -> None:
        session: Session | None = None
        try:
            session = self._make()
            session.awaited = lambda: self._playing or self._interrupted()
        except Exception as fault:  # whatever a plugin's own code raises
            self.failed = fault if isinstance(fault, FolioLabError) else UsageError(f"nothing can be explored: {fault}")
        self._ready.set()
        try:
            if session is not None:
                self._loop(session)
        finally:
            self._cancel_questions()
            if session is not None:
                session.close()

    def _loop(self, session: Session) -> None:
        prepared = -1
        self._publish(session)
        while not self._closing.is_set():
            busy = self._playing and not session.at_end
            wait = 0.0 if busy else FRAME if self._changed else IDLE
            if not self._serve(session, wait) and not busy and not self._changed:
                if prepared != session.position and not self._closing.is_set():
                    self._interrupt.clear()
                    session.prepare(self._interrupted)
                    prepared = session.position
                continue
            if self._closing.is_set():
                return
            if self._playing:
                self._play_slice(session)
            self._publish(session)

    def _serve(self, session: Session, wait: float) -> bool:
        """Do the commands that have come, or come within `wait` seconds; return whether there was one."""
        any_done = False
        while not self._closing.is_set():
            try:
                command, answer = self._commands.get(timeout=wait) if wait else self._commands.get_nowait()
            except queue.Empty:
                return any_done
            any_done, wait = True, 0.0
            self._interrupt.clear()
            self._call(session, command, answer)
            if self._changed and not self._commands.empty():
                self._publish(session)  # before the next command, which may be a question that takes long
        return any_done

    def _call(self, session: Session, command: Callable[[Session], Any], answer: Future[Any] | None) -> None:
        if answer is not None and not answer.set_running_or_notify_cancel():
            return
        before = session.position
        try:
            result = command(session)
        except Exception as fault:  # an error of a command is shown; the thread goes on
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

    def _interrupted(self) -> bool:
        return self._closing.is_set() or self._interrupt.is_set()

    def _cancel_questions(self) -> None:
        while True:
            try:
                _, answer = self._commands.get_nowait()
            except queue.Empty:
                return
            if answer is not None:
                answer.cancel()

    # -- commands, in the thread ------------------------------------------------------------------------
    def _do_play(self, speed: float, session: Session) -> None:
        self._playing, self._speed = True, max(speed, 0.0)
        self._steps_due, self._steps_due_at = 0.0, time.perf_counter()
        self._rate.reset()

    def _do_pause(self, session: Session) -> None:
        self._stop()

    def _do_step(self, nr: int, session: Session) -> None:
        self._do_goto(session.position + nr, session)

    def _do_back(self, session: Session) -> None:
        self._do_goto(session.position - 1, session)

    def _do_goto(self, position: int, session: Session) -> None:
        self._stop()
        wanted = min(max(position, 0), session.nr_steps)
        if wanted <= session.position:
            session.goto(wanted)
        # forward in slices, so that a command can interrupt it, and views show it
        while session.position < wanted and not self._interrupted():
            session.play(SLICE, wanted)
            self._publish(session, f"going to step {wanted:,}")

    def _do_next_wrong(self, lane: int | None, session: Session) -> None:
        self._stop()
        self._found(session.next_wrong(lane, self._interrupted))

    def _do_previous_wrong(self, lane: int | None, session: Session) -> None:
        self._stop()
        self._found(session.previous_wrong(lane, self._interrupted))

    def _found(self, found: bool) -> None:
        if not found and not self._interrupted():
            raise UsageError("there is no further wrong answer in this direction")

    def _do_show(self, maps: tuple[MapKey, ...], weights: NDArray[np.integer[Any]] | None, session: Session) -> None:
        self._shown = maps
        self._weights = None if weights is None else np.ascontiguousarray(weights, np.int64)

    def _stop(self) -> None:
        self._playing = False
        self._rate.reset()

    def _play_slice(self, session: Session) -> None:
        """Play until a command or a view may be due."""
        if session.at_end:
            self._stop()
            self._changed = True
            return
        now = time.perf_counter()
        if self._speed == FLAT_OUT:
            session.play(self._slice(now))
        else:
            # the steps that are due by now, but never more than those of one second
            self._steps_due = min(self._steps_due + (now - self._steps_due_at) * self._speed, self._speed)
            self._steps_due_at = now
            steps = int(self._steps_due)
            if not steps:
                time.sleep(min(0.004, 1 / max(self._speed, 1e-3)))
                return
            before = session.position
            session.play(self._slice(now), before + steps)
            self._steps_due -= session.position - before
        if session.position == session.nr_steps:
            self._stop()
        self._changed = True

    def _slice(self, now: float) -> float:
        """Seconds to run until the next look for commands, or until the next view is due."""
        return min(SLICE, max(self._due - now, SHORTEST)) if self._taken else SLICE

    # -- views, in the thread ---------------------------------------------------------------------------
    def _publish(self, session: Session, busy: str = "") -> None:
        """Make a view, if something changed; while running, only if the last view was taken and one is due."""
        now = time.perf_counter()
        if not self._changed and not busy:
            return
        running = self._playing or bool(busy)
        if self._latest is not None and running and (not self._taken or now < self._due):
            return
        with self._lock:
            free = next(i for i in range(len(self._sets)) if i != self._latest_set and i not in self._held)
        view = self._view(session, *self._paint(session, self._sets[free]), busy)
        with self._lock:
            self._latest, self._latest_set, self._taken = view, free, False
        self.published.set()
        # count from when the view was due, so that one late view does not delay the next
        pause = max(FRAME, (time.perf_counter() - now) / PAINTING)
        self._due = min(max(self._due, now - pause), now) + pause
        self._changed = False

    def _paint(self, session: Session, buffers: _Buffers) -> tuple[_Maps, _Maps]:
        """(cells, dots) of the maps that are shown."""
        cells: _Maps = {}
        dots: _Maps = {}

        def paint(key: MapKey) -> None:
            lane = session.lanes[key[0]]
            if key not in buffers.cells or buffers.cells[key].size < lane.room:
                buffers.cells[key] = self._new_array(lane.room)
                buffers.dots[key] = self._new_array(lane.room // 4)
            cells[key] = lane.cells(key[1], buffers.cells[key])
            if self._weights is not None:
                dots[key] = lane.dots(buffers.cells[key], self._weights, buffers.dots[key])

        keys = [(lane, mm) for lane, mm in self._shown if lane < len(session.lanes) and mm < len(session.source.mms)]
        if keys and not buffers.cells:  # alone, because it may load native code
            paint(keys[0])
        session.parallel.each(paint, keys)
        return cells, dots

    def _view(self, session: Session, maps: _Maps, dots: _Maps, busy: str) -> View:
        self._number += 1
        lanes = tuple(LaneView(lane.name, lane.totals(), tuple(lane.names()), lane.error) for lane in session.lanes)
        if self._playing:
            self._rate.update(sum(lane.totals.page_operations for lane in lanes))
        position = session.position
        return View(
            number=self._number,
            position=position,
            farthest=session.farthest,
            nr_steps=session.nr_steps,
            playing=self._playing,
            at_end=session.at_end,
            description=session.source.describe(position - 1) if position else "",
            lanes=lanes,
            maps=maps,
            dots=dots,
            history=self._copy_history(session),
            page_operations_per_second=self._rate.pages,
            busy=busy,
            error=self._error,
        )

    def _copy_history(self, session: Session) -> HistoryView:
        farthest, made = self._history_made
        now = time.perf_counter()
        if self._history is not None and (
            farthest == session.farthest or (self._playing and now - made < HISTORY_EVERY)
        ):
            return self._history
        history = session.history
        lanes = range(len(session.lanes))
        marks, counts = session.marks.disagreements()
        self._history = HistoryView(
            positions=history.positions,
            high=np.array([[history.high(lane, series) for series in SERIES] for lane in lanes]),
            low=np.array([[history.low(lane, series) for series in SERIES] for lane in lanes]),
            marks=marks,
            mark_counts=counts,
            wrongs=session.marks.wrongs(),
        )
        self._history_made = session.farthest, now
        return self._history
