"""The panel in which the user chooses what to explore."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QSpinBox, QWidget

from foliolab.framework.escaping import visible
from foliolab.gui.explore.choice import MOST_POLICIES, SIZES, SPANS, Choice, size_text, spread
from foliolab.gui.widgets.policy_chooser import PolicyChooser
from foliolab.gui.widgets.searchable_combo import SearchableCombo
from foliolab.gui.window.building import column, label, named, primary
from foliolab.gui.window.context_menus import ContextMenu
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.plain import tip
from foliolab.gui.window.settings import Settings

SOURCE: Final = Qt.ItemDataRole.UserRole
SUMMARY: Final = Qt.ItemDataRole.UserRole + 1
MOST_MMS: Final = 16
MENU: Final = ("explore.begin", "explore.example")
"""Commands of the context menus."""


class Chooser(QWidget):
    """The panel.

    Signals:
        wanted: (choice): the user pressed Start.
    """

    wanted = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._example: Choice | None = None
        self.source = named(SearchableCombo(), "What to play")
        self.source.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.source.setMinimumContentsLength(16)
        self.mms = named(QSpinBox(minimum=1, maximum=MOST_MMS, value=4), "MMs at a time")
        self.folio_size = named(QComboBox(), "Folio size")
        self.span = named(QComboBox(), "Memory of each MM")
        for combo, sizes in ((self.folio_size, SIZES), (self.span, SPANS)):
            for nbytes in sizes:
                combo.addItem(size_text(nbytes), nbytes)
        self.summary = label(role="quiet", wraps=True)
        self.policies = PolicyChooser(desk, MENU, MOST_POLICIES)
        entry = self.source.lineEdit()
        assert entry is not None
        ContextMenu(desk.commands, entry, MENU)
        self.start = named(primary("Start"), "Start exploring this")
        self.start.clicked.connect(self.begin)
        form = QFormLayout()
        form.addRow("&Play", self.source)
        form.addRow("", self.summary)
        form.addRow("&MMs", self.mms)
        form.addRow("&Folios of", self.folio_size)
        form.addRow("Memory &each", self.span)
        column(form, label("Policies, two to four", "heading"), (self.policies, 1), self.start, of=self)
        self.refill()
        self.source.currentIndexChanged.connect(self._explain)

    def refill(self) -> None:
        """Update the lists of sources and policies; choices stay if they still exist."""
        kept = self.source.currentData(SOURCE)
        with QSignalBlocker(self.source):
            self.source.clear()
            registry = self._desk.library.registry
            for name, pattern in registry.patterns.items():
                self._offer(f"{name} (pattern)", f"pattern:{name}", pattern.summary)
            for name in registry.scenarios:
                self._offer(f"{name} (scenario)", f"scenario:{name}", "an installed scenario")
            if self._example is not None:
                self._offer_example(self._example)
            self.source.setCurrentIndex(max(self.source.findData(kept, SOURCE), 0))
        self.policies.refill()
        self._explain()

    def choice(self) -> Choice:
        """The choice that the panel shows."""
        kind, _, what = str(self.source.currentData(SOURCE) or "pattern:").partition(":")
        example = self._example.example if self._example is not None and self._example.kind == kind else None
        return Choice(
            kind, what, tuple(self.policies.chosen()), self.mms.value(), self.folio_size.currentData(),
            self.span.currentData(), example,
        )  # fmt: skip

    def show_choice(self, choice: Choice) -> None:
        """Show a choice."""
        if self.source.findData(f"{choice.kind}:{choice.what}", SOURCE) < 0:
            self._example = choice
            self._offer_example(choice)
        self.source.setCurrentIndex(self.source.findData(f"{choice.kind}:{choice.what}", SOURCE))
        self.mms.setValue(choice.mms)
        for combo, nbytes in ((self.folio_size, choice.size), (self.span, choice.span)):
            combo.setCurrentIndex(max(combo.findData(nbytes), 0))
        self.policies.choose(choice.policies)

    def keep(self, settings: Settings) -> None:
        """Store the choice in the settings."""
        choice = self.choice()
        settings.keep("explore/policies", list(choice.policies))
        settings.keep("explore/mms", choice.mms)
        settings.keep("explore/size", choice.size)
        settings.keep("explore/span", choice.span)
        if choice.kind == "pattern":
            settings.keep("explore/pattern", choice.what)

    def remember(self, settings: Settings) -> None:
        """Restore the choice from the settings, as far as its pattern and policies still exist."""
        patterns = list(self._desk.library.registry.patterns)
        pattern = settings.text("explore/pattern")
        choice = Choice(
            "pattern", pattern if pattern in patterns else next(iter(patterns), ""),
            tuple(self._desk.library.usable(settings.texts("explore/policies")) or spread(self._desk.library)),
            settings.number("explore/mms", 4), settings.number("explore/size", 64 << 10),
            settings.number("explore/span", 1 << 20),
        )  # fmt: skip
        self.show_choice(choice)

    def _offer(self, text: str, source: str, summary: str) -> None:
        self.source.addItem(visible(text))
        at = self.source.count() - 1
        self.source.setItemData(at, source, SOURCE)
        self.source.setItemData(at, tip(summary), Qt.ItemDataRole.ToolTipRole)
        self.source.setItemData(at, summary, SUMMARY)

    def _offer_example(self, choice: Choice) -> None:
        name = Path(choice.what).name if choice.what else "from Verify"
        self._offer(f"{name} ({choice.kind})", f"{choice.kind}:{choice.what}", f"{choice.kind} {choice.what}")

    def _explain(self) -> None:
        kind = str(self.source.currentData(SOURCE) or "").partition(":")[0]
        self.summary.setText(self.source.currentData(SUMMARY) or "")
        for control in (self.mms, self.folio_size, self.span):
            control.setEnabled(kind == "pattern")

    def begin(self) -> None:
        """The choice is sent to be played, as by the button Start."""
        self.wanted.emit(self.choice())
