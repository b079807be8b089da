"""A worker in a process of its own: what crashes there, or never ends, takes nobody along."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.framework.explore import shared_arrays
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.shared_arrays import Arena, Place, Window
from foliolab.framework.explore.view import HistoryView, View
from foliolab.framework.explore.worker import FLAT_OUT, Worker
from foliolab.framework.isolation.process import Child, Crash, Failure, ready

T = TypeVar("T")
LANES: Final = 64
"""Lanes of which it is known whether they are in a policy's native code."""
ENDS: Final = 0.3
"""Seconds that the process has to end by itself."""
_Key = tuple[int, int]


@dataclass(frozen=True)
class _Ready:
    failed: FolioLabError | None
    policies: tuple[str, ...]


@dataclass(frozen=True)
class _Shown:
    """A view whose maps are elsewhere."""

    view: View
    maps: dict[_Key, Place]
    dots: dict[_Key, Place]
    history: HistoryView | None


@dataclass(frozen=True)
class _Answer:
    number: int
    value: Any
    fault: Exception | None


class Remote:
    """A `Worker` in a process: the same commands, the same views.

    Nothing here waits for the process, except `wait_ready`; what it said is heard in `poll`, which `view` calls too.

    Args:
        make: makes the session, in the process; it must be picklable.

    Attributes:
        failed: why there is no session, or none any more; None while there is, or while it is made.
        crashed: whether that is because the process ended.
    """

    def __init__(self, make: Callable[[], Session]) -> None:
        self.failed: FolioLabError | None = None
        self.crashed = False
        self._ready = False
        self._policies: tuple[str, ...] = ()
        self._view: View | None = None
        self._waiting: _Shown | None = None
        self._history: HistoryView | None = None
        self._asked: dict[int, Future[Any]] = {}
        self._number = 0
        self._heard = time.monotonic()
        self._owed = False
        self._folder = shared_arrays.folder()
        self._arena = Window(self._folder)
        self._child = Child(serve, make, self._folder, name="explore")
        self.process = self._child.process

    # -- commands ---------------------------------------------------------------------------------------
    def play(self, speed: float = FLAT_OUT) -> None:
        """See `Worker.play`."""
        self._send("play", speed)

    def pause(self) -> None:
        """See `Worker.pause`."""
        self._send("pause")

    def step(self, nr: int = 1) -> None:
        """See `Worker.step`."""
        self._send("step", nr)

    def back(self) -> None:
        """See `Worker.back`."""
        self._send("back")

    def goto(self, position: int) -> None:
        """See `Worker.goto`."""
        self._send("goto", position)

    def next_wrong(self, lane: int | None = None) -> None:
        """See `Worker.next_wrong`."""
        self._send("next_wrong", lane)

    def previous_wrong(self, lane: int | None = None) -> None:
        """See `Worker.previous_wrong`."""
        self._send("previous_wrong", lane)

    def show(self, maps: Sequence[_Key], weights: NDArray[np.integer[Any]] | None = None) -> None:
        """See `Worker.show`."""
        self._send("show", tuple(maps), weights)

    def ask(self, question: Callable[[Session], T]) -> Future[T]:
        """See `Worker.ask`; question and answer must be picklable."""
        answer: Future[T] = Future()
        if self.failed is not None or self._child.pipe.closed:
            answer.cancel()
            return answer
        self._number += 1
        number = self._number
        self._asked[number] = answer
        self._send("ask", number, question)
        answer.add_done_callback(lambda done: self._send("cancel", number) if done.cancelled() else None)
        return answer

    def close(self, timeout: float = ENDS) -> bool:
        """End the process, by force where it does not end in time; whether it has ended."""
        self._send("close")
        self._child.end(timeout)
        self._forget()
        self._waiting = None
        shared_arrays.discard(self._folder)
        return not self.process.is_alive()

    # -- what it says -----------------------------------------------------------------------------------
    @property
    def ready(self) -> bool:
        """Whether the session is made."""
        self.poll()
        return self._ready

    @property
    def silent(self) -> float:
        """Seconds for which an answer has been owed; 0 if none is, or if it is not made yet."""
        owes = self._ready and (self._owed or bool(self._asked)) and self.failed is None
        return time.monotonic() - self._heard if owes else 0.0

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until the session is made, or cannot be; whether it is."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._ready and self.failed is None and (until is None or time.monotonic() < until):
            ready([self._child], 0.02)
            self.poll()
        return self._ready and self.failed is None

    def view(self) -> View | None:
        """See `Worker.view`."""
        self.poll()
        if self._waiting is not None:
            shown, self._waiting = self._waiting, None
            if shown.history is not None:
                self._history = shown.history
            assert self._history is not None
            self._view = replace(
                shown.view,
                maps={key: self._arena.at(place) for key, place in shown.maps.items()},
                dots={key: self._arena.at(place) for key, place in shown.dots.items()},
                history=self._history,
            )
            self._owed = self._view.playing or bool(self._view.busy)
            self._send("next")
        return self._view

    def poll(self) -> None:
        """Hear what the process has said since."""
        for message in self._child.arrived():
            self._take(message)
            self._heard = time.monotonic()

    def _take(self, said: object) -> None:
        if isinstance(said, _Shown):
            self._waiting = said
        elif isinstance(said, _Answer):
            future = self._asked.pop(said.number, None)
            if future is not None and future.set_running_or_notify_cancel():
                if said.fault is not None:
                    future.set_exception(said.fault)
                else:
                    future.set_result(said.value)
        elif isinstance(said, _Ready):
            self._ready, self.failed, self._policies = True, said.failed, said.policies
        elif isinstance(said, (Crash, Failure)):
            self.crashed = isinstance(said, Crash)
            self.failed = (
                PluginError(f"{self._who()}: its process {said.how}", _HINT) if isinstance(said, Crash) else said.error
            )
            self._ready = True
            self._child.end()
            self._forget()

    def _who(self) -> str:
        """The policies that were running, so far as it is known."""
        names = self._policies
        with suppress(OSError, ValueError):
            running = self._arena.at(Place(0, 0, LANES))
            names = tuple(name for name, here in zip(names, running, strict=False) if here) or names
        return f"policy {' or '.join(names)}" if names else "what was to be explored"

    def _forget(self) -> None:
        asked, self._asked = self._asked, {}
        for future in asked.values():
            future.cancel()

    def _send(self, *what: Any) -> None:
        if self._child.pipe.closed:
            return
        if not self._owed and what[0] not in ("next", "cancel", "close"):
            self._heard, self._owed = time.monotonic(), what[0] != "ask"
        if not self._child.send(what):
            self.poll()  # its last messages, then the crash


