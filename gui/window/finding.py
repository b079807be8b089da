"""What can be found by typing a part of it: one thing of the window, and how well its text matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PySide6.QtGui import QIcon

from foliolab.gui.window.matching import rank, says

BY_WORDS: Final = 500
"""The cost of a text that has all typed words, but not in their order."""
BY_KIND: Final = 100
"""The cost of a match that needs the kind, too."""


@dataclass(frozen=True)
class Findable:
    """A thing that the palette finds.

    Args:
        kind: what it is, such as "Policy".
        text: its name, or a sentence about it.
        go: shows it, or runs it.
        details: searched as well, but shown only as the tool tip.
        keys: the shortcut that does the same; empty for none.
        can: whether it can be chosen now.
        icon: drawn before it; None for none.
    """

    kind: str
    text: str
    go: Callable[[], object]
    details: str = ""
    keys: str = ""
    can: bool = True
    icon: QIcon | None = None

    @property
    def title(self) -> str:
        """The line of the palette: what kind of thing it is, and its text."""
        return f"{self.kind}: {self.text}" if self.kind else self.text

    def cost(self, wanted: str) -> int | None:
        """How well it matches what was typed; lower is better, None if it does not match."""
        found = rank(wanted, self.text)
        if found is None and (found := rank(wanted, self.title)) is not None:
            found += BY_KIND
        if found is None and says(wanted, f"{self.title} {self.details}"):
            found = BY_WORDS
        return found
