"""What a step was, how fast it goes, and where it stands."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from foliolab.framework.explore.commands import FLAT_OUT
from foliolab.framework.explore.view import View
from foliolab.gui.explore.timeline import Timeline
from foliolab.gui.window.theme import Theme

SPEEDS: Final = (1.0, 5.0, 20.0, 100.0, 1000.0, 10_000.0, 100_000.0, FLAT_OUT)
USUAL: Final = 2


def speed_text(speed: float) -> str:
    """As the speeds are listed."""
    return "as fast as it can" if speed == FLAT_OUT else f"{speed:,.0f} step{'s' * (speed != 1)} a second"


def rate_text(rate: float) -> str:
    """A rate with a unit that fits."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= unit:
            return f"{rate / unit:.1f} {name}"
    return f"{rate:.0f}"


class Transport(QWidget):
    """The line below the maps.

    Signals:
        paced: (speed): another speed, in steps a second.
    """

    paced = Signal(float)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.told = QLabel()
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.told.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.told.setAccessibleName("The last step")
        self.where = QLabel()
        self.where.setAccessibleName("Position and rate")
        self.where.setProperty("role", "quiet")
        self.speed = QComboBox()
        self.speed.setAccessibleName("Speed")
        for speed in SPEEDS:
            self.speed.addItem(speed_text(speed), speed)
        self.speed.setCurrentIndex(USUAL)
        self.speed.currentIndexChanged.connect(self._paced)
        self.timeline = Timeline(theme)
        line = QHBoxLayout()
        line.addWidget(self.told, 1)
        line.addWidget(self.where)
        line.addWidget(self.speed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 4)
        layout.setSpacing(2)
        layout.addLayout(line)
        layout.addWidget(self.timeline)

    @property
    def pace(self) -> float:
        """Steps a second."""
        return float(self.speed.currentData())

    def show_view(self, view: View) -> None:
        """Show where the run is."""
        self.told.setText(view.description or "Nothing has happened yet.")
        self.told.setToolTip(view.description)
        rate = f" · {rate_text(view.page_operations_per_second)} page operations/s" if view.playing else ""
        busy = f" · {view.busy}" if view.busy else ""
        self.where.setText(f"step {view.position:,} of {view.nr_steps:,}{rate}{busy}")
        self.timeline.show_position(view.position, view.farthest)

    def _paced(self) -> None:
        self.paced.emit(self.pace)