_HINT: Final = "its native code crashed; `foliolab verify` finds writes outside a folio. What was chosen is kept"


# -- in the process ------------------------------------------------------------------------------------------
class _Server:
    """Does what is commanded, and sends views."""

    def __init__(self, pipe: Connection, make: Callable[[], Session], folder: str) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._arena = Arena(folder)
        self._running = self._arena.take(LANES)
        self._asked: dict[int, Future[Any]] = {}
        self._wanted = threading.Event()
        self._wanted.set()
        self._closing = threading.Event()
        self.worker = Worker(lambda: self._watched(make()), room=self._arena.take, held=2)

    def _watched(self, session: Session) -> Session:
        for number, lane in enumerate(session.lanes[:LANES]):
            lane.busy = self._running[number : number + 1]
        self._policies = tuple(lane.name for lane in session.lanes)
        return session

    def run(self) -> None:
        """Until it is told to end, or nobody is there any more."""
        threading.Thread(target=self._views, name="views", daemon=True).start()
        try:
            while not self._closing.is_set():
                self._do(*self._pipe.recv())
        except (EOFError, OSError):
            pass

    def _do(self, what: str, *arguments: Any) -> None:
        if what == "next":
            self._wanted.set()
        elif what == "ask":
            self._ask(*arguments)
        elif what == "cancel":
            if (asked := self._asked.pop(arguments[0], None)) is not None:
                asked.cancel()
        elif what == "close":
            self._closing.set()
        else:
            getattr(self.worker, what)(*arguments)

    def _ask(self, number: int, question: Callable[[Session], Any]) -> None:
        future = self._asked[number] = self.worker.ask(question)
        future.add_done_callback(lambda done: self._answered(number, done))

    def _answered(self, number: int, done: Future[Any]) -> None:
        self._asked.pop(number, None)
        if done.cancelled():
            return
        fault = done.exception()
        if fault is not None and not isinstance(fault, FolioLabError):
            fault = FolioLabError(f"{type(fault).__name__}: {fault}", "please report it")
        self._send(_Answer(number, None if fault else done.result(), fault))

    def _views(self) -> None:
        """Send each view, once the one before has been taken."""
        self.worker.wait_ready()
        policies = self._policies if self.worker.failed is None else ()
        self._send(_Ready(self.worker.failed, policies))
        last, history = -1, None
        while not self._closing.is_set() and self.worker.failed is None:
            self._wanted.wait()
            self.worker.published.wait(0.5)
            self.worker.published.clear()
            view = self.worker.view()
            if view is None or view.number == last:
                continue
            self._wanted.clear()
            fresh = view.history if view.history is not history else None
            last, history = view.number, view.history
            maps = {key: self._arena.place(one) for key, one in view.maps.items()}
            dots = {key: self._arena.place(one) for key, one in view.dots.items()}
            bare = replace(view, maps={}, dots={}, history=_EMPTY)
            self._send(_Shown(bare, maps, dots, fresh))

    def _send(self, what: object) -> None:
        with self._sending, suppress(BrokenPipeError, OSError):
            try:
                self._pipe.send_bytes(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))
            except (pickle.PicklingError, AttributeError, TypeError) as fault:
                assert isinstance(what, _Answer), fault
                error = FolioLabError(f"the answer cannot be sent: {fault}", "please report it")
                self._pipe.send(_Answer(what.number, None, error))


_EMPTY: Final = HistoryView(
    np.zeros(0, np.int64), np.zeros((0, 0, 0)), np.zeros((0, 0, 0)), np.zeros(0, np.int64), np.zeros(0, np.int64)
)


def serve(pipe: Connection, make: Callable[[], Session], folder: str) -> None:
    """Entry of the process."""
    server = _Server(pipe, make, folder)
    server.run()
    shared_arrays.discard(folder)
    os._exit(0)  # a thread in native code is not waited for
