"""A run that is watched: the session's thread, and what the window last heard of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foliolab.framework.explore.worker import View, Worker
from foliolab.gui.explore.choice import Choice, maker
from foliolab.gui.explore.questions import Questions

if TYPE_CHECKING:
    from foliolab.gui.library import Library

ENDS = 1.0
"""Seconds that the thread has to end."""


class Run:
    """A choice that is being played.

    Args:
        choice: what.
        library: of its policies.

    Attributes:
        worker: the session's thread.
        questions: that wait for an answer.
        view: the newest one; None before the first.

    Raises:
        UsageError: the choice is none.
    """

    def __init__(self, choice: Choice, library: Library) -> None:
        self.choice = choice
        self.worker = Worker(maker(choice, library))
        self.questions = Questions()
        self.view: View | None = None
        self.begun = False

    def pull(self) -> bool:
        """Take what is new; whether there is another view."""
        self.questions.pull()
        view = self.worker.view()
        if view is None or (self.view is not None and view.number == self.view.number):
            return False
        self.view = view
        return True

    def close(self) -> None:
        """End the thread."""
        self.questions.forget()
        self.worker.close(ENDS)
