"""The bar below the maps: the last step, position, speed, and the slider."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QWidget

from foliolab.framework.explore.commands import FLAT_OUT
from foliolab.framework.explore.view import View
from foliolab.gui.explore.position_slider import PositionSlider
from foliolab.gui.explore.step_times import StepTimes
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.window.building import column, label, named, row
from foliolab.gui.window.plain import OneLine
from foliolab.gui.window.theme import Theme

SPEEDS: Final = (1.0, 5.0, 20.0, 100.0, 1000.0, 10_000.0, 100_000.0, FLAT_OUT)
"""Steps a second."""
INITIAL: Final = 2
"""Index of the speed that is chosen at first."""


def speed_text(speed: float) -> str:
    """A speed as the list shows it."""
    return "as fast as possible" if speed == FLAT_OUT else f"{speed:,.0f} step{'s' * (speed != 1)} a second"


def rate_text(rate: float) -> str:
    """A rate with a unit prefix, such as "1.5 M"."""
    for unit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= unit:
            return f"{rate / unit:.1f} {prefix}"
    return f"{rate:.0f}"


class RunBar(QWidget):
    """The bar.

    Args:
        theme: the colours.
        part: the part of the run that the slider spans.
    """

    def __init__(self, theme: Theme, part: Interval) -> None:
        super().__init__()
        self._part = part
        self._times = StepTimes()
        self.last_step = named(OneLine(), "The last step")
        self.last_step.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.position = named(label(role="quiet"), "Position and rate")
        self.speed = named(QComboBox(), "Speed")
        for speed in SPEEDS:
            self.speed.addItem(speed_text(speed), speed)
        self.speed.setCurrentIndex(INITIAL)
        self.slider = PositionSlider(theme, part)
        line = row((self.last_step, 1), self.position, self.speed)
        column(line, self.slider, of=self, margins=(8, 2, 8, 4), spacing=2)

    @property
    def pace(self) -> float:
        """The chosen speed, in steps a second."""
        return float(self.speed.currentData())

    def begin(self, times: StepTimes) -> None:
        """Begin with another run, of which these times are known."""
        self._times = times
        self.slider.begin()

    def show_view(self, view: View) -> None:
        """Show the last step, the position and the rate of a view."""
        self.last_step.setText(view.description or "No step has been done yet.")
        rate = f" · {rate_text(view.page_operations_per_second)} page operations/s" if view.playing else ""
        busy = f" · {view.busy}" if view.busy else ""
        time = f" · {self._times.text(view.position)}" if self._times.known else ""
        part = "" if self._part.whole else f" (shown: {self._part.low:,} to {self._part.high:,})"
        self.position.setText(f"step {view.position:,} of {view.nr_steps:,}{part}{time}{rate}{busy}")
        self.slider.show_position(view.position, view.farthest)
