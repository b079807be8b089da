"""Explore: policies in lockstep on the same events, maps and counters live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.gui.explore.actions import actions
from foliolab.gui.explore.choice import MOST_POLICIES, Choice, kind_of, pattern_choice, spread
from foliolab.gui.explore.chooser import Chooser
from foliolab.gui.explore.mapgrid import MapGrid
from foliolab.gui.explore.sight import Sight
from foliolab.gui.explore.transport import Transport
from foliolab.gui.explore.welcome import Welcome
from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Theme
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.gui.explore.accesssteps import AccessSteps
    from foliolab.gui.explore.counters import Counters
    from foliolab.gui.explore.facts import Acted, Facts, Key
    from foliolab.gui.explore.running import Run
    from foliolab.gui.explore.strip import Strip
    from foliolab.gui.inspector.inspector import Inspector

FRAME: Final = 8
"""Milliseconds from one look at the run to the next; there is something new at every second one."""
SELDOM: Final = 12
"""Views from one refresh of curves and counters to the next: five a second."""
OFTEN: Final = 3
"""Views from one refresh of position and rate to the next."""
SILENT: Final = 5.0
"""Seconds without an answer after which something is said."""
BOTTOM: Final = 150
"""Pixels of the docks below the maps, at first."""


class ExploreWorkspace(Workspace):
    """Watch policies on the same memory."""

    name = "explore"
    title = "&Explore"
    icon = "explore"
    keys = "Ctrl+2"
    tip = "Watch policies on the same memory, step by step"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.run: Run | None = None
        self.facts: Facts | None = None
        self._frames = 0
        self._wanted_step = -1
        self._wanted_play = False
        self._picked: tuple[int, int, int] | None = None
        self.accesses: AccessSteps | None = None
        self._framed = False
        self.chooser = Chooser(desk)
        self.welcome = Welcome()
        self.maps = MapGrid(desk.themes.now)
        self.sight = Sight(self.maps, self.statusBar())
        self.transport = Transport(desk.themes.now)
        self.strip: Strip | None = None
        self.counters: Counters | None = None
        self.inspector: Inspector | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._look)
        self._build()
        self.chooser.remember(desk.settings)

    def _build(self) -> None:
        running = QWidget()
        layout = QVBoxLayout(running)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.maps, 1)
        layout.addWidget(self.transport)
        self.centre = QStackedWidget()
        self.centre.addWidget(self.welcome)
        self.centre.addWidget(running)
        self.setCentralWidget(self.centre)
        area = Qt.DockWidgetArea
        self.dock("chooser", "What to explore", self.panel(self.chooser), area.LeftDockWidgetArea)
        self._curves_host, self._counters_host, self._inspector_host = QWidget(), QWidget(), QWidget()
        for name, title, host, where in (
            ("counters", "Counters", self._counters_host, area.BottomDockWidgetArea),
            ("strip", "Precision over the run", self._curves_host, area.BottomDockWidgetArea),
            ("inspector", "Inspector", self._inspector_host, area.RightDockWidgetArea),
        ):
            inside = QVBoxLayout(host)
            inside.setContentsMargins(0, 0, 0, 0)
            self.dock(name, title, host, where)
        self.setCorner(Qt.Corner.BottomRightCorner, area.RightDockWidgetArea)
        self.setCorner(Qt.Corner.BottomLeftCorner, area.LeftDockWidgetArea)
        bottom = [self.docks["counters"], self.docks["strip"]]
        self.resizeDocks(bottom, [BOTTOM] * len(bottom), Qt.Orientation.Vertical)
        self.resizeDocks(bottom, [5, 4], Qt.Orientation.Horizontal)
        self.resizeDocks([self.docks["chooser"], self.docks["inspector"]], [250, 400], Qt.Orientation.Horizontal)
        self.chooser.wanted.connect(self.start)
        self.welcome.wanted.connect(self.example)
        self.maps.wanted.connect(self._paint_these)
        self.maps.chosen.connect(self._pick)
        self.transport.paced.connect(self._pace)
        self.transport.timeline.wanted.connect(self.goto)

    def _furnish(self) -> None:
        """Make what is needed once something runs; importing it takes a while."""
        if self.strip is not None:
            return
        from foliolab.gui.explore.accesssteps import AccessSteps
        from foliolab.gui.explore.counters import Counters
        from foliolab.gui.explore.strip import Strip
        from foliolab.gui.inspector.inspector import Inspector

        theme = self.desk.themes.now
        self.strip, self.counters, self.inspector = Strip(theme), Counters(theme), Inspector(self.desk)
        self.accesses = AccessSteps(self.inspector)
        for host, part in (
            (self._curves_host, self.strip),
            (self._counters_host, self.counters),
            (self._inspector_host, self.inspector),
        ):
            host.layout().addWidget(part)  # type: ignore[union-attr]

    # -- commands --------------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        """Playing, stepping, zooming."""
        return actions(self)

    def start(self, choice: Choice) -> None:
        """Explore a choice; undo goes back to the one before."""
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
        """A sensible example with what is installed."""
        policies = [policy.name for policy in self.desk.library.policies]
        patterns = list(self.desk.library.registry.patterns)
        if not policies or not patterns:
            self.desk.notices.say("no plugin offers a policy and a sharing pattern", "error")
            return
        chosen = self.chooser.policies.chosen() or spread(self.desk.library)
        choice = Choice("pattern", patterns[0], tuple(chosen[:MOST_POLICIES]), mms=4, span=1 << 20)
        self.chooser.show_choice(choice)
        self._wanted_play = True
        self.start(choice)

    def toggle(self) -> None:
        """Play, or pause."""
        if self.run is None:
            self.chooser.start.click()
        elif self.playing:
            self.run.worker.pause()
        else:
            if self.run.view is not None and self.run.view.at_end:
                self.run.worker.goto(0)
            self.run.worker.play(self.transport.pace)

    @property
    def playing(self) -> bool:
        """Whether it goes on by itself."""
        return self.run is not None and self.run.view is not None and self.run.view.playing

    def step_on(self) -> None:
        """Do one step."""
        self._with(lambda run: run.worker.step())

    def step_back(self) -> None:
        """Undo one."""
        self._with(lambda run: run.worker.back())

    def to_start(self) -> None:
        """Before the first step."""
        self.goto(0)

    def goto(self, position: int) -> None:
        """Go to a position."""
        self._with(lambda run: run.worker.goto(position))

    def next_wrong(self) -> None:
        """To the next wrong answer: of the policy whose maps are shown, or of any."""
        lane = self.maps.lane if self.maps.lane >= 0 else None
        self._with(lambda run: run.worker.next_wrong(lane))

    def previous_wrong(self) -> None:
        """To the one before."""
        lane = self.maps.lane if self.maps.lane >= 0 else None
        self._with(lambda run: run.worker.previous_wrong(lane))

    def _with(self, do: Any) -> None:
        if self.run is None:
            self.desk.notices.say("nothing is explored yet: press Start")
        else:
            do(self.run)

    def access_on(self) -> None:
        """The next access of the step; after the last one the next step's first."""
        self._with(lambda run: self._go_access(1))

    def access_back(self) -> None:
        """The access before; before the first one the last of the step before."""
        self._with(lambda run: self._go_access(-1))

    def _go_access(self, by: int) -> None:
        self.docks["inspector"].show()
        if self.accesses is not None:
            self.accesses.go(by)

    def show_truth(self, on: bool) -> None:
        """The truth alone, or with what policies get wrong."""
        self.maps.judge(not on)

    def zoom_in(self) -> None:
        """Larger cells."""
        self.maps.lens.zoom(1.5)

    def zoom_out(self) -> None:
        """Smaller cells."""
        self.maps.lens.zoom(1 / 1.5)

    def zoom_touched(self) -> None:
        """Look at the pages that the last step touched."""
        for one in self.maps.maps.values():
            first, nr = one.touched
            if first >= 0:
                self.maps.look(first, min(nr, 512))
                return

    # -- a run -----------------------------------------------------------------------------------------
    def _begin(self, choice: Choice) -> None:
        """Play a choice from its start; what is wrong with it is a notice, and the run before goes on."""
        from foliolab.gui.explore.running import Run

        try:
            run = Run(choice, self.desk.library)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self._end()
        self._furnish()
        self.run = self.sight.run = run
        self.chooser.show_choice(choice)
        self.welcome.say("Preparing: policies that are new here are compiled first, which takes seconds …")
        self.statusBar().showMessage("Preparing …")
        self._timer.start()

    def _end(self) -> None:
        """End the run."""
        self._timer.stop()
        if self.inspector is not None:
            self.inspector.clear()
        if self.run is not None:
            self.run.close()
        self.run, self.facts, self._picked, self.sight.run = None, None, None, None
        if self.accesses is not None:
            self.accesses.begin(None, None)

    def _look(self) -> None:
        """Every frame: what is new?"""
        run = self.run
        if run is None:
            return
        if run.worker.failed is not None:
            self._failed(run.worker.failed)
            return
        new = run.pull()
        if not run.begun and run.worker.ready:
            from foliolab.gui.explore.facts import facts

            run.begun = True
            run.questions.ask("facts", run.worker, facts, self._ready)
        if self.facts is None or run.view is None:
            return
        if new:
            self._frames += 1
            self._show()
            self.sight.closely()
        elif (silent := run.worker.silent) > SILENT:
            self.statusBar().showMessage(f"No answer for {silent:.0f} s: a step may not end. Another start ends it.")

    def _failed(self, fault: FolioLabError) -> None:
        self.desk.notices.fault(fault)
        self._end()
        self.welcome.say("")
        self.statusBar().clearMessage()
        self.centre.setCurrentIndex(0)

    def _ready(self, facts: Facts) -> None:
        """The session is made."""
        assert self.run is not None and self.strip is not None
        self.facts = facts
        if self.accesses is not None:
            self.accesses.begin(self.run, facts)
        self._framed = facts.kind in ("pattern", "trace")
        self.welcome.say("")
        self.statusBar().showMessage(facts.title)
        self.centre.setCurrentIndex(1)
        self.maps.begin(facts.policies, facts.mms, facts.pages)
        self.strip.begin(facts.policies, facts.nr_steps)
        self.transport.timeline.begin(facts.nr_steps)
        for note in facts.notes:
            self.desk.notices.say(note)
        if self._wanted_step >= 0:
            self.goto(self._wanted_step)
        elif self._wanted_play:
            self.run.worker.play(self.transport.pace)
        self._wanted_step, self._wanted_play = -1, False

    def _show(self) -> None:
        """There is another view."""
        run = self.run
        assert run is not None and run.view is not None and self.strip is not None and self.counters is not None
        view = run.view
        self.maps.show_view(view)
        if not self._framed:
            used = max((int(np.flatnonzero(one)[-1]) + 1 for one in view.maps.values() if one.any()), default=0)
            self._framed = used > 0
            self.maps.begin_close(used)
        if not view.playing or self._frames % OFTEN == 0:
            self.transport.show_view(view)
        play, word = self.desk.commands.action("explore.play"), "Pause" if view.playing else "Play"
        if play.iconText() != word:
            play.setText(f"&{word}")
            play.setIconText(word)
        if view.error is not None:
            self.desk.notices.say(view.error.what, "warning", view.error.hint)
        if view.playing and self._frames % SELDOM:
            return
        self.counters.show_lanes(view.lanes)
        self.strip.show_history(view.history, view.position)
        self.transport.timeline.show_marks(view.history.marks, view.history.mark_counts)
        if not view.playing and self.accesses is not None:
            self.accesses.at = -1
            from foliolab.gui.explore.facts import acted

            run.questions.ask("acted", run.worker, acted, self._acted)

    def _acted(self, where: Acted) -> None:
        """The run stands still: mark where the step acted, and inspect."""
        if self.run is None or self.inspector is None:
            return
        self.maps.touch(where.mm, where.page, where.nr)
        picked = self._picked
        if picked is None and where.mm >= 0:
            picked = (max(self.maps.lane, 0), where.mm, max(where.page, 0))
        if picked is not None and self.facts is not None and picked[2] < self.facts.pages:
            self.inspector.look(self.run.worker, picked[1], picked[2])
        if self.accesses is not None:
            self.accesses.settle()

    # -- maps ------------------------------------------------------------------------------------------
    def _paint_these(self, maps: list[Key], faces: NDArray[np.uint8]) -> None:
        if self.run is not None:
            self.run.worker.show(maps, faces)

    def _pick(self, lane: int, mm: int, page: int) -> None:
        """Inspect a page."""
        self._picked = (lane, mm, page)
        if self.run is not None and self.inspector is not None and self.facts is not None:
            self.docks["inspector"].show()
            self.inspector.look(self.run.worker, mm, page, accesses=not self.playing)

    def _pace(self, speed: float) -> None:
        if self.run is not None and self.playing:
            self.run.worker.play(speed)

    # -- what every workspace does ---------------------------------------------------------------------
    def shown(self) -> None:
        """Look on again."""
        if self.run is not None:
            self._timer.start()

    def hidden(self) -> None:
        """Nobody looks: pause."""
        if self.run is not None:
            if self.playing:
                self.run.worker.pause()
            self._timer.stop()

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        self.maps.paint(theme)
        self.transport.timeline.paint(theme)
        if self.strip is not None and self.counters is not None:
            self.strip.paint(theme)
            self.counters.paint(theme)

    def refresh(self) -> None:
        """A policy file was saved: play again, up to the same position, what it takes part in."""
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
            self.desk.notices.say(f"{gone} cannot be used now; what is shown is its text before", "warning")
        elif touched & set(chosen):
            position = run.view.position if run.view is not None else 0
            self._wanted_step = position
            self._begin(run.choice)

    def exportables(self) -> Sequence[Exportable]:
        """The maps, the curves, the counters, and what is inspected."""
        if self.run is None or self.strip is None or self.counters is None or self.inspector is None:
            return ()
        return [
            Exportable("maps", "Memory maps", self.maps),
            Exportable("precision", "Precision over the run", self.strip, self.strip.table),
            Exportable("counters", "Counters", self.counters, self.counters.table),
            *self.inspector.exportables(),
        ]

    def repeated(self) -> Sequence[str]:
        """The command that plays the same to the same policies."""
        return self.run.choice.command() if self.run is not None else ()

    def takes(self, path: Path) -> bool:
        """Scenarios and traces."""
        return bool(kind_of(path))

    def show_file(self, path: Path) -> None:
        """Explore a scenario or a trace."""
        if not path.is_file():
            raise UsageError(f"{path} is not there", "name a file that exists")
        policies = tuple(self.chooser.policies.chosen() or spread(self.desk.library))
        self.start(Choice(kind_of(path), str(path), policies))

    def receive(self, what: object) -> None:
        """Explore what another workspace, or a tour, sends: a file, a counterexample, or choices by name."""
        from foliolab.framework.verify.counterexample import Counterexample

        if isinstance(what, Path):
            self.show_file(what)
        elif isinstance(what, Counterexample):
            others = [name for name in spread(self.desk.library) if name != what.policy]
            policies = tuple([*self.desk.library.usable([what.policy]), *others][:2])
            self.start(Choice("counterexample", "", policies, example=what))
        elif isinstance(what, dict):
            self._receive(what)

    def _receive(self, what: dict[str, Any]) -> None:
        policies = tuple(what.get("policies", ())) or tuple(spread(self.desk.library))
        if "file" in what:
            self._wanted_step = what.get("step", -1)
            self.start(Choice(kind_of(Path(what["file"])), str(what["file"]), policies))
        elif "pattern" in what:
            self._wanted_step, self._wanted_play = what.get("step", -1), bool(what.get("play"))
            self.start(pattern_choice(what, policies))
        elif "step" in what:
            if self.facts is None:
                self._wanted_step = what["step"]
            else:
                self.goto(what["step"])

    def keep(self, settings: Settings) -> None:
        """Remember what was chosen."""
        self.chooser.keep(settings)

    def shut(self) -> None:
        """End the run."""
        self._end()
        if self.inspector is not None:
            self.inspector.shut()
