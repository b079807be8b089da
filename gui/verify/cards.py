"""One card for each attack: what it does, its progress, and its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from PySide6.QtWidgets import QFrame

from foliolab.framework.verify.attack import Progress
from foliolab.framework.verify.finding import Finding
from foliolab.gui.verify.growth import Growth
from foliolab.gui.widgets.basics import VERDICT_ROLES, VERDICT_SIGNS, set_role
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.window.building import column, named
from foliolab.gui.window.plain import OneLine, Wrapped, tip
from foliolab.gui.window.theme import Theme

ATTACKS: Final[Mapping[str, str]] = {
    "explored": "every interleaving of the memory accesses of two to four threads",
    "random": "random operations on up to eight MMs, compared with the page tables",
    "symbolic": "a solver searches all MM IDs and counts of a class",
    "structural": "field widths at the claimed maxima, and the values left at the end",
}


class Card(QFrame):
    """The card of one attack.

    Args:
        name: of the attack.
        theme: the colours.
        part: the milliseconds that its curve shows.
    """

    def __init__(self, name: str, theme: Theme, part: Interval) -> None:
        super().__init__()
        self._name = name
        self.setProperty("role", "card")
        named(self, f"Attack: {name}", ATTACKS[name]).setMinimumWidth(120)
        self.title, self.what, self.count = (OneLine() for _ in range(3))
        self.verdict = Wrapped()
        self.title.setText(name)
        self.what.setText(ATTACKS[name])
        for text, role in ((self.title, "heading"), (self.what, "quiet"), (self.count, "quiet")):
            text.setProperty("role", role)
        self.growth = Growth(theme, part)
        texts = self.title, self.verdict, self.what
        column(*texts, (self.growth, 1), self.count, of=self, margins=(9, 6, 9, 6), spacing=2)

    def begin(self, runs: bool) -> None:
        """Start a new run.

        Args:
            runs: whether this attack is part of it.
        """
        self.growth.clear()
        self.setEnabled(runs)
        self.what.setText(ATTACKS[self._name] if runs else "not chosen")
        self.count.setText("starts …" if runs else "")
        self._say_verdict("", "heading")

    def show_progress(self, news: Progress, seconds: float) -> None:
        self.growth.add(seconds, news.states, news.depth)
        self.what.setText(news.what)
        depth = f", depth {news.depth:,}" if news.depth else ""
        self.count.setText(f"{news.states:,} states{depth}, {news.rate:,.0f} a second")

    def show_refutation(self, finding: Finding) -> None:
        """Show that the attack refuted a claim."""
        self._say_verdict(_verdict("refuted", [finding.claim]), VERDICT_ROLES["refuted"])

    def show_end(self, findings: Sequence[Finding]) -> None:
        """Show the findings of the attack when it has ended."""
        own = [finding for finding in findings if finding.attack == self._name]
        if not own:
            return
        verdicts = {finding.verdict for finding in own}
        worst = next(verdict for verdict in ("refuted", "undecided", "held") if verdict in verdicts)
        claims = [finding.claim for finding in own if finding.verdict == worst]
        self._say_verdict(_verdict(worst, claims), VERDICT_ROLES[worst])
        self.what.setText(next(finding.bound for finding in own if finding.verdict == worst))
        lines = [f"{VERDICT_SIGNS[one.verdict]} {one.claim or 'owed'}: {one.bound}" for one in own]
        self.setToolTip(tip("\n\n".join(lines)))
        states = max(finding.states for finding in own)
        if states:
            self.count.setText(f"{states:,} states in {max(finding.seconds for finding in own):.1f} s")

    def _say_verdict(self, text: str, role: str) -> None:
        set_role(self.verdict, role)
        self.verdict.setText(text)
        self.verdict.setVisible(bool(text))


def _verdict(verdict: str, claims: Sequence[str]) -> str:
    """The verdict with its claim, or with the number of its claims: the table below names them."""
    what = claims[0] or "owed" if len(claims) == 1 else f"{len(claims)} claims"
    return f"{VERDICT_SIGNS[verdict]} {verdict}: {what}"
