"""The panel that chooses what to measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QWidget,
)

from foliolab.framework.costmodel.processors import processors
from foliolab.gui.benchmark.measure import Wish
from foliolab.gui.widgets.policy_chooser import PolicyChooser
from foliolab.gui.widgets.search_field import SearchField
from foliolab.gui.window.building import column, label, named, primary
from foliolab.gui.window.context_menus import ContextMenu
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.plain import tip

MEMORIES: Final = ("16M", "64M", "256M", "1G")
QUICK: Final = "4K,16K,64K,256K,1M,2M"
NO_CPU: Final = "no prediction"
CPU_TIP: Final = (
    "Predict the changes on this processor from counts and published constants. Counting executed instructions takes "
    "longer than measuring"
)
MENU: Final = ("benchmark.start", "benchmark.example")
"""Commands of the context menus of both lists."""
NAME: Final = Qt.ItemDataRole.UserRole


class Controls(QWidget):
    """Choices of policies, workloads and sizes.

    Signals:
        wanted: a `Wish` to measure.
        stopped: the run is to end.
    """

    wanted = Signal(object)
    stopped = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.policies = PolicyChooser(desk, MENU)
        self.baseline = named(QComboBox(), "Baseline of the measurement")
        self.workloads = named(QListWidget(), "Workloads")
        self.search = SearchField(self.workloads, "workloads")
        ContextMenu(desk.commands, self.workloads, MENU)
        self.sizes = named(QLineEdit(QUICK), "Folio sizes", "Folio sizes, such as 4K,64K,2M or 16K-1M, or all")
        self.memory = named(QComboBox(), "Modelled memory of each workload")
        self.memory.addItems(MEMORIES)
        self.memory.setCurrentText("64M")
        self.rounds = named(QSpinBox(maximum=1000), "Interleaved rounds")
        self.rounds.setSpecialValueText("as many as a verdict needs")
        self.cpu = named(QComboBox(), "Processor to predict on", CPU_TIP)
        self.cpu.addItem(NO_CPU)
        for processor in processors().processor:
            self.cpu.addItem(processor.name)
            self.cpu.setItemData(self.cpu.count() - 1, tip(processor.described), Qt.ItemDataRole.ToolTipRole)
        self.quick = named(QCheckBox("quick"), "quick", "Take less time for each case")
        self.quick.setChecked(True)
        self.start, self.stop = primary("Measure"), QPushButton("Stop")
        self.stop.setEnabled(False)
        self._arrange()
        self.workloads.setMinimumHeight(64)
        self.policies.setMinimumHeight(150)
        self.policies.changed.connect(self._ticked)
        self.start.clicked.connect(self._start)
        self.stop.clicked.connect(self.stopped)
        self.refill()

    def _arrange(self) -> None:
        form = QFormLayout()
        form.addRow("&Baseline", self.baseline)
        form.addRow("&Sizes", self.sizes)
        form.addRow("&Memory", self.memory)
        form.addRow("&Rounds", self.rounds)
        form.addRow("&CPU", self.cpu)
        form.addRow("", self.quick)
        policies, workloads = label("Policies, two or more", "heading"), label("Workloads", "heading")
        lists = (policies, (self.policies, 1), workloads, self.search, (self.workloads, 1))
        column(*lists, form, self.start, self.stop, of=self)

    def refill(self) -> None:
        """List the policies and workloads of the library again."""
        ticked = self._chosen_workloads()
        self.policies.refill()
        self.workloads.clear()
        for workload in self._desk.library.registry.workloads.values():
            if workload.program:
                continue
            item = QListWidgetItem(workload.name)
            item.setData(NAME, workload.name)
            item.setToolTip(tip(workload.summary))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if workload.name in ticked else Qt.CheckState.Unchecked)
            self.workloads.addItem(item)
        self._ticked()

    def choose(self, what: dict[str, Any]) -> None:
        """Set the given choices: policies, workloads, baseline, sizes, memory, quick, cpu."""
        if "policies" in what:
            self.policies.choose(what["policies"])
        if "workloads" in what:
            for item in self._items():
                on = item.data(NAME) in what["workloads"]
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        if what.get("baseline"):
            self.baseline.setCurrentText(what["baseline"])
        if what.get("sizes"):
            self.sizes.setText(what["sizes"])
        if what.get("memory"):
            self.memory.setCurrentText(what["memory"])
        if "quick" in what:
            self.quick.setChecked(bool(what["quick"]))
        if "cpu" in what:
            self.cpu.setCurrentText(what["cpu"] or NO_CPU)

    def wish(self) -> Wish:
        policies = tuple(self.policies.chosen())
        return Wish(
            policies, self.baseline.currentText() or (policies[0] if policies else ""), self._chosen_workloads(),
            self.sizes.text().strip(), self.memory.currentText(), self.rounds.value(), self.quick.isChecked(),
            tuple(self._desk.library.sound), self.processor,
        )  # fmt: skip

    @property
    def processor(self) -> str:
        """The name of the processor to predict on; empty for none."""
        return self.cpu.currentText() if self.cpu.currentIndex() > 0 else ""

    def runs(self, running: bool) -> None:
        """Set whether a measurement runs."""
        self.start.setEnabled(not running)
        self.stop.setEnabled(running)

    def _items(self) -> Sequence[QListWidgetItem]:
        return [self.workloads.item(row) for row in range(self.workloads.count())]

    def _chosen_workloads(self) -> tuple[str, ...]:
        return tuple(item.data(NAME) for item in self._items() if item.checkState() == Qt.CheckState.Checked)

    def _ticked(self) -> None:
        """Offer the ticked policies as baselines."""
        kept, chosen = self.baseline.currentText(), self.policies.chosen()
        self.baseline.clear()
        self.baseline.addItems(chosen)
        if kept in chosen:
            self.baseline.setCurrentText(kept)

    def _start(self) -> None:
        self.wanted.emit(self.wish())
