"""Verify: attacks on a policy, its claims, and counterexamples to step through."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QLabel, QSplitter, QVBoxLayout, QWidget

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.gui.verify.files import kind_of
from foliolab.gui.verify.options import Attempt, Options
from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Theme
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.verifier import Verification
    from foliolab.gui.inspector.inspector import Inspector
    from foliolab.gui.jobs import Job
    from foliolab.gui.verify.cards import Cards
    from foliolab.gui.verify.claims import Claims
    from foliolab.gui.verify.playing import Playing
    from foliolab.gui.verify.stepper import Stepper

LOOK: Final = 40
"""Milliseconds between two looks whether a counterexample is played."""
WELCOME: Final = (
    "Four attacks run side by side on the policy's own text: every interleaving of a few threads, random operations "
    "against the page tables, the solver over free MM IDs and counts, and the widths of its fields. Each claim is "
    "held, refuted or undecided; a refuted one comes with a counterexample to step through."
)


class VerifyWorkspace(Workspace):
    """Attack a policy."""

    name = "verify"
    title = "&Verify"
    icon = "verify"
    keys = "Ctrl+4"
    tip = "Attack a policy, and step through what is wrong with it"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.job: Job | None = None
        self.attempt: Attempt | None = None
        self.example: Counterexample | None = None
        self.cards: Cards | None = None
        self.claims: Claims | None = None
        self.stepper: Stepper | None = None
        self.inspector: Inspector | None = None
        self._began = 0.0
        self._digest = ""
        self._playing: Playing | None = None
        self._file = ""
        self._opened: dict[str, Verification] = {}
        """What a file of verdicts says, by policy."""
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK)
        self._timer.timeout.connect(self._look)
        self.options = Options(desk.library)
        self.options.wanted.connect(self.start)
        self.options.stopped.connect(self.stop)
        self.options.chosen.connect(self._chosen)
        self.welcome = QLabel(WELCOME)
        self.welcome.setWordWrap(True)
        self.welcome.setProperty("role", "quiet")
        self.welcome.setMaximumWidth(760)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.note.setProperty("role", "doubtful")
        self.note.hide()
        self._centre = QWidget()
        layout = QVBoxLayout(self._centre)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.welcome)
        layout.addWidget(self.note)
        layout.addStretch(1)
        self.setCentralWidget(self._centre)
        area = Qt.DockWidgetArea
        self.dock("options", "What to verify", self.panel(self.options), area.LeftDockWidgetArea)
        self._inspector_host = QWidget()
        inside = QVBoxLayout(self._inspector_host)
        inside.setContentsMargins(0, 0, 0, 0)
        self.dock("inspector", "The folio at this step", self._inspector_host, area.RightDockWidgetArea)
        docks = [self.docks["options"], self.docks["inspector"]]
        self.resizeDocks(docks, [220, 380], Qt.Orientation.Horizontal)
        policy = desk.settings.text("verify/policy")
        if desk.library.usable([policy] if policy else []):
            self.options.choose(policy)
        self.options.again.setChecked(desk.settings.flag("verify/again"))

    def _furnish(self) -> None:
        """Make what is shown once there is something; importing it takes a while."""
        if self.cards is not None:
            return
        from foliolab.gui.inspector.inspector import Inspector
        from foliolab.gui.verify.cards import Cards
        from foliolab.gui.verify.claims import Claims
        from foliolab.gui.verify.stepper import Stepper

        theme = self.desk.themes.now
        self.cards, self.claims, self.stepper = Cards(theme), Claims(theme), Stepper(theme)
        self.inspector = Inspector(self.desk)
        self.claims.wanted.connect(self.show_example)
        self.stepper.stepped.connect(self._stepped)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        for part, stretch in ((self.cards, 0), (self.claims, 1), (self.stepper, 3)):
            split.addWidget(part)
            split.setStretchFactor(split.count() - 1, stretch)
        split.setSizes([104, 130, 520])
        self.stepper.hide()
        layout = self._centre.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.addWidget(split, 100)
        self._inspector_host.layout().addWidget(self.inspector)  # type: ignore[union-attr]

    # -- commands --------------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        """Attacking and stepping."""
        run, make = "&Run", self.command
        return [
            make("start", "&Verify", self.start_chosen, menu=run, keys=("F5",), icon="play", bar=True, word="Verify",
                 tip="Attack the chosen policy"),
            make("stop", "S&top the attacks", self.stop, menu=run, keys=("Shift+F5",), icon="stop", bar=True,
                 word="Stop", tip="End the attacks with what is known so far"),
            make("first", "To the &start", self.first, menu=run, keys=("Home",), icon="restart", bar=True, breaks=True,
                 tip="Before the counterexample's first step"),
            make("back", "Step &back", self.back, menu=run, keys=("Left",), icon="back", bar=True,
                 tip="The step before"),
            make("play", "&Play or pause", self.toggle, menu=run, keys=("K",), icon="play", bar=True, word="Play",
                 tip="Step through the counterexample by itself"),
            make("on", "&Step", self.on, menu=run, keys=("Right",), icon="step", bar=True, word="Step",
                 tip="The next step"),
            make("last", "To the &end", self.last, menu=run, keys=("End",), icon="next", bar=True,
                 tip="Where the law breaks"),
            make("explore", "Open in &Explore", self.explore, menu=run, keys=("Ctrl+Shift+E",), icon="explore",
                 bar=True, word="Open in Explore", tip="Play this counterexample with other policies beside it"),
            make("save", "&Save the counterexample…", self.ask_save, menu="&File", keys=("Ctrl+S",), icon="save",
                 tip="Write it to a file that foliolab replay repeats"),
        ]  # fmt: skip

    def start_chosen(self) -> None:
        """Attack what the panel says."""
        self.start(self.options.attempt())

    def start(self, attempt: Attempt) -> None:
        """Attack a policy; attacks that run are ended."""
        from foliolab.gui.verify.attacking import attack

        try:
            scheme = self.desk.library.scheme(attempt.policy)
            if not attempt.attacks:
                raise UsageError("no attack is chosen", "tick at least one")
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        if self.job is not None:
            self.job.kill()
        self._furnish()
        assert self.cards is not None and self.claims is not None
        self.attempt = attempt
        self._opened = {}
        self._file = ""
        self.welcome.hide()
        self.note.hide()
        self._digest = self._digest_of(attempt.policy)
        self.claims.begin(scheme, {})
        for name, card in self.cards.cards.items():
            card.begin(name in attempt.attacks)
        self.options.runs(True)
        self._began = time.monotonic()
        command = shlex.join(attempt.command())
        self.job = self.desk.jobs.start(
            f"Verifying {attempt.policy}", attack, attempt.policy, tuple(self.desk.library.files), attempt.seconds,
            attempt.nbytes, attempt.attacks, attempt.tso, command,
        )  # fmt: skip
        self.job.said.connect(self._said)
        self.job.answered.connect(self._answered)
        self.job.failed.connect(self._failed)
        self.job.ended.connect(self._ended)

    def stop(self) -> None:
        """End the attacks; what they know so far is shown."""
        if self.job is not None:
            self.job.cancel()

    def explore(self) -> None:
        """Open the counterexample in Explore."""
        if self.example is None:
            self.desk.notices.say("there is no counterexample to explore yet")
        else:
            self.desk.send("explore", self.example)

    def ask_save(self) -> None:
        """Ask where to, and write the counterexample."""
        if self.example is None:
            self.desk.notices.say("there is no counterexample to save yet")
            return
        folder = Path(self.desk.settings.text("window/folder"))
        start = folder / f"{self.example.policy.replace(':', '-')}-{self.example.law}.json"
        path, _ = QFileDialog.getSaveFileName(self, "Save the counterexample", str(start), "Counterexample (*.json)")
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the counterexample to a file."""
        from foliolab.framework.verify import counterexample

        assert self.example is not None
        try:
            counterexample.save(self.example, path)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self._file = str(path)
        self.desk.notices.say(f"written to {path}; foliolab replay {shlex.quote(str(path))} repeats it")

    def first(self) -> None:
        """Before the first step."""
        self._step("first")

    def back(self) -> None:
        """The step before."""
        self._step("back")

    def on(self) -> None:
        """The next step."""
        self._step("forward")

    def last(self) -> None:
        """The last step."""
        self._step("end")

    def toggle(self) -> None:
        """Play, or pause."""
        self._step("toggle")

    def _step(self, how: str) -> None:
        if self.stepper is None or self.stepper.timeline is None:
            self.desk.notices.say("there is no counterexample to step through yet")
            return
        if how != "toggle":
            self.stepper.pause()
        getattr(self.stepper, how)()

    # -- the attacks -----------------------------------------------------------------------------------
    def _said(self, news: object) -> None:
        from foliolab.framework.verify.attack import Progress
        from foliolab.framework.verify.finding import Finding

        assert self.cards is not None and self.claims is not None
        if isinstance(news, Progress) and news.attack in self.cards.cards:
            self.cards.cards[news.attack].show_progress(news, time.monotonic() - self._began)
        elif isinstance(news, Finding) and news.counterexample is not None:
            if news.attack in self.cards.cards:
                self.cards.cards[news.attack].show_refutation(news)
            self.claims.refute(news.claim, news.counterexample)
            if self.example is None or self.stepper is None or not self.stepper.isVisible():
                self.show_example(news.counterexample)

    def _answered(self, done: Verification) -> None:
        assert self.cards is not None and self.claims is not None
        for card in self.cards.cards.values():
            card.show_end(done.findings)
        self.claims.show_verification(done)
        how = "stopped early: " if done.interrupted else ""
        refuted = len({one.claim for one in done.findings if one.verdict == "refuted"})
        held = sum(done.verdict(claim) == "held" for claim in ("", *done.claims))
        self.statusBar().showMessage(f"{how}{done.policy}: {held} held, {refuted} refuted, {done.seconds:.1f} s")
        examples = done.refuted
        if examples and self.example is None and examples[0].counterexample is not None:
            self.show_example(examples[0].counterexample)

    def _failed(self, fault: FolioLabError, details: str) -> None:
        self.desk.notices.fault(fault, details)

    def _ended(self) -> None:
        self.job = None
        self.options.runs(False)

    # -- a counterexample ------------------------------------------------------------------------------
    def show_example(self, example: Counterexample) -> None:
        """Play a counterexample, and show it."""
        from foliolab.gui.verify.playing import Playing

        self._furnish()
        self.welcome.hide()
        try:
            scheme = self.desk.library.scheme(example.policy)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self.example = example
        self._file = ""
        self._playing = Playing(example, scheme)
        self.statusBar().showMessage("Playing the counterexample …")
        self._timer.start()

    def _look(self) -> None:
        playing = self._playing
        if playing is None or not playing.over:
            return
        self._timer.stop()
        self._playing = None
        self.statusBar().clearMessage()
        if playing.fault is not None:
            self.desk.notices.fault(playing.fault)
        elif playing.timeline is not None and self.stepper is not None:
            if not playing.timeline.breaks:
                self.desk.notices.say(
                    f"the law {playing.timeline.counterexample.law} does not break any more: the policy's text has "
                    "changed since", "warning",
                )  # fmt: skip
            self.stepper.show()
            self.stepper.show_timeline(playing.timeline)
            self.stepper.diagram.setFocus()

    def _stepped(self, step: int) -> None:
        from foliolab.gui.inspector.inspected import inspect_step

        if self.stepper is not None and self.stepper.timeline is not None and self.inspector is not None:
            self.inspector.show_found([inspect_step(self.stepper.timeline, step)])

    # -- what every workspace does ---------------------------------------------------------------------
    def _chosen(self, text: str) -> None:
        """Another policy: what is known about it already."""
        if self.job is not None or not self.desk.library.usable([text] if text else []):
            return
        if text in self._opened:
            self._show_opened(self._opened[text])
            return
        self.note.hide()
        known = self.desk.library.ledger().verdicts(self.desk.library.scheme(text))
        if known or self.cards is not None:
            self._furnish()
            assert self.claims is not None and self.cards is not None
            self.claims.begin(self.desk.library.scheme(text), known)
            for card in self.cards.cards.values():
                card.begin(True)
                card.count.setText("")

    def _digest_of(self, text: str) -> str:
        """Of the policy's text; empty for one that cannot be used."""
        from foliolab.framework.engine.policytree import policy_digest

        try:
            return policy_digest(self.desk.library.scheme(text))
        except FolioLabError:
            return ""

    def hidden(self) -> None:
        """Nobody looks."""
        if self.stepper is not None:
            self.stepper.pause()

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        for part in (self.cards, self.claims, self.stepper):
            if part is not None:
                part.paint(theme)

    def refresh(self) -> None:
        """A policy file was saved."""
        self.options.refill()
        if self.attempt is None:
            return
        digest = self._digest_of(self.attempt.policy)
        if digest == self._digest:
            return
        if digest and self.options.again.isChecked():
            self.example = None
            self.start(self.attempt)
        else:
            self.note.setText(
                f"The text of {self.attempt.policy} has changed since: what is shown is about the one before."
            )
            self.note.show()

    def exportables(self) -> Sequence[Exportable]:
        """The claims, the diagram, the folio."""
        if self.claims is None or self.stepper is None or self.inspector is None:
            return ()
        found = [Exportable("claims", "Claims and verdicts", self.claims, self.claims.table)]
        if self.stepper.timeline is not None:
            found += [*self.stepper.diagram.exportables(), *self.inspector.exportables()]
        return found

    def repeated(self) -> Sequence[str]:
        """The command that repeats the attacks, or the counterexample's file."""
        if self._file:
            return ["foliolab", "replay", self._file]
        opened = self._opened.get(self.options.policy.currentText())
        if opened is not None and opened.command:
            return shlex.split(opened.command)
        return (self.attempt or self.options.attempt()).command()

    def takes(self, path: Path) -> bool:
        """Counterexamples, and verdicts of `foliolab verify --json`."""
        return bool(kind_of(path))

    def show_file(self, path: Path) -> None:
        """Show a counterexample, or verdicts, from a file."""
        from foliolab.framework.verify import counterexample

        if kind_of(path) == "verdicts":
            self._show_verdicts(path)
            return
        found = counterexample.load(path)
        if found.plugin and not self.desk.library.usable([found.policy]) and Path(found.plugin).is_file():
            self.desk.library.open(found.plugin)
        self.options.choose(found.policy)
        self.show_example(found)
        self._file = str(path)

    def _show_verdicts(self, path: Path) -> None:
        """Show what a file says; of several policies that which is refuted, the others when they are chosen."""
        from foliolab.framework.verify import verdicts

        found = verdicts.load(path)
        self._opened = {one.policy: one for one in found.verifications if self.desk.library.usable([one.policy])}
        absent = [one.policy for one in found.verifications if one.policy not in self._opened]
        if absent:
            self.desk.notices.say(
                f"{path.name} tells of {', '.join(absent)}, which is not here", "warning",
                "open its policy file first, then this one",
            )  # fmt: skip
        if not self._opened:
            return
        first = next((one for one in self._opened.values() if one.refuted), next(iter(self._opened.values())))
        self._file = ""
        if self.options.policy.currentText() == first.policy:
            self._show_opened(first)
        else:
            self.options.choose(first.policy)  # which shows it

    def _show_opened(self, done: Verification) -> None:
        """Show a verification of a file."""
        self._furnish()
        assert self.cards is not None and self.claims is not None and self.stepper is not None
        self.welcome.hide()
        self.example = None
        self.stepper.hide()
        attacks = {one.attack for one in done.findings}
        for name, card in self.cards.cards.items():
            card.begin(name in attacks)
        self.claims.begin(self.desk.library.scheme(done.policy), {})
        self._answered(done)
        others = [name for name in self._opened if name != done.policy]
        more = f" The file has also {', '.join(others)}: choose it." if others else ""
        stale = done.digest != self._digest_of(done.policy)
        changed = " The policy's text has changed since." if stale else ""
        self.note.setText(f"What was found on {done.started[:16].replace('T', ' ')}.{changed}{more}")
        self.note.show()

    def receive(self, what: object) -> None:
        """A policy to attack, a counterexample or its file."""
        from foliolab.framework.verify.counterexample import Counterexample

        if isinstance(what, Path):
            self.show_file(what)
        elif isinstance(what, Counterexample):
            self.show_example(what)
        elif isinstance(what, dict):
            self._receive(what)

    def _receive(self, what: dict[str, Any]) -> None:
        if "policy" in what:
            self.options.choose(what["policy"])
        self.options.limit(what.get("seconds"), what.get("attacks"))
        if what.get("start"):
            self.example = None
            self.start_chosen()

    def keep(self, settings: Settings) -> None:
        """Remember what was chosen."""
        settings.keep("verify/policy", self.options.policy.currentText())
        settings.keep("verify/again", self.options.again.isChecked())

    def shut(self) -> None:
        """End what runs; jobs end with the window."""
        self._timer.stop()
        self._playing = None
        if self.stepper is not None:
            self.stepper.pause()
        if self.inspector is not None:
            self.inspector.clear()
