"""The ways from a step of a counterexample to an earlier one: to what was read, and to the writer of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from foliolab.framework.explore.reasons import last_change_in

if TYPE_CHECKING:
    from foliolab.framework.explore.accesses import Access
    from foliolab.framework.explore.folio_detail import FieldDetail
    from foliolab.gui.inspector.inspector import Inspector
    from foliolab.gui.verify.stepper import Stepper


class Ways(QObject):
    """Goes to earlier steps.

    Args:
        stepper: shows the counterexample.
        inspector: shows the folio at its step.
        parent: the owner of this object.
    """

    def __init__(self, stepper: Stepper, inspector: Inspector, parent: QObject) -> None:
        super().__init__(parent)
        self._stepper, self._inspector = stepper, inspector

    def go_to_origin(self, access: Access) -> None:
        """Go to the step before the present one that last changed what the policy read."""
        self._go(access.place, self._stepper.step, "No earlier step changed it.")

    def go_to_writer(self, field: FieldDetail) -> None:
        """Go to the last step, the present one included, that changed a field of the folio."""
        now, timeline = self._inspector.now, self._stepper.timeline
        if timeline is None or now is None or now.folio is None:
            return
        machine = timeline.machine
        page = machine.map.pages + (now.folio.head + field.page) * machine.layouts["page"].size
        self._go((page + field.offset, -(-field.bits // 8)), self._stepper.step + 1, "No step so far changed it.")

    def _go(self, place: tuple[int, int], before: int, otherwise: str) -> None:
        timeline = self._stepper.timeline
        step = last_change_in(timeline, place, before) if timeline is not None else None
        if step is not None:
            self._stepper.go(step)
        else:
            self._inspector.say(otherwise)
