"""The Verify workspace: attacks on a policy, its claims, and counterexamples to step through."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.gui.verify.attack_job import AttackJob, digest_of
from foliolab.gui.verify.commands import commands_of, findables
from foliolab.gui.verify.opened import OpenedVerdicts, command_of, kind_of
from foliolab.gui.verify.options import Attempt, Options
from foliolab.gui.verify.shown_example import ShownExample
from foliolab.gui.verify.state import VerifyState, place_of, state_of
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.window.building import FLUSH, column, label, named, row, splitter
from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.finding import Findable
from foliolab.gui.window.session_file import Files, State
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.sharing import Shareable
from foliolab.gui.window.watched import is_present
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.verifier import Verification
    from foliolab.gui.verify.cards import Card
    from foliolab.gui.verify.claims import Claims

WELCOME: Final = (
    "Four attacks run side by side on the text of the policy: every interleaving of a few threads, random operations "
    "compared with the page tables, a solver that searches MM IDs and counts, and the widths of the fields. Each claim "
    "is held, refuted or undecided. A refuted claim comes with a counterexample to step through."
)


class VerifyWorkspace(Workspace):
    """Attacks policies and shows counterexamples."""

    name = "verify"
    title = "&Verify"
    tip = "Attack a policy, and step through counterexamples"
    STATE = VerifyState

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.attacks = AttackJob(desk, self)
        self.attacks.reported.connect(self._on_report)
        self.attacks.answered.connect(self._show_done)
        self.attacks.ended.connect(self._ended)
        self.shown_example = ShownExample(desk, self)
        self.opened = OpenedVerdicts()
        self.cards: dict[str, Card] = {}
        self.part = Interval()  # the milliseconds of the attacks that their curves show
        self.claims: Claims | None = None
        self.options = Options(desk)
        self.options.wanted.connect(self.start)
        self.options.stopped.connect(self.attacks.stop)
        self.options.chosen.connect(self._chosen)
        self.welcome = label(WELCOME, "quiet", wraps=True)
        self.welcome.setMaximumWidth(760)
        self.note = label(role="doubtful", wraps=True)
        self.note.hide()
        centre = QWidget()
        self._column = column(self.welcome, self.note, 1, of=centre, margins=(8, 6, 8, 6))
        self.setCentralWidget(centre)
        area = Qt.DockWidgetArea
        self.dock("options", "What to verify", self.panel(self.options), area.LeftDockWidgetArea)
        self.dock("inspector", "The folio at this step", QWidget(), area.RightDockWidgetArea)
        docks = [self.docks["options"], self.docks["inspector"]]
        self.resizeDocks(docks, [220, 380], Qt.Orientation.Horizontal)
        policy = desk.settings.text("verify/policy")
        if desk.library.usable([policy] if policy else []):
            self.options.choose(policy)
        self.options.again.setChecked(desk.settings.flag("verify/again"))

    def _furnish(self) -> None:
        """Make the widgets at first use, because importing the verifier takes a while."""
        if self.cards:
            return
        from foliolab.gui.verify.cards import ATTACKS, Card
        from foliolab.gui.verify.claims import Claims
        from foliolab.gui.verify.menus import offer_menus

        theme = self.desk.themes.now
        self.claims = Claims(theme)
        self.claims.remember(self.desk.settings)
        self.cards = {name: Card(name, theme, self.part) for name in ATTACKS}
        cards = QWidget()
        row(*((card, 1) for card in self.cards.values()), of=cards, margins=FLUSH)
        stepper, inspector = self.shown_example.furnish()
        self.claims.wanted.connect(self.show_example)
        offer_menus(self.desk.commands, self.claims, stepper.diagram, inspector)
        named(cards, "Attacks").setObjectName("verify.cards")
        parts = ((cards, 0), (self.claims, 1), (stepper, 3))
        self._column.addWidget(splitter(Qt.Orientation.Vertical, *parts, sizes=(112, 130, 512)), 100)
        self.docks["inspector"].setWidget(inspector)

    # -- commands --------------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        return commands_of(self.command, self.start_chosen, self.attacks, self.shown_example, self.part)

    def start_chosen(self) -> None:
        self.start(self.options.attempt())

    def start(self, attempt: Attempt) -> None:
        """Attack a policy; running attacks are killed."""
        try:
            scheme = self.desk.library.scheme(attempt.policy)
            if not attempt.attacks:
                raise UsageError("no attack is chosen", "tick at least one")
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self._furnish()
        assert self.claims is not None
        self.opened.clear()
        self.shown_example.file = ""
        self.welcome.hide()
        self.note.hide()
        self.claims.begin(scheme, {})
        for name, card in self.cards.items():
            card.begin(name in attempt.attacks)
        self.options.runs(True)
        self.attacks.start(attempt)

    # -- the attacks -----------------------------------------------------------------------------------
    def _on_report(self, news: object, seconds: float) -> None:
        from foliolab.framework.verify.attack import Progress
        from foliolab.framework.verify.finding import Finding

        assert self.claims is not None
        if isinstance(news, Progress) and news.attack in self.cards:
            self.cards[news.attack].show_progress(news, seconds)
        elif isinstance(news, Finding) and news.counterexample is not None:
            if news.attack in self.cards:
                self.cards[news.attack].show_refutation(news)
            self.claims.refute(news.claim, news.counterexample)
            found = news.counterexample
            self.desk.recent.keep("counterexample", f"{found.policy},{found.law}", found.encoded)
            if not self.shown_example.visible:
                self.show_example(news.counterexample)

    def _show_done(self, done: Verification) -> None:
        assert self.claims is not None
        self.attacks.done = done
        for card in self.cards.values():
            card.show_end(done.findings)
        self.claims.show_verification(done)
        stopped = "stopped early: " if done.interrupted else ""
        refuted = len({finding.claim for finding in done.findings if finding.verdict == "refuted"})
        held, partly = (sum(done.verdict(claim) == word for claim in ("", *done.claims)) for word in ("held", "partly"))
        self.statusBar().showMessage(
            f"{stopped}{done.policy}: {held} held, {partly} partly, {refuted} refuted, {done.seconds:.1f} s"
        )
        examples = done.refuted
        if examples and self.shown_example.example is None and examples[0].counterexample is not None:
            self.show_example(examples[0].counterexample)

    def _ended(self) -> None:
        self.options.runs(False)

    # -- a counterexample ------------------------------------------------------------------------------
    def show_example(self, example: Counterexample) -> None:
        """Play a counterexample, and show it."""
        self._furnish()
        self.welcome.hide()
        self.shown_example.show(example)

    # -- hooks of workspaces ---------------------------------------------------------------------------
    def _chosen(self, text: str) -> None:
        """Show the verdicts that are known about the chosen policy."""
        if self.attacks.job is not None or not self.desk.library.usable([text] if text else []):
            return
        if text in self.opened.by_policy:
            self._show_opened(self.opened.by_policy[text])
            return
        self.note.hide()
        known = self.desk.library.ledger().verdicts(self.desk.library.scheme(text))
        if known or self.cards:
            self._furnish()
            assert self.claims is not None
            self.claims.begin(self.desk.library.scheme(text), known)
            for card in self.cards.values():
                card.begin(True)
                card.count.setText("")

    def hidden(self) -> None:
        self.shown_example.pause()

    def refresh(self) -> None:
        """Verify again, or say that the verdicts are about an older text, if the text of the policy has changed."""
        self.options.refill()
        attempt = self.attacks.attempt
        if attempt is None or not self.attacks.outdated:
            return
        if self.desk.library.usable([attempt.policy]) and self.options.again.isChecked():
            self.shown_example.clear()
            self.start(attempt)
        else:
            self.note.setText(f"The text of {attempt.policy} has changed since; the verdicts are about the older text.")
            self.note.show()

    def exportables(self) -> Sequence[Exportable]:
        """The claims, the sequence diagram, and the folio."""
        if self.claims is None:
            return ()
        claims = Exportable("claims", "Claims and verdicts", self.claims, self.claims.table)
        return [claims, *self.shown_example.exportables()]

    def shareable(self) -> Shareable | None:
        """The counterexample."""
        example = self.shown_example.example
        if example is None:
            return None
        words = self.with_plugins([example.policy])[1:]  # the name only finds the plugin
        return Shareable(f"{example.policy.replace(':', '-')}-{example.law}", tuple(words), example)

    def state(self, files: Files) -> VerifyState:
        return state_of(self, files)

    def restore(self, state: State, files: Files) -> None:
        """Show the verdicts and the counterexample that a session kept."""
        assert isinstance(state, VerifyState)
        state.choose(self.options)
        if state.verdicts:
            self._show_verdicts(files.path(state.verdicts))
        if state.example:
            example = state.counterexample(files)
            self.desk.library.scheme(example.policy)
            self._furnish()
            self.welcome.hide()
            self.shown_example.show(example, state.step, (state.low, state.high))

    def policy(self) -> str:
        return self.options.policy.currentText()

    def place(self) -> str:
        return place_of(self)

    def on_screen(self) -> dict[str, object]:
        """See `ShownExample.on_screen`."""
        return self.shown_example.on_screen()

    def findables(self) -> Sequence[Findable]:
        return findables(self.shown_example.stepper, lambda: self.desk.go(self.name))

    def repeated(self) -> Sequence[str]:
        """The command line that repeats the attacks, or that steps through the file of the counterexample."""
        example, file = self.shown_example.example, self.shown_example.file
        if file:
            return example.stepping(file) if example else ["foliolab", "step", file]
        opened = self.opened.by_policy.get(self.options.policy.currentText())
        if opened is not None and (words := command_of(opened)):
            return words
        return (self.attacks.attempt or self.options.attempt()).command()

    def takes(self, path: Path) -> bool:
        """Whether a file has a counterexample, or verdicts of `foliolab verify --json`."""
        return bool(kind_of(path))

    def show_file(self, path: Path) -> None:
        """Show the counterexample or the verdicts of a file."""
        from foliolab.framework.verify.counterexample import Counterexample

        if kind_of(path) == "verdicts":
            self._show_verdicts(path)
            return
        found = Counterexample.load(path)
        if not self.desk.library.usable([found.policy]) and is_present(found.plugin):
            text = f"{path.name} is about {found.policy} of the plugin {found.plugin}, which is not loaded"
            offer = "Load it", partial(self._load_and_show, path, found)
            self.desk.notices.say(text, "warning", "A plugin is code: load it only if you trust it.", offer)
            return
        self.options.choose(found.policy)
        self.show_example(found)
        self.shown_example.file = str(path)

    def _load_and_show(self, path: Path, example: Counterexample) -> None:
        """Load the plugin that a file names, as the user asked, and show the file."""
        try:
            self.desk.library.open(example.plugin, partial(self._show_loaded, path, example))
        except FolioLabError as fault:
            self.desk.notices.fault(fault)

    def _show_loaded(self, path: Path, example: Counterexample, plugin: str) -> None:
        try:
            self.desk.library.scheme(example.policy)
            self.show_file(path)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)

    def _show_verdicts(self, path: Path) -> None:
        """Show the verdicts of a file: first those of a refuted policy; the others when their policy is chosen."""
        self.opened.load(path, self.desk.library)
        if self.opened.absent:
            text = f"{path.name} has verdicts on {', '.join(self.opened.absent)}, which is not installed"
            self.desk.notices.say(text, "warning", "open the policy file first, then this file")
        first = self.opened.first
        if first is None:
            return
        self.shown_example.file = ""
        if self.options.policy.currentText() == first.policy:
            self._show_opened(first)
        else:
            self.options.choose(first.policy)  # `_chosen` shows the verdicts

    def _show_opened(self, done: Verification) -> None:
        """Show a verification of an opened file, and when and by which version it was made."""
        self._furnish()
        stepper = self.shown_example.stepper
        assert self.claims is not None and stepper is not None
        self.welcome.hide()
        self.shown_example.clear()
        stepper.hide()
        attacks = {finding.attack for finding in done.findings}
        for name, card in self.cards.items():
            card.begin(name in attacks)
        self.claims.begin(self.desk.library.scheme(done.policy), {})
        self._show_done(done)
        self.note.setText(self.opened.note(done, digest_of(self.desk.library, done.policy)))
        self.note.show()

    def show_object(self, what: object) -> None:
        """Show a counterexample."""
        from foliolab.framework.verify.counterexample import Counterexample

        assert isinstance(what, Counterexample)
        self.show_example(what)

    def choose(self, what: dict[str, Any]) -> None:
        """See `Workspace.choose`; the keys are `policy`, `seconds`, `attacks`, and `start`: whether to attack it."""
        if "policy" in what:
            self.options.choose(what["policy"])
        self.options.limit(what.get("seconds"), what.get("attacks"))
        if what.get("start"):
            self.shown_example.clear()
            self.start_chosen()

    def keep(self, settings: Settings) -> None:
        settings.keep("verify/policy", self.options.policy.currentText())
        settings.keep("verify/again", self.options.again.isChecked())

    def shut(self) -> None:
        """Stop playing; the window ends the jobs."""
        self.shown_example.shut()
