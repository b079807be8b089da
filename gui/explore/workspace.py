"""The Explore workspace: policies in lockstep on the same steps, with live maps and counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStackedWidget, QWidget

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.gui.explore.choice import MOST_POLICIES, Choice, kind_of, pattern_choice, spread
from foliolab.gui.explore.chooser import Chooser
from foliolab.gui.explore.close_up import CloseUp
from foliolab.gui.explore.controls import Controls
from foliolab.gui.explore.findables import find_steps, findables
from foliolab.gui.explore.following import Following
from foliolab.gui.explore.going import Going
from foliolab.gui.explore.inspecting import Inspecting
from foliolab.gui.explore.leaving import Leaving
from foliolab.gui.explore.map_grid import MapGrid
from foliolab.gui.explore.menus import offer_menus
from foliolab.gui.explore.run_bar import RunBar
from foliolab.gui.explore.shown_part import ShownPart
from foliolab.gui.explore.state import ExploreState, show, state_of
from foliolab.gui.explore.step_table import StepTable
from foliolab.gui.explore.trace_answer import TraceAnswer
from foliolab.gui.explore.welcome import Welcome
from foliolab.gui.window.building import page
from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.finding import Findable
from foliolab.gui.window.session_file import Files, State
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.sharing import Shareable
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.framework.explore.commands import MapKey
    from foliolab.gui.explore.access_stepper import AccessStepper
    from foliolab.gui.explore.counters import Counters
    from foliolab.gui.explore.precision_plot import PrecisionPlot
    from foliolab.gui.explore.queries import Facts
    from foliolab.gui.explore.run import Run
    from foliolab.gui.inspector.inspector import Inspector

SHARED: Final = 60
"""Steps up to the present one that a shared page has."""
BOTTOM: Final = 150
"""Initial height of the docks below the maps, in pixels."""


class ExploreWorkspace(Workspace):
    """Policies in lockstep on the same memory.

    Attributes:
        run: the run that is shown; None without one.
        facts: what is known about its session; None until the session is made.
        controls: the commands.
    """

    name = "explore"
    title = "&Explore"
    tip = "Watch policies on the same memory, step by step"
    STATE = ExploreState

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.run: Run | None = None
        self._leaving = Leaving(self)
        self.facts: Facts | None = None
        self._wanted_state: ExploreState | None = None  # what to show then
        self._wanted_play = False
        self.chooser = Chooser(desk)
        self.welcome = Welcome()
        self.maps = MapGrid(desk.themes.now)
        self.close_up = CloseUp(self.maps, self.statusBar())
        self.shown_part = ShownPart(self, self)
        self.run_bar = RunBar(desk.themes.now, self.shown_part.part)
        self.steps = StepTable(self.shown_part.part, lambda: self.run)
        self.steps.remember(desk.settings)
        self.controls = Controls(self)
        self.inspecting = Inspecting(self, self)
        self.going = Going(self)
        self.accesses: AccessStepper | None = None
        self.plot: PrecisionPlot | None = None
        self.counters: Counters | None = None
        self.inspector: Inspector | None = None
        self.answer = TraceAnswer(desk)
        self.following = Following(self, self)
        self.following.made.connect(self._ready)
        self.following.failed.connect(self._failed)
        self._build()
        self.chooser.remember(desk.settings)

    def _build(self) -> None:
        self.centre = QStackedWidget()
        self.centre.addWidget(self.welcome)
        self.centre.addWidget(page((self.maps, 1), self.run_bar, spacing=0))
        self.setCentralWidget(self.centre)
        area = Qt.DockWidgetArea
        self.dock("chooser", "What to explore", self.panel(self.chooser), area.LeftDockWidgetArea)
        self.dock("counters", "Counters", QWidget(), area.BottomDockWidgetArea)
        self.dock("steps", "Steps", self.steps, area.BottomDockWidgetArea)
        self.tabifyDockWidget(self.docks["counters"], self.docks["steps"])
        self.docks["counters"].raise_()
        self.dock("precision", "Precision over the run", QWidget(), area.BottomDockWidgetArea)
        self.dock("inspector", "Inspector", QWidget(), area.RightDockWidgetArea)
        self.dock("answer", "The answer", self.panel(self.answer), area.TopDockWidgetArea, shown=False)
        self.setCorner(Qt.Corner.BottomRightCorner, area.RightDockWidgetArea)
        self.setCorner(Qt.Corner.BottomLeftCorner, area.LeftDockWidgetArea)
        bottom = [self.docks["counters"], self.docks["precision"]]
        self.resizeDocks(bottom, [BOTTOM] * len(bottom), Qt.Orientation.Vertical)
        self.resizeDocks(bottom, [5, 4], Qt.Orientation.Horizontal)
        self.resizeDocks([self.docks["chooser"], self.docks["inspector"]], [250, 400], Qt.Orientation.Horizontal)
        self.chooser.wanted.connect(self.start)
        self.welcome.wanted.connect(self.example)
        self.maps.wanted.connect(self._show_maps)
        self.maps.chosen.connect(self.inspecting.pick)
        self.run_bar.speed.currentIndexChanged.connect(self._set_speed)
        self.run_bar.slider.wanted.connect(self.controls.goto)
        self.steps.wanted.connect(self.controls.goto)

    def _furnish(self) -> None:
        """Make the contents of the docks, at the first run: importing the modules takes long."""
        if self.plot is not None:
            return
        from foliolab.gui.explore.access_stepper import AccessStepper
        from foliolab.gui.explore.counters import Counters
        from foliolab.gui.explore.precision_plot import PrecisionPlot
        from foliolab.gui.inspector.inspector import Inspector

        theme = self.desk.themes.now
        self.plot = PrecisionPlot(theme, self.shown_part.part)
        self.counters, self.inspector = Counters(theme), Inspector(self.desk)
        self.counters.remember(self.desk.settings)
        self.inspector.why.setObjectName("explore.why")
        way = (self.plot, self.counters, self.run_bar.slider)
        offer_menus(self.desk.commands, self.maps, self.inspector, way)
        self.accesses = AccessStepper(self.inspector)
        self.inspector.why.wanted.connect(self.inspecting.ask_origin)
        self.inspector.writer_wanted.connect(self.inspecting.ask_field)
        self.docks["counters"].setWidget(self.counters)
        self.docks["precision"].setWidget(self.plot)
        self.docks["inspector"].setWidget(self.inspector)

    # -- starting a run --------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        return self.controls.commands()

    def start(self, choice: Choice) -> None:
        """Explore a choice; undo goes back to the previous choice."""
        before = self.run.choice if self.run is not None else None
        if before is None:
            self._begin(choice)
        else:
            self.desk.undo.change(
                f"Explore {choice.description}", lambda: self._begin(choice), lambda: self._again(before)
            )

    def _again(self, choice: Choice) -> None:
        self.desk.go(self.name)
        self._begin(choice)

    def example(self) -> None:
        """Explore an example with the installed plugins."""
        policies = [policy.name for policy in self.desk.library.policies]
        patterns = list(self.desk.library.registry.patterns)
        if not policies or not patterns:
            self.desk.notices.say("no example: no plugin offers a policy and a sharing pattern", "error")
            return
        chosen = self.chooser.policies.chosen() or spread(self.desk.library)
        choice = Choice("pattern", patterns[0], tuple(chosen[:MOST_POLICIES]), mms=4, span=1 << 20)
        self.chooser.show_choice(choice)
        self._wanted_play = True
        self.start(choice)

    def inspect_wrong(self) -> None:
        """Inspect the page and the policy that are wrong at the step that comes next."""
        self.inspecting.wants_wrong = True

    @property
    def playing(self) -> bool:
        return self.run is not None and self.run.view is not None and self.run.view.playing

    def _begin(self, choice: Choice) -> None:
        """Begin the run of a choice. If the choice cannot be explored, show a notice and keep the run before."""
        from foliolab.gui.explore.run import Run

        try:
            run = Run(choice, self.desk.library)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self._end()
        self._furnish()
        self.run = self.close_up.run = run
        self.chooser.show_choice(choice)
        self.welcome.say("Preparing: policies that are new on this host are compiled first, which takes seconds …")
        self.statusBar().showMessage("Preparing …")
        self.following.start()

    def _end(self) -> None:
        """End the run."""
        self.following.stop()
        if self.inspector is not None:
            self.inspector.clear()
        if self.run is not None:
            self._leaving.add(self.run.leave())
        self.answer.clear()
        self.run, self.facts, self.close_up.run = None, None, None
        self.inspecting.begin()
        self.following.begin()
        self.going.begin()
        if self.accesses is not None:
            self.accesses.begin(None, None)

    # -- following a run -------------------------------------------------------------------------------
    def _failed(self, fault: FolioLabError) -> None:
        self.desk.notices.fault(fault)
        self._end()
        self.welcome.say("")
        self.statusBar().clearMessage()
        self.centre.setCurrentIndex(0)

    def _ready(self, facts: Facts) -> None:
        """Set everything up for a new session."""
        assert self.run is not None and self.plot is not None
        self.facts = facts
        if self.accesses is not None:
            self.accesses.begin(self.run, facts)
        self.following.zoomed = facts.kind in ("pattern", "trace")  # their maps end where the memory ends
        self.welcome.say("")
        self.statusBar().showMessage(facts.title)
        self.centre.setCurrentIndex(1)
        self.docks["answer"].setVisible(facts.kind == "trace")
        if facts.kind == "trace":
            self.resizeDocks([self.docks["answer"]], [BOTTOM], Qt.Orientation.Vertical)
            self.answer.begin(self.run.choice.what, self.run.choice.policies)
        self.maps.begin(facts.policies, facts.mms, facts.pages)
        self.shown_part.begin(facts.nr_steps)
        self.plot.begin(facts.policies, facts.times)
        self.run_bar.begin(facts.times)
        self.steps.begin(facts.times)
        for note in facts.notes:
            self.desk.notices.say(note)
        if self.going.wanted >= 0:
            self.going.go(self.going.wanted)
        elif self._wanted_play:
            self.run.session.play(self.run_bar.pace)
        self._wanted_play = False
        if self._wanted_state is not None:
            self._show_state(self._wanted_state)

    def _show_maps(self, maps: list[MapKey], weights: NDArray[np.uint8]) -> None:
        if self.run is not None:
            self.run.session.show(maps, weights)

    def _set_speed(self) -> None:
        if self.run is not None and self.playing:
            self.run.session.play(self.run_bar.pace)

    # -- hooks of a workspace --------------------------------------------------------------------------
    def shown(self) -> None:
        if self.run is not None:
            self.following.start()

    def hidden(self) -> None:
        if self.run is not None:
            if self.playing:
                self.run.session.pause()
            self.following.stop()

    def refresh(self) -> None:
        """Restart the run, up to the same position, if the text of one of its policies was saved."""
        self.chooser.refill()
        run = self.run
        if run is None:
            return
        library = self.desk.library
        touched = {name for file in library.files for name in library.names_of(file)}
        chosen = [text.partition(":")[0] for text in run.choice.policies]
        usable = library.usable(run.choice.policies)
        if len(usable) < len(run.choice.policies):
            gone = ", ".join(text for text in run.choice.policies if text not in usable)
            self.desk.notices.say(f"{gone} cannot be used now; the run goes on with its previous text", "warning")
        elif touched & set(chosen):
            position = run.view.position if run.view is not None else 0
            self.going.wanted = position
            self._begin(run.choice)

    def exportables(self) -> Sequence[Exportable]:
        if self.run is None or self.plot is None or self.counters is None or self.inspector is None:
            return ()
        return [
            Exportable("maps", "Memory maps", self.maps),
            Exportable("precision", "Precision over the run", self.plot, self.plot.table),
            Exportable("counters", "Counters", self.counters, self.counters.table),
            *self.inspector.exportables(),
        ]

    def shareable(self) -> Shareable | None:
        """The steps of the shown part; of a whole run those up to this one, at most SHARED; of a counterexample all."""
        run = self.run
        if run is None or run.view is None:
            return None
        choice = run.choice
        if choice.kind == "counterexample":
            example = choice.counterexample()
            return Shareable(example.law, tuple(self.with_plugins([example.policy])[1:]), example)
        last = run.view.position or min(SHARED, run.view.nr_steps)
        first, end = self.shown_part.steps or (max(last - SHARED, 0), last - 1)
        words = [choice.what, "--steps", f"{first}-{end}", *choice.options()]
        return Shareable(Path(choice.what).stem, tuple(self.with_plugins(words)))

    def state(self, files: Files) -> ExploreState | None:
        return state_of(self, files)

    def restore(self, state: State, files: Files) -> None:
        """Explore what a session kept; if that is explored already, only go to its step."""
        assert isinstance(state, ExploreState)
        choice = state.choice(files)
        for policy in choice.policies:
            self.desk.library.scheme(policy)
        if self.run is not None and self.facts is not None and self.run.choice == choice:
            self._show_state(state)
        else:
            self._wanted_state = state
            self.start(choice)

    def _show_state(self, state: ExploreState) -> None:
        self._wanted_state, self.following.zoomed = None, True
        show(self, state)

    def policy(self) -> str:
        return self.chooser.policies.current

    def place(self) -> str:
        run = self.run
        if run is None or run.view is None:
            return ""
        return f"{run.choice.description}, step {run.view.position:,}"

    def on_screen(self) -> dict[str, object]:
        """See `Going.on_screen`."""
        return self.going.on_screen()

    def findables(self) -> Sequence[Findable]:
        return findables(self)

    def find_later(self, wanted: str, tell: Callable[[Sequence[Findable]], None]) -> None:
        if self.run is not None:
            self.following.start()  # which takes the answer, also while another workspace is in front
        find_steps(self, wanted, tell)

    def repeated(self) -> Sequence[str]:
        return self.run.choice.command() if self.run is not None else ()

    def takes(self, path: Path) -> bool:
        return bool(kind_of(path))

    def show_file(self, path: Path) -> None:
        if not path.is_file():
            raise UsageError(f"there is no file {path}", "name a file that exists")
        policies = tuple(self.chooser.policies.chosen() or spread(self.desk.library))
        self.start(Choice(kind_of(path), str(path), policies))

    def show_object(self, what: object) -> None:
        """Explore a counterexample."""
        from foliolab.framework.verify.counterexample import Counterexample

        assert isinstance(what, Counterexample)
        others = [name for name in spread(self.desk.library) if name != what.policy]
        policies = tuple([*self.desk.library.usable([what.policy]), *others][:2])
        self.start(Choice("counterexample", "", policies, example=what))

    def choose(self, what: dict[str, Any]) -> None:
        """See `Workspace.choose`; the keys are `file`, `scenario`, `pattern` with those of `pattern_choice`,
        `policies`, `step`, `wrong` (inspect what is wrong at the step), `counter` (a column to be in sight), `play`.
        """
        policies = tuple(what.get("policies", ()) or self.chooser.policies.chosen() or spread(self.desk.library))
        if "file" in what:
            choice = Choice(kind_of(Path(what["file"])), str(what["file"]), policies)
            if self.run is None or self.run.choice != choice:
                self.start(choice)
            if self.run is not None and self.run.choice == choice:  # otherwise a notice says why not
                self.going.go_to(what)
        elif "scenario" in what:
            self.start(Choice("scenario", what["scenario"], policies))
        elif "pattern" in what:
            self.going.wanted, self._wanted_play = what.get("step", -1), bool(what.get("play"))
            self.start(pattern_choice(what, policies))
        elif "step" in what:
            self.going.go_to(what)
        else:
            self.chooser.policies.choose(policies)

    def keep(self, settings: Settings) -> None:
        self.chooser.keep(settings)

    def shut(self) -> None:
        self._end()
        self._leaving.shut()
