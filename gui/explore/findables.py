"""What the palette finds in Explore: sharing patterns, scenarios, and the steps of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from foliolab.framework import intake
from foliolab.gui.window.finding import Findable

if TYPE_CHECKING:
    from foliolab.gui.explore.controls import Controls
    from foliolab.gui.explore.run import Run
    from foliolab.gui.window.desk import Desk

Tell = Callable[[Sequence[Findable]], None]
NAME: Final = "explore"
"""The name of the workspace to which what is found belongs."""


class Explored(Protocol):
    """What is needed of the workspace; a protocol, because the workspace imports this module."""

    desk: Desk
    controls: Controls
    run: Run | None


def findables(workspace: Explored) -> list[Findable]:
    """The patterns and scenarios, each of which is explored when it is chosen."""
    send, registry = workspace.desk.send, workspace.desk.library.registry
    patterns = [
        Findable("Sharing pattern", name, partial(send, NAME, {"pattern": name}), one.summary)
        for name, one in registry.patterns.items()
    ]
    return patterns + [
        Findable("Scenario", name, partial(send, NAME, {"scenario": name}), "an installed scenario")
        for name in registry.scenarios
    ]


def find_steps(workspace: Explored, wanted: str, tell: Tell) -> None:
    """Find the step with a number, and steps that say what was typed; the session searches them in its process."""
    run = workspace.run
    if run is None or run.view is None:
        return
    number = intake.number(wanted.replace(",", ""))
    if number is not None and 0 <= number <= run.view.nr_steps:
        text = f"step {number:,} of {run.view.nr_steps:,}"
        tell([Findable("Go to", text, partial(_go, workspace, number))])
    else:
        from foliolab.gui.explore.queries import steps_that_say  # it imports the engine: slow for a window's start

        run.ask("steps", partial(_found, workspace, tell), steps_that_say, wanted=wanted)


def _found(workspace: Explored, tell: Tell, found: Sequence[tuple[int, str]]) -> None:
    tell([Findable(f"Step {at + 1:,}", text, partial(_go, workspace, at + 1)) for at, text in found])


def _go(workspace: Explored, position: int) -> None:
    workspace.desk.go(NAME)
    workspace.controls.goto(position)
