"""What the inspector of Explore shows, and the ways to earlier steps: to what was read, and to a field's writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDockWidget

from foliolab.gui.inspector.inspected import write_to

if TYPE_CHECKING:
    from foliolab.framework.explore.accesses import Access
    from foliolab.framework.explore.folio_detail import FieldDetail
    from foliolab.framework.explore.source import Touch
    from foliolab.gui.explore.access_stepper import AccessStepper
    from foliolab.gui.explore.controls import Controls
    from foliolab.gui.explore.map_grid import MapGrid
    from foliolab.gui.explore.queries import Facts
    from foliolab.gui.explore.run import Run
    from foliolab.gui.inspector.inspector import Inspector

Place = tuple[int, int]
"""First byte in the machine's memory, and number of bytes."""


class Surroundings(Protocol):
    """The parts of the workspace that are needed; a protocol, because the workspace imports this module."""

    docks: dict[str, QDockWidget]
    controls: Controls
    maps: MapGrid
    run: Run | None
    facts: Facts | None
    inspector: Inspector | None
    accesses: AccessStepper | None

    @property
    def playing(self) -> bool: ...


class Inspecting(QObject):
    """Asks the session what the inspector shows.

    Attributes:
        picked: map and page that the user chose; None if the pages of the last step are inspected.
        wants_wrong: whether the next view shows a wrong answer that is to be picked.
    """

    def __init__(self, workspace: Surroundings, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self.picked: tuple[int, int] | None = None
        self.wants_wrong = False
        self._changed = False  # whether the step changed the field that was asked about
        self._wanted: Place | None = None  # select the access that wrote these bytes, once the step is inspected

    def begin(self) -> None:
        """Start with another run, or with none."""
        self.picked, self.wants_wrong, self._wanted = None, False, None

    # -- what is inspected -----------------------------------------------------------------------------
    def after_step(self) -> None:
        """Inspect again: the run is at another step."""
        from foliolab.gui.explore.queries import first_wrong, last_touch

        run = self._workspace.run
        if run is None:
            return
        if self.wants_wrong and run.view is not None and run.view.error is None:
            run.ask("wrong", self._pick_wrong, first_wrong, lane=self._workspace.maps.lane)
        self.wants_wrong = False
        run.ask("touch", self._show_touch, last_touch)

    def _pick_wrong(self, found: tuple[int, int, int] | None) -> None:
        if found is not None:
            lane, mm, page = found
            self._workspace.maps.select(lane, mm, page)
            self.pick(lane, mm, page)

    def pick(self, lane: int, mm: int, page: int) -> None:
        """Inspect a page of a map."""
        workspace = self._workspace
        self.picked = (mm, page)
        if workspace.run is not None and workspace.facts is not None and workspace.inspector is not None:
            workspace.docks["inspector"].show()
            workspace.inspector.policy = workspace.facts.policies[lane]
            self._inspect(mm, page)

    def _show_touch(self, touch: Touch) -> None:
        """Mark the pages that the last step acted on, and inspect the picked page, or else the first of them."""
        workspace = self._workspace
        if workspace.run is None or workspace.inspector is None:
            return
        workspace.maps.touch(touch.mm, touch.page, touch.nr)
        picked = self.picked
        if picked is None and touch.mm >= 0:
            picked = (touch.mm, max(touch.page, 0))
        if picked is not None and workspace.facts is not None and picked[1] < workspace.facts.pages:
            self._inspect(*picked)
        if workspace.accesses is not None:
            workspace.accesses.continue_after_step()

    def _inspect(self, mm: int, page: int) -> None:
        """Inspect a page; while playing, without the step's accesses, because recording them takes long."""
        from foliolab.gui.inspector.inspected import Inspected, inspect_page

        workspace = self._workspace
        assert workspace.run is not None and workspace.inspector is not None

        def show(found: list[Inspected]) -> None:
            if workspace.inspector is not None:
                workspace.inspector.show_found(found)
                self._select_wanted()

        workspace.run.ask("inspect", show, inspect_page, mm=mm, page=page, accesses=not workspace.playing)

    # -- back to where something was written -----------------------------------------------------------
    def _lane(self) -> int | None:
        """The lane of the policy that the inspector shows."""
        facts, inspector = self._workspace.facts, self._workspace.inspector
        now = inspector.now if inspector is not None else None
        if facts is None or now is None or now.policy not in facts.policies:
            return None
        return facts.policies.index(now.policy)

    def ask_origin(self, access: Access) -> None:
        """Go to the step before the present one that last changed what the policy read."""
        self._ask_writer(access.place)

    def ask_field(self, field: FieldDetail) -> None:
        """Go to where a field of the folio was last written: in this step, else in the last one that changed it."""
        from foliolab.gui.explore.queries import place_of_field

        run, lane, inspector = self._workspace.run, self._lane(), self._workspace.inspector
        now = inspector.now if inspector is not None else None
        if run is None or lane is None or now is None or now.folio is None:
            return
        self._changed = field.changed
        run.ask(
            "field", self._found_field, place_of_field, lane=lane, frame=now.folio.head + field.page,
            offset=field.offset, bits=field.bits,
        )  # fmt: skip

    def _found_field(self, place: Place) -> None:
        if self._select_write(place):
            return
        if self._changed and self._workspace.inspector is not None:
            self._workspace.inspector.say("This step changed it, by an access that is not in the list.")
        else:
            self._ask_writer(place)

    def _ask_writer(self, place: Place) -> None:
        from foliolab.gui.explore.queries import step_of_last_change

        run, lane = self._workspace.run, self._lane()
        if run is not None and lane is not None:
            self._wanted = place
            run.ask("origin", self._go_to_origin, step_of_last_change, lane=lane, place=place)

    def _go_to_origin(self, step: int | None) -> None:
        inspector = self._workspace.inspector
        if step is not None:
            self._workspace.controls.goto(step + 1)
        elif inspector is not None:
            self._wanted = None
            inspector.say("No earlier step changed it, as far as was searched.")

    def _select_wanted(self) -> None:
        place, self._wanted = self._wanted, None
        if place is not None:
            self._select_write(place)

    def _select_write(self, place: Place) -> bool:
        """Select the step's last access that changed some of these bytes. Returns whether there is one."""
        inspector = self._workspace.inspector
        now = inspector.now if inspector is not None else None
        if inspector is None or now is None:
            return False
        at = write_to(now.accesses, place)
        if at is not None:
            inspector.accesses.go(at)
        return at is not None
