"""Steps through a counterexample: the sequence diagram, a slider, and the law that breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import QSlider, QWidget

from foliolab.framework.verify.laws import LAWS
from foliolab.gui.sequence.diagram import SequenceDiagram
from foliolab.gui.window.building import column, label, named, row
from foliolab.gui.window.theme import Theme

if TYPE_CHECKING:
    from foliolab.framework.verify.timeline import Timeline

SPEED = 350
"""Milliseconds from one step to the next while the counterexample plays."""


class Stepper(QWidget):
    """A counterexample that can be stepped through.

    Signals:
        stepped: the new current step.
    """

    stepped = Signal(int)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.timeline: Timeline | None = None
        self.headline, self.law = (label(role=role, wraps=True, selectable=True) for role in ("bad", "quiet"))
        self.diagram = SequenceDiagram(theme)
        self.diagram.setObjectName("verify.sequence")
        self.diagram.stepped.connect(self.go)
        self.diagram.part.changed.connect(self._follow)
        self.slider = named(QSlider(Qt.Orientation.Horizontal), "Step of the counterexample")
        self.slider.valueChanged.connect(self.go)
        self.where = label(role="quiet")
        self._timer = QTimer(self, interval=SPEED)
        self._timer.timeout.connect(self._tick)
        line = row((self.slider, 1), self.where)
        column(self.headline, self.law, (self.diagram, 1), line, of=self, margins=(0, 4, 0, 0), spacing=3)

    def show_timeline(self, timeline: Timeline) -> None:
        """Show a counterexample that was played, before its first step."""
        self.pause()
        self.timeline = timeline
        example = timeline.counterexample
        who = f"claim {example.claim}" if example.claim else "what every policy owes"
        self.headline.setText(f"✗ {example.policy}: {who} refuted by the {example.attack} attack: {example.message}")
        schedule = f" · schedule {example.schedule}" if example.schedule else ""
        self.law.setText(f"law {example.law}: {LAWS.get(example.law, '')}{schedule}")
        self.diagram.show_timeline(timeline)
        self._follow()
        self.go(-1)

    def _follow(self) -> None:
        """Span the steps that the diagram shows."""
        part = self.diagram.part
        with QSignalBlocker(self.slider):
            self.slider.setRange(part.low, part.high)
            self.slider.setValue(self.step)
        self._say()

    @property
    def step(self) -> int:
        """The current step; -1 before the first."""
        return self.diagram.step

    @property
    def last(self) -> int:
        """The number of the last step; -1 if nothing is shown."""
        return len(self.timeline.frames) - 1 if self.timeline is not None else -1

    @property
    def plays(self) -> bool:
        """Whether the counterexample plays."""
        return self._timer.isActive()

    def go(self, step: int) -> None:
        """Go to a step; steps outside of the range go to its ends."""
        if self.timeline is None:
            return
        step = min(max(step, -1), self.last)
        self.diagram.go(step)
        with QSignalBlocker(self.slider):
            self.slider.setValue(step)
        self._say()
        self.stepped.emit(step)

    def _say(self) -> None:
        """Say which step it is, and which are shown."""
        where = f"step {self.step} of {self.last}" if self.step >= 0 else f"before step 0 of {self.last}"
        part = self.diagram.part
        self.where.setText(where if part.whole else f"{where}, {max(part.low, 0)} to {part.high} shown")

    def forward(self) -> None:
        self.go(self.step + 1)

    def back(self) -> None:
        self.go(self.step - 1)

    def first(self) -> None:
        """Go before the first step."""
        self.go(-1)

    def end(self) -> None:
        """Go to the last step."""
        self.go(self.last)

    def toggle(self) -> None:
        """Play or pause; at the end of the steps that are shown, play them again."""
        if self.plays:
            self.pause()
        elif self.timeline is not None:
            if self.step >= self.diagram.part.high:
                self.go(self.diagram.part.low)
            self._timer.start()

    def pause(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        self.forward()
        if self.step >= self.diagram.part.high:
            self.pause()
