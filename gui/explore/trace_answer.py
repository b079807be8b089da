"""The answer about a trace in sentences: a process replays the whole trace while its maps are explored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from foliolab.gui.window.building import column, label
from foliolab.gui.window.jobs import Job, Step

if TYPE_CHECKING:
    from foliolab.framework.engine.engine import Execution
    from foliolab.framework.errors import FolioLabError
    from foliolab.gui.window.desk import Desk

NOTHING = "Open a trace: its answer appears here, in sentences."


def answer_of(path: str, policies: Sequence[str], files: Sequence[str], say: Any) -> list[str]:
    """Replay a trace under policies, and under the one that they are compared with; the sentences.

    Args:
        path: of the trace.
        policies: as on the command line.
        files: policy files, besides the installed plugins.
        say: takes a `Step`.

    Raises:
        FolioLabError: the trace cannot be read or replayed.
    """
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.kernel.recorded import models_of
    from foliolab.framework.plugins import registry as room
    from foliolab.framework.replay import session
    from foliolab.framework.report.answer import answer
    from foliolab.framework.trace.file import Trace

    registry = room.load(files)
    schemes = session.schemes_of(registry, policies)
    models = models_of(Trace(path).header, schemes)
    execution: Execution = "interpreted" if native_missing() else "native"
    request = session.ReplayRequest(path, schemes, models, samples=0, plugins=tuple(files), execution=execution)
    return answer([session.replay(request, lambda phase, done, whole: say(Step(phase, done, whole)))])


class TraceAnswer(QWidget):
    """The sentences about the trace that is explored, to be read and copied."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.job: Job | None = None
        self.setAccessibleName("The answer about the trace")
        self.text = label(NOTHING, wraps=True, selectable=True)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        column((self.text, 1), of=self)

    def begin(self, path: str, policies: Sequence[str]) -> None:
        """Replay a trace; what was replayed before is given up."""
        self.clear()
        self.text.setText("Replaying the whole trace …")
        self.job = self.desk.jobs.start(
            "Replaying the trace", answer_of, path, tuple(policies), tuple(self.desk.library.sound)
        )
        self.job.answered.connect(self._answered)
        self.job.failed.connect(self._failed)

    def clear(self) -> None:
        """Show no answer."""
        if self.job is not None and self.job in self.desk.jobs.running:
            self.job.answered.disconnect(self._answered)
            self.job.failed.disconnect(self._failed)
            self.job.cancel()
        self.job = None
        self.text.setText(NOTHING)

    def _answered(self, sentences: list[str]) -> None:
        self.text.setText("\n".join(sentences) or "No policy replayed the trace.")

    def _failed(self, fault: FolioLabError, details: str) -> None:
        self.text.setText(f"The trace was not replayed: {fault}")
