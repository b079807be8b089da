"""The panel that chooses the policy, the attacks and their budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QPushButton, QWidget

from foliolab.framework.verify.counterexample import MODELS, MemoryModel
from foliolab.gui.verify.cards import ATTACKS
from foliolab.gui.widgets.caller_box import CallerBox
from foliolab.gui.window.building import column, label, named, primary
from foliolab.gui.window.chosen_policy import OF_POLICY
from foliolab.gui.window.context_menus import ContextMenu
from foliolab.gui.window.desk import Desk

MEMORIES: Final = {"64 MiB": "64M", "256 MiB": "256M", "1 GiB": "1G", "4 GiB": "4G"}
SECONDS: Final = 60.0
SHIFT: Final = {"M": 20, "G": 30}


@dataclass(frozen=True)
class Attempt:
    """The choices of the panel.

    Args:
        policy: the policy, as it is written on the command line.
        seconds: the time budget of each attack.
        memory: the memory budget of each attack, as on the command line, such as 1G.
        attacks: names of attacks.
        model: the memory model of the explored attack.
    """

    policy: str
    seconds: float = SECONDS
    memory: str = "1G"
    attacks: tuple[str, ...] = tuple(ATTACKS)
    model: MemoryModel = "sc"

    @property
    def nbytes(self) -> int:
        return int(self.memory[:-1]) << SHIFT[self.memory[-1]]

    def command(self) -> list[str]:
        """The words of the command line that runs the same attacks."""
        words = ["foliolab", "verify", self.policy]
        if self.seconds != SECONDS:
            words += ["--budget", f"{self.seconds:g}"]
        if self.memory != "1G":
            words += ["--memory", self.memory]
        if set(self.attacks) != set(ATTACKS):
            words += ["--attacks", ",".join(self.attacks)]
        return [*words, *(["--memory-model", self.model] if self.model != "sc" else [])]


class Options(QWidget):
    """The panel.

    Signals:
        wanted: an `Attempt` to run.
        stopped: the running attacks are to end.
        chosen: the text of the policy entry changed.
    """

    wanted = Signal(object)
    stopped = Signal()
    chosen = Signal(str)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._library = desk.library
        self.policy = named(
            QComboBox(editable=True), "Policy to verify", "A policy, with parameters as in NAME:slots=3"
        )
        self.caller = named(
            CallerBox(self._library), "Caller", "How operations proceed: the policy is verified under it"
        )
        self.policy.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.policy.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.policy.setMinimumContentsLength(14)
        entry = self.policy.lineEdit()
        assert entry is not None, "the combo box is editable"
        ContextMenu(desk.commands, entry, ("verify.start", *OF_POLICY))
        seconds = QDoubleSpinBox(minimum=1, maximum=3600, decimals=0, suffix=" s", value=SECONDS)
        self.seconds = named(seconds, "Budget of each attack in seconds")
        self.memory = named(QComboBox(), "Memory budget of each attack")
        self.memory.addItems(list(MEMORIES))
        self.memory.setCurrentText("1 GiB")
        self.attacks = {name: named(QCheckBox(name), name, tip) for name, tip in ATTACKS.items()}
        for box in self.attacks.values():
            box.setChecked(True)
        self.model = named(QComboBox(), "Memory model of the explored attack", "What other threads see late")
        for model, words in MODELS.items():
            self.model.addItem(model, model)
            self.model.setItemData(self.model.count() - 1, words, Qt.ItemDataRole.ToolTipRole)
        self.again = QCheckBox("verify again on save")
        self.again.setToolTip("Verify the new text of a policy file when it is saved")
        self.start, self.stop = primary("Verify"), QPushButton("Stop")
        self.stop.setEnabled(False)
        self.start.clicked.connect(self._start)
        self.stop.clicked.connect(self.stopped)
        self.policy.currentTextChanged.connect(self._chosen)
        self.caller.currentIndexChanged.connect(self._put_under)
        form = QFormLayout()
        form.addRow("&Policy", self.policy)
        form.addRow("&Caller", self.caller)
        form.addRow("&Budget", self.seconds)
        form.addRow("&Memory", self.memory)
        form.addRow("M&odel", self.model)
        boxes = (*self.attacks.values(), self.again)
        column(form, label("Attacks", "heading"), *boxes, 1, self.start, self.stop, of=self)
        self.refill()

    def refill(self) -> None:
        """List the policies and the callers of the library again."""
        self.caller.refill()
        kept = self.policy.currentText()
        with QSignalBlocker(self.policy):
            self.policy.clear()
            self.policy.addItems([policy.name for policy in self._library.policies])
            if kept:
                self.policy.setCurrentText(kept)
        self.caller.follow(kept)

    def attempt(self) -> Attempt:
        attacks = tuple(name for name, box in self.attacks.items() if box.isChecked())
        return Attempt(
            self.policy.currentText().strip(), self.seconds.value(), MEMORIES[self.memory.currentText()], attacks,
            self.model.currentData(),
        )  # fmt: skip

    def choose(self, policy: str) -> None:
        self.policy.setCurrentText(policy)

    def limit(self, seconds: float | None, attacks: Sequence[str] | None) -> None:
        """Set the time budget and the attacks; None leaves them."""
        if seconds is not None:
            self.seconds.setValue(seconds)
        if attacks is not None:
            for name, box in self.attacks.items():
                box.setChecked(name in attacks)

    def runs(self, running: bool) -> None:
        """Set whether attacks run."""
        self.start.setEnabled(not running)
        self.stop.setEnabled(running)

    def _start(self) -> None:
        self.wanted.emit(self.attempt())

    def _put_under(self) -> None:
        """The caller is a part of the policy's text, so that commands, sessions and files have it, too."""
        self.policy.setCurrentText(self.caller.under(self.policy.currentText()))

    def _chosen(self, text: str) -> None:
        self.caller.follow(text)
        self.chosen.emit(text.strip())
