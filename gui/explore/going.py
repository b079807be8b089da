"""The way to a step that another workspace or a tour asks for, and what is on screen once Explore is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from foliolab.gui.explore.controls import Controls
    from foliolab.gui.explore.counters import Counters
    from foliolab.gui.explore.queries import Facts
    from foliolab.gui.explore.run import Run
    from foliolab.gui.inspector.inspector import Inspector

ASKED = ("wrong", "touch", "inspect")
"""Kinds of questions after whose answers the inspector shows the step."""


class Surroundings(Protocol):
    """The parts of the workspace that are needed; a protocol, because the workspace imports this module."""

    controls: Controls
    counters: Counters | None
    facts: Facts | None
    inspector: Inspector | None
    run: Run | None

    def inspect_wrong(self) -> None: ...


class Going:
    """Goes to a step, now or once the session is made.

    Attributes:
        wanted: where to go once the session is made; -1 for nowhere.
    """

    def __init__(self, workspace: Surroundings) -> None:
        self._workspace = workspace
        self.wanted = -1
        self._left = 0  # 2: on the way; 1: there, and the next view shows it

    def begin(self) -> None:
        """Start with another run, or with none."""
        self._left = 0

    def go_to(self, what: dict[str, Any]) -> None:
        """Go to what was asked for; the keys are `step`, `wrong` and `counter` (see `ExploreWorkspace.choose`)."""
        workspace, step = self._workspace, what.get("step", -1)
        if what.get("wrong"):
            workspace.inspect_wrong()
        if workspace.counters is not None:
            workspace.counters.wanted = what.get("counter", "")
        if workspace.facts is None:
            self.wanted = step
        elif step >= 0:
            self.go(step)

    def go(self, step: int) -> None:
        """Go to a step of the session, which is made."""
        from foliolab.gui.explore.queries import nothing

        self.wanted = -1
        assert self._workspace.run is not None
        self._workspace.controls.goto(step)
        self._left = 2
        self._workspace.run.ask("arrived", self._arrived, nothing)

    def _arrived(self, _: None) -> None:
        self._left = 1

    @property
    def arrived(self) -> bool:
        """Whether the next view is the first one that shows the step."""
        return self._left == 1

    def on_screen(self) -> dict[str, object]:
        """The `position` (-1 without a run), and the policy and verdict that are `inspected`."""
        workspace = self._workspace
        run, inspector = workspace.run, workspace.inspector
        if run is None or run.view is None or workspace.facts is None or self._left:
            return {"position": -1, "inspected": ()}
        now = inspector.now if inspector is not None and not any(map(run.is_open, ASKED)) else None
        return {"position": run.view.position, "inspected": (now.policy, now.verdict) if now is not None else ()}
