"""A session in a process of its own: a crash or an endless loop there does not affect the window.

A session runs native code of policies, which may be wrong: it can write to a wrong address and crash the process, or
loop without ever returning to Python. In the window's process either would end the window, and with it the results of
other workspaces. So the session runs in a child process (`isolation.process.Child`). `SessionProcess` is the window's
side, and never waits for the child. In the child there are three threads:

- the main thread reads commands from the pipe, so that `pause` and `close` arrive even while native code runs;
- the session's thread (`SessionThread`) does them;
- a third thread sends views. It sends one only after the window has taken the one before, because a pipe full of old
  views would show the past.

Maps do not go through the pipe but through shared memory (see `shared_arrays`). There, too, each lane has a byte that
says whether its native code runs; after a crash it tells which policy caused it.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.framework.explore import shared_arrays
from foliolab.framework.explore.commands import MapKey, SessionCommands
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.session_thread import SessionThread
from foliolab.framework.explore.shared_arrays import ArrayAddress, SharedArrays, SharedArraysReader
from foliolab.framework.explore.view import HistoryView, View
from foliolab.framework.isolation.process import Child, Crash, Failure, ready
from foliolab.framework.isolation.runqueue import longest_wait, waits_of

T = TypeVar("T")
LANES: Final = 64
"""Most lanes that have a byte in shared memory."""
SHORT: Final = 0.1
"""Seconds without a message that are not looked at more closely."""
GRACE: Final = 0.3
"""Seconds that the process has to end by itself."""
_HINT: Final = "its native code crashed; `foliolab verify` finds writes outside a folio. Your choice is kept"
_NONE: Final = np.zeros(0, np.int64)
_NO_HISTORY: Final = HistoryView(_NONE, np.zeros((0, 0, 0)), np.zeros((0, 0, 0)), _NONE, _NONE, _NONE)


@dataclass(frozen=True)
class _Ready:
    """The session is made, or could not be made (`failed`)."""

    failed: FolioLabError | None
    policies: tuple[str, ...]


@dataclass(frozen=True)
class _ViewMessage:
    """A view without its maps and history; maps are given by address, and history only if it is new."""

    view: View
    maps: dict[MapKey, ArrayAddress]
    dots: dict[MapKey, ArrayAddress]
    history: HistoryView | None


@dataclass(frozen=True)
class _Answer:
    """The answer to a question, or the exception that it raised."""

    number: int
    value: Any
    fault: Exception | None


class SessionProcess(SessionCommands):
    """The window's side of a session in a child process.

    Only `wait_ready` waits for the process. Messages from it are handled in `poll`, which `view` and `ready` call.

    Args:
        make: makes the session in the process; must be picklable.

    Attributes:
        failed: why there is no session, or none any more; None while it is made and while it runs.
        crashed: whether that is because the process ended.
        process: the process.
    """

    def __init__(self, make: Callable[[], Session]) -> None:
        self.failed: FolioLabError | None = None
        self.crashed = False
        self._ready = False
        self._policies: tuple[str, ...] = ()
        self._view: View | None = None
        self._next_view: _ViewMessage | None = None
        self._history: HistoryView | None = None
        self._questions: dict[int, Future[Any]] = {}
        self._number = 0
        self._last_message = time.monotonic()
        self._waits: dict[str, float] | None = None  # for a processor, at the first look after the last message
        self._view_expected = False
        self._folder = shared_arrays.make_folder()
        self._arrays = SharedArraysReader(self._folder.path)
        self._child = Child(serve, make, self._folder.path, name="explore")
        self.process = self._child.process

    # -- commands ---------------------------------------------------------------------------------------
    def command(self, name: str, *arguments: Any) -> None:
        self._send(name, *arguments)

    def ask(self, question: Callable[[Session], T]) -> Future[T]:
        answer: Future[T] = Future()
        if self.failed is not None or self._child.pipe.closed:
            answer.cancel()
            return answer
        self._number += 1
        number = self._number
        self._questions[number] = answer
        self._send("ask", number, question)
        answer.add_done_callback(lambda done: self._cancel(number) if done.cancelled() else None)
        return answer

    def _cancel(self, number: int) -> None:
        self._questions.pop(number, None)
        self._send("cancel", number)

    def close(self, timeout: float = GRACE) -> bool:
        """End the process, by force if it does not end in time; return whether it has ended."""
        self.leave()
        self._child.end(timeout)
        self._folder.remove()
        return not self.process.is_alive()

    def leave(self) -> None:
        """Ask the process to end, without waiting for it; `left` says whether it has, and `close` waits for it."""
        self._send("close")
        self._child.pipe.close()
        self._cancel_questions()
        self._next_view = None

    def left(self, kill: bool = False) -> bool:
        """Whether the process has ended; then nothing of it is left.

        Args:
            kill: end it by force.
        """
        if kill:
            self._child.kill()
        return not self.process.is_alive() and self.close()

    def _send(self, *message: Any) -> None:
        if self._child.pipe.closed:
            return
        if not self._view_expected and message[0] not in ("next", "cancel", "close"):
            self._last_message, self._view_expected = time.monotonic(), message[0] != "ask"
            self._waits = None
        if not self._child.send(message):
            self.poll()  # its last messages, then the crash

    # -- messages from the process ----------------------------------------------------------------------
    @property
    def ready(self) -> bool:
        """Whether the session is made, or could not be made."""
        self.poll()
        return self._ready

    @property
    def silent(self) -> float:
        """Seconds since the last message while one is expected; 0 if none is, or before the session is made.

        The time for which a thread of the process only waited for a processor is left out: on a busy host a step that
        does not hang takes long, too.
        """
        expected = self._ready and (self._view_expected or bool(self._questions)) and self.failed is None
        passed = time.monotonic() - self._last_message if expected else 0.0
        if passed < SHORT:
            return 0.0
        waits = waits_of(self.process.pid or 0)
        if self._waits is None:
            self._waits = waits
        return max(passed - longest_wait(self._waits, waits), 0.0)

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until the session is made; return whether it could be made."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._ready and self.failed is None and (until is None or time.monotonic() < until):
            ready([self._child], 0.02)
            self.poll()
        return self._ready and self.failed is None

    def view(self) -> View | None:
        self.poll()
        if self._next_view is not None:
            message, self._next_view = self._next_view, None
            if message.history is not None:
                self._history = message.history
            assert self._history is not None
            self._view = replace(
                message.view,
                maps={key: self._arrays.at(address) for key, address in message.maps.items()},
                dots={key: self._arrays.at(address) for key, address in message.dots.items()},
                history=self._history,
            )
            self._view_expected = self._view.playing or bool(self._view.busy)
            self._send("next")
        return self._view

    def poll(self) -> None:
        """Handle the messages that have come."""
        for message in self._child.arrived():
            self._handle(message)
            self._last_message, self._waits = time.monotonic(), None

    def _handle(self, message: object) -> None:
        if isinstance(message, _ViewMessage):
            self._next_view = message
        elif isinstance(message, _Answer):
            future = self._questions.pop(message.number, None)
            if future is not None and future.set_running_or_notify_cancel():
                if message.fault is not None:
                    future.set_exception(message.fault)
                else:
                    future.set_result(message.value)
        elif isinstance(message, _Ready):
            self._ready, self.failed, self._policies = True, message.failed, message.policies
        elif isinstance(message, Crash | Failure):
            self._ready, self.crashed = True, isinstance(message, Crash)
            if isinstance(message, Crash) and message.killed:
                self.failed = FolioLabError(f"the session's process {message.how}", "choose less memory")
            elif isinstance(message, Crash):
                self.failed = PluginError(f"{self._suspects()}: its process {message.how}", _HINT)
            else:
                self.failed = message.error
            self._child.end()
            self._cancel_questions()

    def _suspects(self) -> str:
        """The policies whose native code ran at last; all policies if that is not known."""
        names = self._policies
        with suppress(OSError, ValueError):
            running = self._arrays.at(ArrayAddress(0, 0, LANES))
            names = tuple(name for name, runs in zip(names, running, strict=False) if runs) or names
        return f"policy {' or '.join(names)}" if names else "the session"

    def _cancel_questions(self) -> None:
        questions, self._questions = self._questions, {}
        for future in questions.values():
            future.cancel()


# -- in the child process -----------------------------------------------------------------------------------
class _SessionServer:
    """The child's side: gives commands to the session's thread, and sends answers and views."""

    def __init__(self, pipe: Connection, make: Callable[[], Session], folder: Path) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._arrays = SharedArrays(folder)
        self._running = self._arrays.new(LANES)
        self._policies: tuple[str, ...] = ()
        self._questions: dict[int, Future[Any]] = {}
        self._view_wanted = threading.Event()
        self._view_wanted.set()
        self._closing = threading.Event()
        # two views are held: the window may still draw the maps of one while it takes the next
        self._session = SessionThread(lambda: self._prepare(make()), self._arrays.new, held=2)

    def _prepare(self, session: Session) -> Session:
        for number, lane in enumerate(session.lanes[:LANES]):
            lane.busy = self._running[number : number + 1]
        self._policies = tuple(lane.name for lane in session.lanes)
        return session

    def run(self) -> None:
        """Serve until the window closes the session, or its process ends."""
        threading.Thread(target=self._send_views, name="views", daemon=True).start()
        try:
            while not self._closing.is_set():
                self._do(*self._pipe.recv())
        except (EOFError, OSError):
            pass

    def _do(self, name: str, *arguments: Any) -> None:
        if name == "next":
            self._view_wanted.set()
        elif name == "ask":
            self._ask(*arguments)
        elif name == "cancel":
            if (future := self._questions.pop(arguments[0], None)) is not None:
                future.cancel()
        elif name == "close":
            self._closing.set()
        else:
            self._session.command(name, *arguments)

    def _ask(self, number: int, question: Callable[[Session], Any]) -> None:
        future = self._questions[number] = self._session.ask(question)
        future.add_done_callback(lambda done: self._send_answer(number, done))

    def _send_answer(self, number: int, done: Future[Any]) -> None:
        self._questions.pop(number, None)
        if done.cancelled():
            return
        fault = done.exception()
        if fault is not None and not isinstance(fault, FolioLabError):
            fault = FolioLabError(f"{type(fault).__name__}: {fault}", "please report it")
        self._send(_Answer(number, None if fault else done.result(), fault))

    def _send_views(self) -> None:
        self._session.wait_ready()
        self._send(_Ready(self._session.failed, self._policies))
        last, history = -1, None
        while not self._closing.is_set() and self._session.failed is None:
            self._view_wanted.wait()
            self._session.published.wait(0.5)
            self._session.published.clear()
            view = self._session.view()
            if view is None or view.number == last:
                continue
            self._view_wanted.clear()
            new_history = view.history if view.history is not history else None
            last, history = view.number, view.history
            maps = {key: self._arrays.address_of(array) for key, array in view.maps.items()}
            dots = {key: self._arrays.address_of(array) for key, array in view.dots.items()}
            self._send(_ViewMessage(replace(view, maps={}, dots={}, history=_NO_HISTORY), maps, dots, new_history))

    def _send(self, message: object) -> None:
        with self._sending, suppress(BrokenPipeError, OSError):
            try:
                self._pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
            except (pickle.PicklingError, AttributeError, TypeError) as fault:
                assert isinstance(message, _Answer), fault
                error = FolioLabError(f"the answer cannot be sent: {fault}", "please report it")
                self._pipe.send(_Answer(message.number, None, error))


def serve(pipe: Connection, make: Callable[[], Session], folder: Path) -> None:
    """Serve a session; the function that runs in the child process."""
    server = _SessionServer(pipe, make, folder)
    server.run()
    os._exit(0)  # a normal exit would wait for threads that may be in an endless loop in native code
