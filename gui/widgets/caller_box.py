"""A choice of the caller that a policy is under: how operations such as fork proceed (docs/callers.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QComboBox

from foliolab.framework.contract.policy import WITH, caller_of
from foliolab.gui.window.plain import tip

if TYPE_CHECKING:
    from foliolab.gui.window.library import Library

NONE: Final = "Linux's operations"
NAME: Final = Qt.ItemDataRole.UserRole


class CallerBox(QComboBox):
    """The callers of the library, after the choice of none.

    Args:
        library: has the callers.
    """

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(14)
        self.refill()

    @property
    def caller(self) -> str:
        """The caller's name; empty for none."""
        return str(self.currentData(NAME) or "")

    def refill(self) -> None:
        """List the callers again; the choice stays if it still exists."""
        kept = self.caller
        with QSignalBlocker(self):
            self.clear()
            self._offer(NONE, "", "Operations proceed as in Linux")
            for caller in self._library.registry.callers.values():
                self._offer(caller.name, caller.name, caller.summary)
            self.choose(kept)

    def choose(self, caller: str) -> None:
        """Choose a caller by its name; none if there is no such caller."""
        self.setCurrentIndex(max(self.findData(caller, NAME), 0))

    def under(self, policy: str) -> str:
        """A policy, as a user writes it, under the chosen caller instead of one that it may have."""
        plain = policy.partition(WITH)[0].strip()
        return f"{plain}{WITH}{self.caller}" if plain and self.caller else plain

    def follow(self, policy: str) -> None:
        """Show the caller of a policy, without saying that the choice has changed."""
        with QSignalBlocker(self):
            self.choose(caller_of(policy).strip())

    def _offer(self, text: str, name: str, summary: str) -> None:
        self.addItem(text)
        at = self.count() - 1
        self.setItemData(at, name, NAME)
        self.setItemData(at, tip(summary), Qt.ItemDataRole.ToolTipRole)
