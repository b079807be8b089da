"""A combo box whose entries are found by typing a part of them."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QCompleter


class SearchableCombo(QComboBox):
    """A combo box that takes only its entries: when one leaves it, it completes or takes back what was typed."""

    def __init__(self) -> None:
        super().__init__(editable=True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        completer = self.completer()
        assert completer is not None, "the combo box is editable"
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        entry = self.lineEdit()
        assert entry is not None
        entry.editingFinished.connect(self._settle)

    def _settle(self) -> None:
        typed = self.currentText()
        at = self.findText(typed)
        if at < 0 and typed.strip():
            at = self.findText(typed.strip(), Qt.MatchFlag.MatchContains)
        self.setCurrentIndex(at if at >= 0 else self.currentIndex())
        self.setEditText(self.itemText(self.currentIndex()))
