"""The counterexample that Verify shows: it is played aside, stepped through, inspected, saved and sent on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMainWindow

from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.gui.window import dialogs
from foliolab.gui.window.aside import Aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.timeline import Timeline
    from foliolab.gui.inspector.inspector import Inspector
    from foliolab.gui.verify.stepper import Stepper
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.exporting import Exportable

NONE_YET = "there is no counterexample to {} yet"


class ShownExample(QObject):
    """The counterexample, with the widgets that show it; they are made at first use, since importing them takes long.

    Args:
        desk: has the policies and the notices.
        window: the parent of dialogs, whose status bar says what goes on.

    Attributes:
        example: the counterexample; None for none.
        file: from which it was read, or to which it was written; empty for none.
        stepper, inspector: show it; None before `furnish`.
    """

    def __init__(self, desk: Desk, window: QMainWindow) -> None:
        super().__init__(window)
        self._desk, self._window = desk, window
        self.example: Counterexample | None = None
        self.file = ""
        self._wanted = (-1, -1, -1)  # where to go, and the part to show, once the counterexample is played
        self.stepper: Stepper | None = None
        self.inspector: Inspector | None = None
        self._player = Aside(self)
        self._player.done.connect(self._played)
        self._player.failed.connect(self._cannot_play)

    def furnish(self) -> tuple[Stepper, Inspector]:
        """Make the widgets."""
        from foliolab.gui.inspector.inspector import Inspector
        from foliolab.gui.verify.stepper import Stepper
        from foliolab.gui.verify.ways import Ways

        stepper, inspector = self.stepper, self.inspector = Stepper(self._desk.themes.now), Inspector(self._desk)
        self._ways = Ways(stepper, inspector, self)
        inspector.why.wanted.connect(self._ways.go_to_origin)
        inspector.writer_wanted.connect(self._ways.go_to_writer)
        stepper.stepped.connect(self._stepped)
        stepper.hide()
        return stepper, inspector

    @property
    def visible(self) -> bool:
        """Whether a counterexample is shown, or is about to be."""
        return self.example is not None and self.stepper is not None and self.stepper.isVisible()

    def show(self, example: Counterexample, step: int = -1, part: tuple[int, int] = (-1, -1)) -> None:
        """Play a counterexample, and show it.

        Args:
            step: the step that is current; -1: before the first.
            part: the first and last step that are shown; -1 and -1: all.
        """
        try:
            scheme = self._desk.library.scheme(example.policy)
        except FolioLabError as fault:
            self._desk.notices.fault(fault)
            return
        self.example, self.file, self._wanted = example, "", (step, *part)
        self._player.begin(_timeline, example, scheme)
        self._window.statusBar().showMessage("Playing the counterexample …")

    def clear(self) -> None:
        """Show none; what is on screen stays until there is another."""
        self.example, self.file = None, ""

    def _played(self, timeline: Timeline) -> None:
        self._window.statusBar().clearMessage()
        if self.stepper is None:
            return
        if not timeline.breaks:
            text = f"the law {timeline.counterexample.law} does not break any more: the policy's text has changed since"
            self._desk.notices.say(text, "warning")
        self.stepper.show()
        self.stepper.show_timeline(timeline)
        self.stepper.diagram.setFocus()
        (step, low, high), self._wanted = self._wanted, (-1, -1, -1)
        if high >= 0:
            self.stepper.diagram.part.see(low, high)
        self.stepper.go(step)

    def _cannot_play(self, fault: Exception) -> None:
        self._window.statusBar().clearMessage()
        if not isinstance(fault, FolioLabError):
            fault = PluginError(f"the counterexample cannot be played: {type(fault).__name__}: {fault}")
        self._desk.notices.fault(fault)

    def _stepped(self, step: int) -> None:
        from foliolab.gui.inspector.inspected import inspect_step

        if self.stepper is not None and self.stepper.timeline is not None and self.inspector is not None:
            self.inspector.show_found([inspect_step(self.stepper.timeline, step)])

    # -- what is done with it --------------------------------------------------------------------------
    def step(self, action: str) -> None:
        """Step through it.

        Args:
            action: a method of `Stepper`.
        """
        if self.stepper is None or self.stepper.timeline is None:
            self._desk.notices.say(NONE_YET.format("step through"))
            return
        if action != "toggle":
            self.stepper.pause()
        getattr(self.stepper, action)()

    def inspect(self, way: str) -> None:
        """Go to where something was written: a method of `Inspector`."""
        if self.inspector is None:
            self._desk.notices.say(NONE_YET.format("inspect"))
        else:
            getattr(self.inspector, way)()

    def explore(self) -> None:
        """Open it in Explore."""
        if self.example is None:
            self._desk.notices.say(NONE_YET.format("explore"))
        else:
            self._desk.send("explore", self.example)

    def ask_save(self) -> None:
        """Ask for a file and write it there."""
        if self.example is None:
            self._desk.notices.say(NONE_YET.format("save"))
            return
        name = f"{self.example.policy.replace(':', '-')}-{self.example.law}.json"
        kind, settings = "Counterexample (*.json)", self._desk.settings
        path = dialogs.ask_save(self._window, settings, "Save the counterexample", name, kind)
        if path is not None:
            self.save(path)

    def save(self, path: Path) -> None:
        """Write it to a file."""
        assert self.example is not None
        try:
            self.example.save(path)
        except FolioLabError as fault:
            self._desk.notices.fault(fault)
            return
        self.file = str(path)
        self._desk.notices.say(f"written to {path}; {shlex.join(self.example.stepping(path))} repeats it")

    # -- what is shown ---------------------------------------------------------------------------------
    def on_screen(self) -> dict[str, object]:
        """Policy and claim of the `example` that is shown, and whether its last step is (`ended`)."""
        stepper = self.stepper
        if self.example is None or stepper is None or stepper.timeline is None or stepper.isHidden():
            return {"example": (), "ended": False}
        shown = stepper.timeline.counterexample
        return {"example": (shown.policy, shown.claim), "ended": stepper.step == stepper.last}

    def exportables(self) -> Sequence[Exportable]:
        """The sequence diagram, and the folio."""
        if self.stepper is None or self.inspector is None or self.stepper.timeline is None:
            return ()
        return [*self.stepper.diagram.exportables(), *self.inspector.exportables()]

    def pause(self) -> None:
        if self.stepper is not None:
            self.stepper.pause()

    def shut(self) -> None:
        """Stop playing."""
        self._player.shut()
        self.pause()
        if self.inspector is not None:
            self.inspector.clear()


def _timeline(example: Counterexample, scheme: Scheme) -> Timeline:
    """Play a counterexample; a long one takes seconds."""
    from foliolab.framework.verify.timeline import Timeline

    return Timeline(example, scheme)
