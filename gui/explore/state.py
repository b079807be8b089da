"""What Explore shows, as a session keeps it: the choice, the step, the part of the maps, and what is inspected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, cast

import msgspec

from foliolab.framework.document import Count, Name, Number
from foliolab.framework.errors import UsageError
from foliolab.gui.explore.choice import MOST_POLICIES, SIZES, SPANS, Choice
from foliolab.gui.window.session_file import Digest, Files, State

if TYPE_CHECKING:
    from foliolab.gui.explore.controls import Controls
    from foliolab.gui.explore.inspecting import Inspecting
    from foliolab.gui.explore.map_grid import MapGrid
    from foliolab.gui.explore.queries import Facts
    from foliolab.gui.explore.run import Run
    from foliolab.gui.explore.shown_part import ShownPart
    from foliolab.gui.inspector.inspector import Inspector


Kind = Literal["pattern", "scenario", "trace", "counterexample"]


class ExploreState(State, frozen=True, kw_only=True):
    """The state.

    Attributes:
        kind, what, policies, mms, size, span: see `Choice`; of a file, `what` is its path where it was saved.
        file: the digest of the file, which goes with the session; empty for a pattern and a shipped scenario.
        step: the position.
        lane: the policy whose maps are shown; -1 for all.
        centre, zoom: the page in the middle of the maps, and how much larger they are than as a whole. Cells are
            arranged as the window's size allows, so that a rectangle would show other pages in another window.
        first, last: the positions between which the run is shown; 0 and 0 for the whole run.
        mm, page, policy: what is inspected: map, page and policy; -1 and empty for nothing.
    """

    kind: Kind
    what: Annotated[str, msgspec.Meta(max_length=4096)]
    policies: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=MOST_POLICIES)]
    mms: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    size: Count = SIZES[0]
    span: Count = SPANS[0]
    file: Digest = ""
    step: Count = 0
    lane: Annotated[int, msgspec.Meta(ge=-1, lt=MOST_POLICIES)] = -1
    centre: Number = -1
    zoom: Annotated[float, msgspec.Meta(ge=1, le=1e9)] = 1.0
    first: Count = 0
    last: Count = 0
    mm: Number = -1
    page: Number = -1
    policy: Name = ""

    def choice(self, files: Files) -> Choice:
        """What to explore.

        Raises:
            FolioLabError: its file is not here, or a size is none that Explore has.
        """
        from foliolab.framework.verify.counterexample import Counterexample

        if self.size not in SIZES or self.span not in SPANS:
            raise UsageError(f"Explore has no folios of {self.size} bytes in {self.span} bytes", "save it anew")
        what, example = self.what, None
        if self.kind == "counterexample":
            example, what = Counterexample.load(files.path(self.file)), ""
        elif self.file:
            what = str(files.path(self.file))
        elif self.kind == "trace" and not Path(what).is_file():
            raise UsageError(f"the trace {what} is not here, and is too large to go with a session", "copy it here")
        return Choice(self.kind, what, self.policies, self.mms, self.size, self.span, example)


class Shown(Protocol):
    """What is needed of the workspace; a protocol, because the workspace imports this module."""

    run: Run | None
    facts: Facts | None
    maps: MapGrid
    inspector: Inspector | None
    inspecting: Inspecting
    controls: Controls
    shown_part: ShownPart


def state_of(workspace: Shown, files: Files) -> ExploreState | None:
    """The state; None while nothing is explored."""
    run = workspace.run
    if run is None or workspace.facts is None or run.view is None:
        return None
    choice, digest = run.choice, ""
    if choice.kind == "counterexample":
        digest = files.keep("counterexample.json", choice.counterexample().encoded())
    elif choice.kind == "trace" or Path(choice.what).is_file():
        digest = files.keep_file(choice.what)
    mm, page = workspace.inspecting.picked or (-1, -1)
    centre, zoom = workspace.maps.seen()
    part = workspace.shown_part.part
    first, last = (0, 0) if part.whole else (part.low, part.high)
    return ExploreState(
        kind=cast("Kind", choice.kind), what=choice.what, policies=choice.policies, mms=choice.mms, size=choice.size,
        span=choice.span, file=digest, step=run.view.position, lane=workspace.maps.lane, centre=centre, zoom=zoom,
        first=first, last=last, mm=mm, page=page,
        policy=workspace.inspector.policy if workspace.inspector is not None else "",
    )  # fmt: skip


def show(workspace: Shown, state: ExploreState) -> None:
    """Show a state of the choice that is explored."""
    facts, maps = workspace.facts, workspace.maps
    assert facts is not None
    if workspace.inspector is not None:
        workspace.inspector.policy = state.policy
    if state.lane < len(facts.policies):
        maps.tabs.setCurrentIndex(state.lane + 1)
    maps.see(state.centre, state.zoom)
    if 0 <= state.mm < facts.mms and 0 <= state.page < facts.pages:
        workspace.inspecting.picked = (state.mm, state.page)
        lane = facts.policies.index(state.policy) if state.policy in facts.policies else 0
        maps.select(lane, state.mm, state.page)
    else:
        workspace.inspecting.picked = None
    part = workspace.shown_part.part
    part.see(state.first, state.last) if state.last else part.fit()
    workspace.controls.goto(state.step)
