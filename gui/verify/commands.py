"""The commands of Verify, and the steps that the palette finds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from foliolab.gui.window.finding import Findable

if TYPE_CHECKING:
    from collections.abc import Callable

    from foliolab.gui.verify.stepper import Stepper
    from foliolab.gui.widgets.interval import Interval
    from foliolab.gui.window.commands import Command


class Surroundings(Protocol):
    """The parts of the workspace that the commands use; a protocol, because the workspace imports this module."""

    part: Interval

    def command(self, name: str, text: str, run: Callable[..., object], **options: object) -> Command: ...
    def start_chosen(self) -> None: ...
    def stop(self) -> None: ...
    def step(self, action: str) -> None: ...
    def inspect(self, way: str) -> None: ...
    def explore(self) -> None: ...
    def ask_save(self) -> None: ...


def commands_of(workspace: Surroundings) -> list[Command]:
    """All commands, in the order of the tool bar."""
    run, make, step = "&Run", workspace.command, partial(partial, workspace.step)
    inspect = partial(partial, workspace.inspect)
    return [
        make("start", "&Verify", workspace.start_chosen, menu=run, keys=("F5",), icon="play", bar=True, word="Verify",
             tip="Attack the chosen policy"),
        make("stop", "S&top the attacks", workspace.stop, menu=run, keys=("Shift+F5",), icon="stop", bar=True,
             word="Stop", tip="Stop the attacks and keep their findings"),
        make("first", "To the &start", step("first"), menu=run, keys=("Home",), icon="restart", bar=True,
             breaks=True, tip="Go before the first step of the counterexample"),
        make("back", "Step &back", step("back"), menu=run, keys=("Left",), icon="back", bar=True,
             tip="Go one step back"),
        make("play", "&Play or pause", step("toggle"), menu=run, keys=("K",), icon="play", bar=True, word="Play",
             tip="Play the counterexample step by step, or pause"),
        make("on", "&Step", step("forward"), menu=run, keys=("Right",), icon="step", bar=True, word="Step",
             tip="Go one step forward"),
        make("last", "To the &end", step("end"), menu=run, keys=("End",), icon="next", bar=True,
             tip="Go to the step where the law breaks"),
        make("origin", "&Why? The step that set it", inspect("go_to_origin"), menu=run, keys=("W",),
             tip="Go to the earlier step that set what the policy read for its answer"),
        make("writer", "&Last writer of the field", inspect("go_to_writer"), menu=run, keys=("Shift+W",),
             tip="Go to where the chosen field of the folio was last written"),
        make("explore", "Open in &Explore", workspace.explore, menu=run, keys=("Ctrl+Shift+E",), icon="explore",
             bar=True, word="Open in Explore", tip="Play this counterexample beside other policies"),
        make("time", "The whole &time of the attacks", workspace.part.fit, menu="&View", keys=("Ctrl+Shift+0",),
             tip="Show all of the curves after a drag or the wheel has chosen a part of the time"),
        make("save", "&Save the counterexample…", workspace.ask_save, menu="&File", keys=("Ctrl+S",), icon="save",
             tip="Write it to a file that foliolab step repeats"),
    ]  # fmt: skip


def findables(stepper: Stepper | None, front: Callable[[], object]) -> list[Findable]:
    """The steps of the counterexample; `front` shows the workspace."""
    if stepper is None:
        return []

    def go(step: int) -> None:
        front()
        stepper.go(step)

    return [
        Findable(f"Step {one.step}", one.description, partial(go, one.step), one.location)
        for one in stepper.diagram.diagram.marks
        if one.step is not None
    ]
