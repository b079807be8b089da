"""The commands of Verify, and the steps that the palette finds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from foliolab.gui.window.finding import Findable

if TYPE_CHECKING:
    from collections.abc import Callable

    from foliolab.gui.verify.attack_job import AttackJob
    from foliolab.gui.verify.shown_example import ShownExample
    from foliolab.gui.verify.stepper import Stepper
    from foliolab.gui.widgets.interval import Interval
    from foliolab.gui.window.commands import Command


def commands_of(
    make: Callable[..., Command], start: Callable[[], None], attacks: AttackJob, shown: ShownExample, part: Interval
) -> list[Command]:
    """All commands, in the order of the tool bar.

    Args:
        make: `Workspace.command`.
        start: attacks what is chosen.
        attacks: are stopped.
        shown: the counterexample, which is stepped through and sent on.
        part: the time that the curves of the attacks show.
    """

    def fit() -> None:
        part.fit()
        if shown.stepper is not None:
            shown.stepper.diagram.part.fit()

    run, step, inspect = "&Run", partial(partial, shown.step), partial(partial, shown.inspect)
    return [
        make("start", "&Verify", start, menu=run, keys=("F5",), icon="play", bar=True, word="Verify",
             tip="Attack the chosen policy"),
        make("stop", "S&top the attacks", attacks.stop, menu=run, keys=("Shift+F5",), icon="stop", bar=True,
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
        make("explore", "Open in &Explore", shown.explore, menu=run, keys=("Ctrl+Shift+E",), icon="explore",
             bar=True, word="Open in Explore", tip="Play this counterexample beside other policies"),
        make("time", "All of the &time and the steps", fit, menu="&View", keys=("Ctrl+Shift+0",),
             tip="Show all of the curves and of the counterexample after a drag or the wheel has chosen a part"),
        make("save", "&Save the counterexample…", shown.ask_save, menu="&File", keys=("Ctrl+S",), icon="save",
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
