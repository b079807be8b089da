"""Small parts of workspaces: signs of verdicts, labels with a role, buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtGui import QFont
from PySide6.QtWidgets import QLabel, QPushButton

from foliolab.gui.window.building import named

VERDICT_SIGNS: Final = {"held": "✓", "partly": "◐", "refuted": "✗", "undecided": "?"}
"""Stands before a verdict of the verifier, so that colour alone never carries it."""
VERDICT_ROLES: Final = {"held": "good", "partly": "doubtful", "refuted": "bad", "undecided": "doubtful"}
"""The colour of a verdict, as an attribute of the theme."""


def set_role(label: QLabel, role: str) -> None:
    """Change the role of a label, such as "good" or "quiet", and let Qt apply the style sheet again."""
    label.setProperty("role", role)
    label.style().unpolish(label)
    label.style().polish(label)


def bold(font: QFont, on: bool = True) -> QFont:
    """A copy of a font, bold or not."""
    made = QFont(font)
    made.setBold(on)
    return made


def button(text: str, name: str, run: Callable[[], object]) -> QPushButton:
    """Make a button; `name` says what it does, in its tool tip and to screen readers."""
    made = named(QPushButton(text), name, name)
    made.clicked.connect(run)
    return made
