"""The Verify workspace: attacks on a policy, its claims, and counterexamples to step through."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from foliolab.framework.errors import FolioLabError, PluginError, UsageError
from foliolab.gui.verify.commands import commands_of, findables
from foliolab.gui.verify.opened import OpenedVerdicts, command_of, kind_of
from foliolab.gui.verify.options import Attempt, Options
from foliolab.gui.verify.state import VerifyState, place_of, state_of
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.window import dialogs
from foliolab.gui.window.aside import Aside
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
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.timeline import Timeline
    from foliolab.framework.verify.verifier import Verification
    from foliolab.gui.inspector.inspector import Inspector
    from foliolab.gui.verify.cards import Card
    from foliolab.gui.verify.claims import Claims
    from foliolab.gui.verify.stepper import Stepper
    from foliolab.gui.window.jobs import Job

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
        self.job: Job | None = None
        self.attempt: Attempt | None = None
        self.done: Verification | None = None
        self.example: Counterexample | None = None
        self._wanted_step = -1  # where to go once the counterexample is played
        self.cards: dict[str, Card] = {}
        self.part = Interval()  # the milliseconds of the attacks that their curves show
        self.claims: Claims | None = None
        self.stepper: Stepper | None = None
        self.inspector: Inspector | None = None
        self._began = 0.0
        self._digest = ""
        self.player = Aside(self)
        self.player.done.connect(self._played)
        self.player.failed.connect(self._cannot_play)
        self._file = ""
        self._opened = OpenedVerdicts()
        self.options = Options(desk)
        self.options.wanted.connect(self.start)
        self.options.stopped.connect(self.stop)
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
        from foliolab.gui.inspector.inspector import Inspector
        from foliolab.gui.verify.cards import ATTACKS, Card
        from foliolab.gui.verify.claims import Claims
        from foliolab.gui.verify.menus import offer_menus
        from foliolab.gui.verify.stepper import Stepper
        from foliolab.gui.verify.ways import Ways

        theme = self.desk.themes.now
        self.claims, self.stepper = Claims(theme), Stepper(theme)
        self.claims.remember(self.desk.settings)
        self.cards = {name: Card(name, theme, self.part) for name in ATTACKS}
        cards = QWidget()
        row(*((card, 1) for card in self.cards.values()), of=cards, margins=FLUSH)
        self.inspector = Inspector(self.desk)
        self.ways = Ways(self.stepper, self.inspector, self)
        self.inspector.why.wanted.connect(self.ways.go_to_origin)
        self.inspector.writer_wanted.connect(self.ways.go_to_writer)
        self.claims.wanted.connect(self.show_example)
        offer_menus(self.desk.commands, self.claims, self.stepper.diagram, self.inspector)
        self.stepper.stepped.connect(self._stepped)
        named(cards, "Attacks").setObjectName("verify.cards")
        parts = ((cards, 0), (self.claims, 1), (self.stepper, 3))
        self._column.addWidget(splitter(Qt.Orientation.Vertical, *parts, sizes=(112, 130, 512)), 100)
        self.stepper.hide()
        self.docks["inspector"].setWidget(self.inspector)

    # -- commands --------------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        return commands_of(self)

    def start_chosen(self) -> None:
        self.start(self.options.attempt())

    def start(self, attempt: Attempt) -> None:
        """Attack a policy; running attacks are killed."""
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
        assert self.claims is not None
        self.attempt, self.done = attempt, None
        self._opened.clear()
        self._file = ""
        self.welcome.hide()
        self.note.hide()
        self._digest = self._digest_of(attempt.policy)
        self.claims.begin(scheme, {})
        for name, card in self.cards.items():
            card.begin(name in attempt.attacks)
        self.options.runs(True)
        self._began = time.monotonic()
        command = shlex.join(attempt.command())
        self.job = self.desk.jobs.start(
            f"Verifying {attempt.policy}", attack, attempt.policy, tuple(self.desk.library.sound), attempt.seconds,
            attempt.nbytes, attempt.attacks, attempt.tso, command,
        )  # fmt: skip
        self.job.reported.connect(self._on_report)
        self.job.answered.connect(self._answered)
        self.job.failed.connect(self.desk.notices.fault)
        self.job.ended.connect(self._ended)

    def stop(self) -> None:
        """Stop the attacks; the job answers with their findings so far."""
        if self.job is not None:
            self.job.cancel()

    def explore(self) -> None:
        """Open the counterexample in Explore."""
        if self.example is None:
            self.desk.notices.say("there is no counterexample to explore yet")
        else:
            self.desk.send("explore", self.example)

    def ask_save(self) -> None:
        """Ask for a file and write the counterexample to it."""
        if self.example is None:
            self.desk.notices.say("there is no counterexample to save yet")
            return
        name = f"{self.example.policy.replace(':', '-')}-{self.example.law}.json"
        path = dialogs.ask_save(self, self.desk.settings, "Save the counterexample", name, "Counterexample (*.json)")
        if path is not None:
            self.save(path)

    def save(self, path: Path) -> None:
        """Write the counterexample to a file."""
        assert self.example is not None
        try:
            self.example.save(path)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self._file = str(path)
        self.desk.notices.say(f"written to {path}; {shlex.join(self.example.stepping(path))} repeats it")

    def step(self, action: str) -> None:
        """Step through the counterexample.

        Args:
            action: a method of `Stepper`.
        """
        if self.stepper is None or self.stepper.timeline is None:
            self.desk.notices.say("there is no counterexample to step through yet")
            return
        if action != "toggle":
            self.stepper.pause()
        getattr(self.stepper, action)()

    def inspect(self, way: str) -> None:
        """Go to where something was written: a method of `Inspector`."""
        if self.inspector is None:
            self.desk.notices.say("there is no counterexample to inspect yet")
        else:
            getattr(self.inspector, way)()

    # -- the attacks -----------------------------------------------------------------------------------
    def _on_report(self, news: object) -> None:
        from foliolab.framework.verify.attack import Progress
        from foliolab.framework.verify.finding import Finding

        assert self.claims is not None
        if isinstance(news, Progress) and news.attack in self.cards:
            self.cards[news.attack].show_progress(news, time.monotonic() - self._began)
        elif isinstance(news, Finding) and news.counterexample is not None:
            if news.attack in self.cards:
                self.cards[news.attack].show_refutation(news)
            self.claims.refute(news.claim, news.counterexample)
            found = news.counterexample
            self.desk.recent.keep("counterexample", f"{found.policy},{found.law}", found.encoded)
            if self.example is None or self.stepper is None or not self.stepper.isVisible():
                self.show_example(news.counterexample)

    def _answered(self, done: Verification) -> None:
        assert self.claims is not None
        self.done = done
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
        if examples and self.example is None and examples[0].counterexample is not None:
            self.show_example(examples[0].counterexample)

    def _ended(self) -> None:
        if self.sender() is self.job:  # otherwise another job has replaced it
            self.job = None
            self.options.runs(False)

    # -- a counterexample ------------------------------------------------------------------------------
    def show_example(self, example: Counterexample) -> None:
        """Play a counterexample, and show it."""
        self._furnish()
        self.welcome.hide()
        try:
            scheme = self.desk.library.scheme(example.policy)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self.example = example
        self._file = ""
        self.player.begin(_timeline, example, scheme)
        self.statusBar().showMessage("Playing the counterexample …")

    def _played(self, timeline: Timeline) -> None:
        self.statusBar().clearMessage()
        if self.stepper is None:
            return
        if not timeline.breaks:
            text = f"the law {timeline.counterexample.law} does not break any more: the policy's text has changed since"
            self.desk.notices.say(text, "warning")
        self.stepper.show()
        self.stepper.show_timeline(timeline)
        self.stepper.diagram.setFocus()
        step, self._wanted_step = self._wanted_step, -1
        self.stepper.go(step)

    def _cannot_play(self, fault: Exception) -> None:
        self.statusBar().clearMessage()
        if not isinstance(fault, FolioLabError):
            fault = PluginError(f"the counterexample cannot be played: {type(fault).__name__}: {fault}")
        self.desk.notices.fault(fault)

    def _stepped(self, step: int) -> None:
        from foliolab.gui.inspector.inspected import inspect_step

        if self.stepper is not None and self.stepper.timeline is not None and self.inspector is not None:
            self.inspector.show_found([inspect_step(self.stepper.timeline, step)])

    # -- hooks of workspaces ---------------------------------------------------------------------------
    def _chosen(self, text: str) -> None:
        """Show the verdicts that are known about the chosen policy."""
        if self.job is not None or not self.desk.library.usable([text] if text else []):
            return
        if text in self._opened.by_policy:
            self._show_opened(self._opened.by_policy[text])
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

    def _digest_of(self, text: str) -> str:
        """The digest of the text of a policy; empty if the policy does not exist."""
        from foliolab.framework.engine.policytree import policy_digest

        try:
            return policy_digest(self.desk.library.scheme(text))
        except FolioLabError:
            return ""

    def hidden(self) -> None:
        if self.stepper is not None:
            self.stepper.pause()

    def refresh(self) -> None:
        """Verify again, or say that the verdicts are about an older text, if the text of the policy has changed."""
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
                f"The text of {self.attempt.policy} has changed since; the verdicts are about the older text."
            )
            self.note.show()

    def exportables(self) -> Sequence[Exportable]:
        """The claims, the sequence diagram, and the folio."""
        if self.claims is None or self.stepper is None or self.inspector is None:
            return ()
        found = [Exportable("claims", "Claims and verdicts", self.claims, self.claims.table)]
        if self.stepper.timeline is not None:
            found += [*self.stepper.diagram.exportables(), *self.inspector.exportables()]
        return found

    def shareable(self) -> Shareable | None:
        """The counterexample."""
        example = self.example
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
            self.example = state.counterexample(files)
            self.desk.library.scheme(self.example.policy)
            self._wanted_step = state.step
            self.show_example(self.example)

    def policy(self) -> str:
        return self.options.policy.currentText()

    def place(self) -> str:
        return place_of(self)

    def on_screen(self) -> dict[str, object]:
        """Policy and claim of the `example` that is shown, and whether its last step is (`ended`)."""
        stepper = self.stepper
        if self.example is None or stepper is None or stepper.timeline is None or stepper.isHidden():
            return {"example": (), "ended": False}
        shown = stepper.timeline.counterexample
        return {"example": (shown.policy, shown.claim), "ended": stepper.step == stepper.last}

    def findables(self) -> Sequence[Findable]:
        return findables(self.stepper, lambda: self.desk.go(self.name))

    def repeated(self) -> Sequence[str]:
        """The command line that repeats the attacks, or that steps through the file of the counterexample."""
        if self._file:
            return self.example.stepping(self._file) if self.example else ["foliolab", "step", self._file]
        opened = self._opened.by_policy.get(self.options.policy.currentText())
        if opened is not None and (words := command_of(opened)):
            return words
        return (self.attempt or self.options.attempt()).command()

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
        self._file = str(path)

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
        self._opened.load(path, self.desk.library)
        if self._opened.absent:
            text = f"{path.name} has verdicts on {', '.join(self._opened.absent)}, which is not installed"
            self.desk.notices.say(text, "warning", "open the policy file first, then this file")
        first = self._opened.first
        if first is None:
            return
        self._file = ""
        if self.options.policy.currentText() == first.policy:
            self._show_opened(first)
        else:
            self.options.choose(first.policy)  # `_chosen` shows the verdicts

    def _show_opened(self, done: Verification) -> None:
        """Show a verification of an opened file, and when and by which version it was made."""
        self._furnish()
        assert self.claims is not None and self.stepper is not None
        self.welcome.hide()
        self.example = None
        self.stepper.hide()
        attacks = {finding.attack for finding in done.findings}
        for name, card in self.cards.items():
            card.begin(name in attacks)
        self.claims.begin(self.desk.library.scheme(done.policy), {})
        self._answered(done)
        self.note.setText(self._opened.note(done, self._digest_of(done.policy)))
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
            self.example = None
            self.start_chosen()

    def keep(self, settings: Settings) -> None:
        settings.keep("verify/policy", self.options.policy.currentText())
        settings.keep("verify/again", self.options.again.isChecked())

    def shut(self) -> None:
        """Stop playing; the window ends the jobs."""
        self.player.shut()
        if self.stepper is not None:
            self.stepper.pause()
        if self.inspector is not None:
            self.inspector.clear()


def _timeline(example: Counterexample, scheme: Scheme) -> Timeline:
    """Play a counterexample; a long one takes seconds."""
    from foliolab.framework.verify.timeline import Timeline

    return Timeline(example, scheme)
