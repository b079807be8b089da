"""Details of the pages that are drawn large, and of the page under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QStatusBar, QToolTip

from foliolab.gui.explore.map_grid import MapGrid
from foliolab.gui.explore.map_painter import TEXT
from foliolab.gui.explore.queries import describe_page, visible_details

if TYPE_CHECKING:
    from foliolab.framework.explore.commands import MapKey
    from foliolab.gui.explore.queries import Details
    from foliolab.gui.explore.run import Run

MOST: Final = 1500
"""Most pages, of all maps together, whose details are asked for."""
STATUS_TIME: Final = 10_000
"""Milliseconds for which the status bar shows the sentence about a page."""


class CloseUp(QObject):
    """Asks the session for details, and gives them to the maps.

    Attributes:
        run: the run; None without one.
    """

    def __init__(self, maps: MapGrid, bar: QStatusBar) -> None:
        super().__init__(maps)
        self._maps = maps
        self._bar = bar
        self._asked_for: object = None
        self._pointer = QPoint()
        self.run: Run | None = None
        maps.hovered.connect(self._hover)

    def update(self) -> None:
        """Ask for the details of the visible pages, unless they are known."""
        run = self.run
        if run is None or run.view is None:
            return
        maps = self._maps.maps
        each = MOST // max(len(maps), 1)
        wanted = {key: pages for key, view in maps.items() if (pages := view.where.visible_pages(each))}
        every_page = bool(wanted) and next(iter(maps.values())).where.scale >= TEXT
        asked_for = (run.view.position, every_page, {key: (pages[0], len(pages)) for key, pages in wanted.items()})
        if not wanted or asked_for == self._asked_for or run.is_open("details"):
            return
        self._asked_for = asked_for
        run.ask("details", self._show, visible_details, wanted=wanted, every_page=every_page)

    def _show(self, found: dict[MapKey, Details]) -> None:
        for key, (pages, folios) in found.items():
            if key in self._maps.maps:
                self._maps.maps[key].show_details(pages, folios)

    def _hover(self, lane: int, mm: int, page: int, pointer: QPoint) -> None:
        if self.run is None or page < 0:
            QToolTip.hideText()
            return
        self._pointer = pointer
        self.run.ask("hover", self._show_tip, describe_page, lane=lane, mm=mm, page=page)

    def _show_tip(self, text: str) -> None:
        self._bar.showMessage(text, STATUS_TIME)
        if not self._pointer.isNull():
            QToolTip.showText(self._pointer, text)
