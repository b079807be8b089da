"""The commands of Explore (play, step, search, zoom) and what each of them does.

`Controls.toggle` is Play. It gives a command to the session, which runs in a process of its own: see
`framework.explore.session_process`; the command arrives in `SessionThread._do_play`, and `Session.play` runs the lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from PySide6.QtWidgets import QDockWidget

from foliolab.gui.window.commands import Command

if TYPE_CHECKING:
    from foliolab.gui.explore.access_stepper import AccessStepper
    from foliolab.gui.explore.chooser import Chooser
    from foliolab.gui.explore.map_grid import MapGrid
    from foliolab.gui.explore.precision_plot import PrecisionPlot
    from foliolab.gui.explore.queries import Facts
    from foliolab.gui.explore.run import Run
    from foliolab.gui.explore.run_bar import RunBar
    from foliolab.gui.explore.shown_part import ShownPart
    from foliolab.gui.inspector.inspector import Inspector
    from foliolab.gui.window.desk import Desk

ZOOM: Final = 1.5
PART: Final = 2.0
"""Zoom factor of the commands that show a part of the run."""


class Surroundings(Protocol):
    """The parts of the workspace that the commands use; a protocol, because the workspace imports this module."""

    desk: Desk
    docks: dict[str, QDockWidget]
    chooser: Chooser
    maps: MapGrid
    run: Run | None
    run_bar: RunBar
    accesses: AccessStepper | None
    inspector: Inspector | None
    shown_part: ShownPart
    plot: PrecisionPlot | None
    facts: Facts | None

    @property
    def playing(self) -> bool: ...
    def command(self, name: str, text: str, run: Callable[..., object], **options: object) -> Command: ...
    def example(self) -> None: ...
    def inspect_wrong(self) -> None: ...


class Controls:
    """The commands of the workspace.

    Args:
        workspace: has the run and the maps.
    """

    def __init__(self, workspace: Surroundings) -> None:
        self._workspace = workspace
        self._maps = workspace.maps

    def commands(self) -> list[Command]:
        """All commands, in the order of the tool bar."""
        run, view, make, zoom = "&Run", "&View", self._workspace.command, self._maps.viewport.zoom
        part = self._workspace.shown_part
        return [
            make("restart", "To the &start", partial(self.goto, 0), menu=run, keys=("Home",), icon="restart", bar=True,
                 tip="Go back to the state before the first step"),
            make("previous", "&Previous wrong answer", self.previous_wrong, menu=run, keys=("Shift+N",),
                 icon="previous", bar=True, tip="Go back to the last step that made an answer wrong"),
            make("back", "Step &back", partial(self._command, "back"), menu=run, keys=("Left",), icon="back", bar=True,
                 tip="Undo the last step"),
            make("unaccess", "One access back", partial(self.step_access, -1), menu=run, keys=("Ctrl+Left",),
                 icon="unaccess", bar=True, tip="Show the previous memory access, with the line that does it"),
            make("play", "&Play or pause", self.toggle, menu=run, keys=("F5", "K"), icon="play", bar=True,
                 word="Play", tip="Play, or pause"),
            make("access", "One &access on", partial(self.step_access, 1), menu=run, keys=("Ctrl+Right",),
                 icon="access", bar=True, tip="Show the next memory access, with the line that does it"),
            make("step", "&Step", partial(self._command, "step", 1), menu=run, keys=("Right",), icon="step",
                 bar=True, word="Step", tip="Do one operation"),
            make("next", "&Next wrong answer", self.next_wrong, menu=run, keys=("N",), icon="next", bar=True,
                 word="Next wrong", tip="Go on to the next step that makes an answer wrong"),
            make("origin", "&Why? The step that set it", partial(self.inspect, "go_to_origin"), menu=run, keys=("W",),
                 breaks=True, tip="Go to the earlier step that set what the policy read for its answer"),
            make("writer", "&Last writer of the field", partial(self.inspect, "go_to_writer"), menu=run,
                 keys=("Shift+W",), tip="Go to where the chosen field of the folio was last written"),
            make("begin", "Start what is &chosen", self._workspace.chooser.begin, menu=run,
                 tip="Start exploring what the panel shows"),
            make("example", "An e&xample", self._workspace.example, menu=run,
                 tip="Start an example with the installed plugins"),
            make("truth", "The &truth alone", self.show_truth, menu=view, keys=("T",), checkable=True,
                 tip="Hide wrong answers of policies: show only what the page tables say"),
            make("in", "Zoom &in", partial(zoom, ZOOM), menu=view, keys=("Ctrl++", "Ctrl+="), tip="Larger cells",
                 breaks=True),
            make("out", "Zoom &out", partial(zoom, 1 / ZOOM), menu=view, keys=("Ctrl+-",), tip="Smaller cells"),
            make("fit", "The &whole map", self._maps.viewport.fit, menu=view, keys=("Ctrl+0",), icon="fit",
                 bar=True, word="Whole map", tip="Zoom out to the whole map"),
            make("closer", "Zoom into the &run", partial(part.zoom, PART), menu=view, keys=("]",), breaks=True,
                 tip="Show a shorter part of the run, around this step, in all views"),
            make("farther", "Zoom &out of the run", partial(part.zoom, 1 / PART), menu=view, keys=("[",),
                 tip="Show a longer part of the run in all views"),
            make("run", "The whole r&un", part.part.fit, menu=view, keys=("Ctrl+Shift+0",),
                 tip="Show the whole run in all views again"),
            make("time", "Time or s&teps", self.toggle_time, menu=view, keys=("Shift+T",),
                 tip="Have the time of a trace as the axis of the curves, or its steps"),
            make("touched", "Pages of the &last step", self.zoom_touched, menu=view, keys=("A",),
                 tip="Zoom to the pages that the last step acted on"),
        ]  # fmt: skip

    # -- the run ---------------------------------------------------------------------------------------
    def toggle(self) -> None:
        """Play or pause; at the end, play from the start; without a run, start one."""
        workspace = self._workspace
        run = workspace.run
        if run is None:
            workspace.chooser.start.click()
        elif workspace.playing:
            run.session.pause()
        else:
            if run.view is not None and run.view.at_end:
                run.session.goto(0)
            run.session.play(workspace.run_bar.pace)

    def goto(self, position: int) -> None:
        self._command("goto", position)

    def next_wrong(self) -> None:
        """Go to the next wrong answer of the policy whose maps are shown, of any if all are, and inspect its page."""
        self._workspace.inspect_wrong()
        self._command("next_wrong", self._lane())

    def previous_wrong(self) -> None:
        """Go to the last wrong answer before, as `next_wrong`."""
        self._workspace.inspect_wrong()
        self._command("previous_wrong", self._lane())

    def step_access(self, by: int) -> None:
        """Show the step's next memory access (1) or the previous one (-1); beyond the last or first one, step."""
        if self._workspace.accesses is None:
            self._say_nothing_runs()
        else:
            self._workspace.docks["inspector"].show()
            self._workspace.accesses.go(by)

    def inspect(self, way: str) -> None:
        """Go to where something was written: a method of `Inspector`."""
        if self._workspace.inspector is None:
            self._say_nothing_runs()
        else:
            getattr(self._workspace.inspector, way)()

    def _lane(self) -> int | None:
        return self._maps.lane if self._maps.lane >= 0 else None

    def _command(self, name: str, *arguments: object) -> None:
        """Give a command to the session (see `SessionCommands`)."""
        if self._workspace.run is None:
            self._say_nothing_runs()
        else:
            self._workspace.run.session.command(name, *arguments)

    def _say_nothing_runs(self) -> None:
        self._workspace.desk.notices.say("nothing is explored yet: press Start")

    def toggle_time(self) -> None:
        """Switch the axis of the curves between time and steps; a notice says if the run has no times."""
        plot, facts = self._workspace.plot, self._workspace.facts
        if plot is None or facts is None or not facts.times.known:
            self._workspace.desk.notices.say("this run has no times: only traces have, if their source had")
        else:
            plot.show_times(not plot.timed)

    # -- the maps --------------------------------------------------------------------------------------
    def show_truth(self, on: bool) -> None:
        self._maps.show_verdicts(not on)

    def zoom_touched(self) -> None:
        """Zoom to the pages that the last step acted on."""
        for view in self._maps.maps.values():
            first, nr = view.painter.touched
            if first >= 0:
                self._maps.look(first, min(nr, 512))
                return
