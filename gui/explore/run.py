"""A run: a session in its process, its newest view, and the questions that it has not answered yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.session_process import SessionProcess
from foliolab.framework.explore.view import View
from foliolab.gui.explore.choice import Choice, maker

if TYPE_CHECKING:
    from foliolab.gui.window.library import Library

T = TypeVar("T")


class Run:
    """The run of a choice.

    Args:
        choice: what to explore.
        library: has the policies.

    Attributes:
        session: the session in its process.
        view: its newest view; None before the first.

    Raises:
        UsageError: the choice cannot be explored.
    """

    def __init__(self, choice: Choice, library: Library) -> None:
        self.choice = choice
        self.session = SessionProcess(maker(choice, library))
        self.view: View | None = None
        self._open: dict[str, tuple[Future[Any], Callable[[Any], object]]] = {}

    def ask(self, kind: str, answer: Callable[[T], object], query: Callable[..., T], **arguments: object) -> None:
        """Ask the session something. At most one question of a kind is open: a new one replaces the old one.

        Args:
            kind: kind of the question.
            answer: called here with the result, during `pull`; not called if the query fails with an error.
            query: a function of `queries`, called in the session's process as `query(session, **arguments)`.
            arguments: picklable.
        """
        if (old := self._open.pop(kind, None)) is not None:
            old[0].cancel()
        self._open[kind] = self.session.ask(partial(query, **arguments)), answer

    def is_open(self, kind: str) -> bool:
        """Whether a question of a kind waits for its answer."""
        return kind in self._open

    def pull(self) -> bool:
        """Take the newest view, and answers in the order of their questions; return whether there is a new view."""
        view = self.session.view()
        for kind, question in list(self._open.items()):
            # an answer may ask again: then a question of the list is no longer open
            if question[0].done() and self._open.get(kind) is question:
                del self._open[kind]
                self._give(*question)
        if view is None or (self.view is not None and view.number == self.view.number):
            return False
        self.view = view
        return True

    @staticmethod
    def _give(future: Future[Any], answer: Callable[[Any], object]) -> None:
        if future.cancelled():
            return
        fault = future.exception()
        if fault is None:
            answer(future.result())
        elif not isinstance(fault, FolioLabError):
            raise fault

    def leave(self) -> SessionProcess:
        """Cancel open questions, and ask the process to end; return its session, which ends it."""
        for future, _ in self._open.values():
            future.cancel()
        self._open.clear()
        self.session.leave()
        return self.session
