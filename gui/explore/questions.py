"""Questions to the session's process, whose answers come when the window has time for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.session_process import SessionProcess

Answer = Callable[[Any], object]


class Questions:
    """At most one question of a kind is open; a newer one takes the place of an older."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Future[Any], Answer]] = {}

    def ask(self, kind: str, worker: SessionProcess, question: Callable[[Any], Any], answer: Answer) -> None:
        """Ask the session something.

        Args:
            kind: of the question.
            worker: has the session.
            question: called there with the session; picklable, of a module without Qt.
            answer: called here with what it returned; not at all if it failed.
        """
        if kind in self._open:
            self._open[kind][0].cancel()
        self._open[kind] = worker.ask(question), answer

    def is_open(self, kind: str) -> bool:
        """Whether such a question waits for its answer."""
        return kind in self._open

    def pull(self) -> None:
        """Give the answers that have come."""
        for kind, (future, answer) in list(self._open.items()):
            if not future.done():
                continue
            del self._open[kind]
            if future.cancelled():
                continue
            fault = future.exception()
            if fault is None:
                answer(future.result())
            elif not isinstance(fault, FolioLabError):
                raise fault

    def forget(self) -> None:
        """Wait for nothing any more."""
        for future, _ in self._open.values():
            future.cancel()
        self._open.clear()
