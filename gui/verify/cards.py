"""A card an attack: what it does, how far it is, what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from foliolab.framework.verify.attack import Progress
from foliolab.framework.verify.finding import Finding
from foliolab.gui.verify.growth import Growth
from foliolab.gui.window.theme import Theme

ATTACKS: Final[Mapping[str, str]] = {
    "explored": "every interleaving of two to four threads, each access a step",
    "random": "random operations on up to eight MMs, held against the page tables",
    "symbolic": "the solver, over all MM IDs and counts of a class",
    "structural": "widths of fields at the claimed maxima, and what is left at the end",
}
SIGNS: Final = {"held": "✓", "refuted": "✗", "undecided": "?"}
ROLES: Final = {"held": "good", "refuted": "bad", "undecided": "doubtful"}


class Card(QFrame):
    """One attack."""

    def __init__(self, name: str, theme: Theme) -> None:
        super().__init__()
        self._name = name
        self.setProperty("role", "card")
        self.setAccessibleName(f"Attack: {name}")
        self.setToolTip(ATTACKS[name])
        self.setMinimumWidth(120)
        self.title, self.what, self.count = QLabel(name), QLabel(ATTACKS[name]), QLabel()
        self.title.setProperty("role", "heading")
        for label in (self.what, self.count):
            label.setProperty("role", "quiet")
        for label in (self.title, self.what, self.count):  # what they say must not widen the window
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.growth = Growth(theme)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(9, 6, 9, 6)
        layout.setSpacing(2)
        for part in (self.title, self.what, self.growth, self.count):
            layout.addWidget(part, 1 if part is self.growth else 0)

    def begin(self, runs: bool) -> None:
        """A new run, in which it takes part or not."""
        self.growth.clear()
        self.setEnabled(runs)
        self._say(ATTACKS[self._name] if runs else "not chosen")
        self.count.setText("begins …" if runs else "")
        self._title("", "heading")

    def show_progress(self, news: Progress, seconds: float) -> None:
        """How far it is."""
        self.growth.add(seconds, news.states, news.depth)
        self._say(news.what)
        depth = f", depth {news.depth:,}" if news.depth else ""
        self.count.setText(f"{news.states:,} states{depth}, {news.rate:,.0f} a second")

    def show_refutation(self, finding: Finding) -> None:
        """It found something."""
        self._title(f"✗ refuted: {finding.claim or 'what every policy owes'}", "bad")

    def show_end(self, findings: Sequence[Finding]) -> None:
        """What it says in the end."""
        mine = [one for one in findings if one.attack == self._name]
        if not mine:
            return
        verdicts = {one.verdict for one in mine}
        worst = next(one for one in ("refuted", "undecided", "held") if one in verdicts)
        claims = ", ".join(one.claim or "every policy" for one in mine if one.verdict == worst)
        self._title(f"{SIGNS[worst]} {worst}: {claims}", ROLES[worst])
        self._say(next(one.bound for one in mine if one.verdict == worst))
        self.setToolTip("\n\n".join(f"{SIGNS[one.verdict]} {one.claim or 'every policy'}: {one.bound}" for one in mine))
        states = max(one.states for one in mine)
        if states:
            self.count.setText(f"{states:,} states in {max(one.seconds for one in mine):.1f} s")

    def _say(self, text: str) -> None:
        self.what.setText(self.what.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, self.width() - 20))
        self.what.setToolTip(text)

    def _title(self, text: str, role: str) -> None:
        self.title.setText(f"{self._name}  {text}".rstrip())
        self.title.setProperty("role", role)
        self.title.style().unpolish(self.title)
        self.title.style().polish(self.title)


class Cards(QWidget):
    """All four side by side."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setAccessibleName("Attacks")
        self.cards = {name: Card(name, theme) for name in ATTACKS}
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        for card in self.cards.values():
            line.addWidget(card, 1)

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        for card in self.cards.values():
            card.growth.paint(theme)
