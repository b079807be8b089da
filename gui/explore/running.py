"""A run that is watched: the session's process, and what the window last heard of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foliolab.framework.explore.session_process import SessionProcess
from foliolab.framework.explore.view import View
from foliolab.gui.explore.choice import Choice, maker
from foliolab.gui.explore.questions import Questions

if TYPE_CHECKING:
    from foliolab.gui.window.library import Library


class Run:
    """A choice that is being played.

    Args:
        choice: what.
        library: of its policies.

    Attributes:
        worker: the session, in its process.
        questions: that wait for an answer.
        view: the newest one; None before the first.

    Raises:
        UsageError: the choice is none.
    """

    def __init__(self, choice: Choice, library: Library) -> None:
        self.choice = choice
        self.worker = SessionProcess(maker(choice, library))
        self.questions = Questions()
        self.view: View | None = None
        self.begun = False

    def pull(self) -> bool:
        """Take what is new; whether there is another view."""
        view = self.worker.view()
        self.questions.pull()
        if view is None or (self.view is not None and view.number == self.view.number):
            return False
        self.view = view
        return True

    def close(self) -> None:
        """End the process."""
        self.questions.forget()
        self.worker.close()
