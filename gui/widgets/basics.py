"""Small parts of workspaces: signs of verdicts, labels with a role, buttons, read-only tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QPushButton, QTableWidget

from foliolab.gui.window.building import named

VERDICT_SIGNS: Final = {"held": "✓", "refuted": "✗", "undecided": "?"}
"""Stands before a verdict of the verifier, so that colour alone never carries it."""
VERDICT_ROLES: Final = {"held": "good", "refuted": "bad", "undecided": "doubtful"}
"""The colour of a verdict, as an attribute of the theme."""


def set_role(label: QLabel, role: str) -> None:
    """Change the role of a label, such as "good" or "quiet", and let Qt apply the style sheet again."""
    label.setProperty("role", role)
    label.style().unpolish(label)
    label.style().polish(label)


def button(text: str, name: str, run: Callable[[], object]) -> QPushButton:
    """Make a button; `name` says what it does, in its tool tip and to screen readers."""
    made = named(QPushButton(text), name, name)
    made.clicked.connect(run)
    return made


class ReadOnlyTable(QTableWidget):
    """A table of texts whose rows can be selected, but not edited.

    Args:
        name: read by screen readers.
        columns: the headings.
    """

    def __init__(self, name: str, columns: Sequence[str] = ()) -> None:
        super().__init__(0, len(columns))
        self.setAccessibleName(name)
        self.setHorizontalHeaderLabels(list(columns))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setStretchLastSection(True)
