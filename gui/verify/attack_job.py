"""The attacks that run on a policy, or that ran last, and whether the policy's text has changed since."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from foliolab.framework.errors import FolioLabError

if TYPE_CHECKING:
    from foliolab.framework.verify.verifier import Verification
    from foliolab.gui.verify.options import Attempt
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.jobs import Job
    from foliolab.gui.window.library import Library


class AttackJob(QObject):
    """The attacks, which run in a job.

    Signals:
        reported: a `Progress` or a `Finding`, and the seconds since the start.
        answered: the `Verification`.
        ended: the job is over.

    Attributes:
        attempt: what was attacked last; None at first.
        job: None while nothing runs.
        done: its answer; None before.
        digest: of the policy's text when the attacks began.
    """

    reported = Signal(object, float)
    answered = Signal(object)
    ended = Signal()

    def __init__(self, desk: Desk, parent: QObject) -> None:
        super().__init__(parent)
        self._desk = desk
        self.attempt: Attempt | None = None
        self.job: Job | None = None
        self.done: Verification | None = None
        self.digest = ""
        self._began = 0.0

    def start(self, attempt: Attempt) -> None:
        """Attack a policy; running attacks are killed."""
        from foliolab.gui.verify.attacking import attack

        if self.job is not None:
            self.job.kill()
        self.attempt, self.done = attempt, None
        self.digest = digest_of(self._desk.library, attempt.policy)
        self._began = time.monotonic()
        self.job = self._desk.jobs.start(
            f"Verifying {attempt.policy}", attack, attempt.policy, tuple(self._desk.library.sound), attempt.seconds,
            attempt.nbytes, attempt.attacks, attempt.model, shlex.join(attempt.command()),
        )  # fmt: skip
        self.job.reported.connect(self._on_report)
        self.job.answered.connect(self._answered)
        self.job.failed.connect(self._desk.notices.fault)
        self.job.ended.connect(self._ended)

    def stop(self) -> None:
        """Stop the attacks; the job answers with their findings so far."""
        if self.job is not None:
            self.job.cancel()

    @property
    def outdated(self) -> bool:
        """Whether the text of the policy has changed since the attacks began."""
        return self.attempt is not None and digest_of(self._desk.library, self.attempt.policy) != self.digest

    def _on_report(self, news: object) -> None:
        if self.sender() is self.job:  # otherwise another job has replaced it
            self.reported.emit(news, time.monotonic() - self._began)

    def _answered(self, done: Verification) -> None:
        if self.sender() is self.job:
            self.done = done
            self.answered.emit(done)

    def _ended(self) -> None:
        if self.sender() is self.job:
            self.job = None
            self.ended.emit()


def digest_of(library: Library, policy: str) -> str:
    """The digest of the text of a policy; empty if the policy does not exist."""
    from foliolab.framework.engine.policytree import policy_digest

    try:
        return policy_digest(library.scheme(policy))
    except FolioLabError:
        return ""
