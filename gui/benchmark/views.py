"""The choices above the curves: what of a result is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QPushButton, QWidget

from foliolab.gui.benchmark.series import Selection
from foliolab.gui.window.building import FLUSH, named, row

if TYPE_CHECKING:
    from foliolab.framework.results.result import Result

ALL: Final = "all workloads"
NARROW: Final = 80
"""Least width of a choice in a narrow window."""


class Views(QWidget):
    """Choices of the workload, the baseline, and the kind of the curves.

    Signals:
        changed: another choice was made.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.workload = named(QComboBox(), "Workload that is shown")
        self.baseline = named(QComboBox(), "Baseline of the ratios")
        self.scale = named(QComboBox(), "Ratio or absolute")
        self.scale.addItems(["ratio to the baseline", "nanoseconds per page"])
        self.rest = named(QComboBox(), "Raw, or with the rest of the kernel")
        self.rest.addItems(["raw", "with the rest of the kernel"])
        self.published = QPushButton("Published")
        self.published.setCheckable(True)
        self.published.setChecked(True)
        self.published.setToolTip("Show published figures as dashed curves")
        self.published.toggled.connect(self.changed)
        combos = (self.workload, self.baseline, self.scale, self.rest)
        for combo in combos:
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            combo.setMinimumWidth(NARROW)
            combo.currentIndexChanged.connect(self.changed)
        row(*combos, self.published, 1, of=self, margins=FLUSH)

    def offer(self, result: Result) -> None:
        """Offer the workloads and baselines of a result; choices that are still possible stay."""
        config = result.config
        _refill(self.workload, [ALL, *config.workloads], config.workloads[0])
        _refill(self.baseline, list(config.policies), config.baseline)

    def toggle_scale(self) -> None:
        """Switch between ratios and nanoseconds."""
        self.scale.setCurrentIndex(1 - self.scale.currentIndex())

    @property
    def all_workloads(self) -> bool:
        """Whether the table shows all workloads; the curves then show the first."""
        return self.workload.currentText() == ALL

    def selection(self, result: Result, cpu: str = "") -> Selection:
        """What of a result is to be shown, and the processor whose predictions are."""
        workload = result.config.workloads[0] if self.all_workloads else self.workload.currentText()
        return Selection(
            workload, self.scale.currentIndex() == 0, self.rest.currentIndex() == 1, self.published.isChecked(), cpu
        )


def _refill(combo: QComboBox, names: list[str], preferred: str) -> None:
    if [combo.itemText(at) for at in range(combo.count())] == names:
        return
    kept = combo.currentText()
    with QSignalBlocker(combo):
        combo.clear()
        combo.addItems(names)
        combo.setCurrentText(kept if kept in names and kept != ALL else preferred)
